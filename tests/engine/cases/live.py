"""Cases of networks that train in simulated time."""

from __future__ import annotations

Case = tuple[dict[str, str], dict[str, str]]

GPT = "{kind: gpt-stdlib, layers: 1, width: 8, heads: 2, context: 8}"
TRAIN = "{optimizer: {kind: momentum, lr: 0.3, batch: 4}, max_epochs: 1, gradient_time: 1 ms%s}"
BASE = {"workload": f"{{kind: live, task: {GPT}, samples: 32, held_out: 8}}", "train": TRAIN % ""}


def _live(changed: str) -> Case:
    return BASE, {"workload": f"{{kind: live, {changed}}}"}


def _adam(more: str) -> str:
    return f"{{optimizer: {{kind: adam, batch: 4{more}}}, max_epochs: 1, gradient_time: 1 ms}}"


CASES: dict[str, Case] = {
    "workload.live.task": _live(f"task: {GPT.replace(chr(56), chr(52))}, samples: 32, held_out: 8"),
    "workload.live.samples": _live(f"task: {GPT}, samples: 40, held_out: 8"),
    "workload.live.held_out": _live(f"task: {GPT}, samples: 32, held_out: 9"),
    "workload.live.speed": _live(f"task: {GPT}, samples: 32, held_out: 8, speed: 2"),
    "workload.live.pretrained": _live(f"task: {GPT}, samples: 32, held_out: 8, pretrained: 1"),
    "workload.live.timing": (
        BASE | {"train": "{optimizer: {kind: momentum, batch: 4}, max_epochs: 1}"},
        {"workload": f"{{kind: live, task: {GPT}, samples: 32, held_out: 8, timing: network.trace}}"},
    ),
    "optimizer.pactrain.score": (
        BASE | {"train": TRAIN.replace("momentum", "pactrain") % ""},
        {"train": TRAIN.replace("momentum, lr: 0.3", "pactrain, lr: 0.3, score: grasp") % ""},
    ),
    "train.target_of": (BASE | {"train": TRAIN % ", target: 0.5"}, {"train": TRAIN % ", target: 0.5, target_of: loss"}),
    "optimizer.adam.bias_correction": (BASE | {"train": _adam("")}, {"train": _adam(", bias_correction: false")}),
}  # fmt: skip

RIDGE = {"workload": "{kind: ridge, samples: 24, features: 3}", "sync": "all_to_all"}
STEPS = "{{optimizer: {{kind: {}, batch: 2, {}}}, target: 1.0e-9, max_epochs: 1, gradient_time: 1 ms}}"
MOMENTS = {"lr": "0.05", "beta1": "0.5", "beta2": "0.5", "epsilon": "0.1"}
FIELDS = {
    "onebit_adam": ("warm_up: 4, beta2: 0.9", MOMENTS | {"warm_up": "6"}),
    "onebit_lamb": (
        "warm_up: 4, beta2: 0.9, most: 5, lr: 1",
        MOMENTS
        | {
            "warm_up": "6",
            "least": "2",
            "most": "0.02",
            "lr": "0.5",
            "beta3": "0.5",
            "ratio_least": "3",
            "ratio_most": "1.01",
        }
        | {"ratio_change": "0.01", "corrected": "false"},
    ),
    "zero_one_adam": (
        "freeze: 6, renewals: 2, local_steps: 2, most_local: 2, beta2: 0.9",
        MOMENTS | {"freeze": "7", "renewals": "1", "local_steps": "1", "most_local": "1"},
    ),
    "local_sgd": ("lr: 0.1", {"lr": "0.05", "steps": "2", "beta": "0.5"}),
    "pactrain": ("lr: 0.1, pruned: 0.4", {"lr": "0.05", "beta": "0.5", "pruned": "0.9"}),
    "signum": ("lr: 0.1", {"lr": "0.05", "beta": "0.5"}),
}
for _kind, (_given, _changes) in FIELDS.items():
    _base = BASE | {"sync": "ring"} if _kind == "pactrain" else RIDGE
    _others = {part.split(": ")[0]: part.split(": ")[1] for part in _given.split(", ")}
    for _name, _value in _changes.items():
        _changed = ", ".join(f"{key}: {value}" for key, value in (_others | {_name: _value}).items())
        CASES[f"optimizer.{_kind}.{_name}"] = (
            _base | {"train": STEPS.format(_kind, _given)},
            {"train": STEPS.format(_kind, _changed)},
        )
    CASES[f"optimizer.{_kind}.batch"] = (
        _base | {"train": STEPS.format(_kind, _given)},
        {"train": STEPS.format(_kind, _given).replace("batch: 2", "batch: 3")},
    )
