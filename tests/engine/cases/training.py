"""Cases of live workloads, training and optimizers."""

from __future__ import annotations

Case = tuple[dict[str, str], dict[str, str]]

RIDGE = "{kind: ridge, samples: 30, features: 3%s}"
LOGISTIC = "{kind: logistic, samples: 30, features: 3%s}"
PS = "{kind: parameter_server, sharding: even}"
ONE = "{kind: star, workers: 1, bandwidth: 10 Mbit/s, latency: 1 ms}"


def _train(optimizer: str, more: str = "") -> str:
    return f"{{optimizer: {optimizer}, max_epochs: 4, target: 1.0e-9, gradient_time: 1 ms{more}}}"


def _live(workload: str, changed: str) -> Case:
    return {"workload": workload, "sync": PS, "train": _train("central_vr_sync")}, {"workload": changed}


def _field(more: str) -> Case:
    given = {"workload": RIDGE % "", "sync": PS, "train": _train("central_vr_sync")}
    return given, {"train": _train("central_vr_sync", more)}


def _optimizer(kind: str, field: str, value: str) -> Case:
    one = {"workload": RIDGE % "", "sync": PS, "train": _train(kind)}
    if kind in {"svrg", "saga", "central_vr"}:
        one["topology"] = ONE
    return one, {"train": _train(f"{{kind: {kind}, {field}: {value}}}")}


_FIELDS = {
    "central_vr": {"lr": "0.05"},
    "central_vr_sync": {"lr": "0.05"},
    "central_vr_async": {"lr": "0.05"},
    "svrg": {"lr": "0.05", "epochs": "1"},
    "d_svrg": {"lr": "0.05", "epochs": "1"},
    "saga": {"lr": "0.05"},
    "d_saga": {"lr": "0.05", "epochs": "0.5"},
    "sgd": {"lr": "0.05", "batch": "3"},
    "momentum": {"lr": "0.05", "batch": "3", "beta": "0.5"},
    "adam": {"lr": "0.05", "batch": "3", "beta1": "0.5", "beta2": "0.5", "epsilon": "0.1"},
    "lamb": {
        "lr": "0.05", "batch": "3", "beta1": "0.5", "beta2": "0.5", "epsilon": "0.1", "least": "0.1",
    },
    "easgd": {"lr": "0.05", "steps": "3", "pull_strength": "0.5"},
    "asgd": {"lr": "0.05", "batch": "3"},
}  # fmt: skip

CASES: dict[str, Case] = {
    "workload.bundled.data": _live("{kind: bundled}", "{kind: bundled, data: digits}"),
    "workload.bundled.penalty": _live("{kind: bundled}", "{kind: bundled, penalty: 0.1}"),
    "workload.table.path": _live("{kind: table, path: samples.csv}", "{kind: table, path: others.csv}"),
    "workload.table.loss": _live("{kind: table, path: samples.csv}", "{kind: table, path: samples.csv, loss: squared}"),
    "workload.table.penalty": _live("{kind: table, path: samples.csv}", "{kind: table, path: samples.csv, penalty: 1}"),
    "train.target": (
        {"workload": RIDGE % "", "sync": PS, "train": "{optimizer: central_vr_sync, target: 0.5}"},
        {"train": "{optimizer: central_vr_sync, target: 0.05}"},
    ),
    "train.until": _field(", until: 50 ms"),
    "train.max_epochs": (
        {"workload": RIDGE % "", "sync": PS, "train": "{optimizer: central_vr_sync, max_epochs: 2}"},
        {"train": "{optimizer: central_vr_sync, max_epochs: 3}"},
    ),
    "train.gradient_time": (
        {"workload": RIDGE % "", "sync": PS, "train": "{optimizer: central_vr_sync, max_epochs: 2}"},
        {"train": "{optimizer: central_vr_sync, max_epochs: 2, gradient_time: 1 ms}"},
    ),
    "train.speed_spread": _field(", speed_spread: 2"),
    "train.every": (
        {"workload": RIDGE % "", "sync": PS, "train": "{optimizer: sgd, max_epochs: 2}"},
        {"train": "{optimizer: sgd, max_epochs: 2, every: 0.1}"},
    ),
    "optimizer.lamb.most": (
        {"workload": RIDGE % "", "sync": PS, "train": _train("{kind: lamb, lr: 1}")},
        {"train": _train("{kind: lamb, lr: 1, most: 0.02}")},
    ),
    "optimizer.asgd.bound": (
        {"workload": RIDGE % "", "sync": PS, "train": _train("asgd", ", speed_spread: 9")},
        {"train": _train("{kind: asgd, bound: 0}", ", speed_spread: 9")},
    ),
}
for _kind, _workload in (("ridge", RIDGE), ("logistic", LOGISTIC)):
    CASES[f"workload.{_kind}.samples"] = _live(_workload % "", _workload.replace("30", "31") % "")
    CASES[f"workload.{_kind}.features"] = _live(_workload % "", _workload.replace("features: 3", "features: 4") % "")
    for _name, _value in (("conditioning", "2"), ("noise", "0.1"), ("penalty", "0.1")):
        CASES[f"workload.{_kind}.{_name}"] = _live(_workload % "", _workload % f", {_name}: {_value}")
for _kind, _fields in _FIELDS.items():
    for _name, _value in _fields.items():
        CASES[f"optimizer.{_kind}.{_name}"] = _optimizer(_kind, _name, _value)
