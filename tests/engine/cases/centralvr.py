"""Cases of asynchronous SVRG on a parameter server, and of which workers are slow."""

from __future__ import annotations

Case = tuple[dict[str, str], dict[str, str]]

GIVEN = {
    "workload": "{kind: ridge, samples: 30, features: 3}",
    "sync": "{kind: parameter_server, sharding: even}",
}


def _train(optimizer: str, more: str = "") -> str:
    return f"{{optimizer: {optimizer}, max_epochs: 6, target: 1.0e-9, gradient_time: 1 ms{more}}}"


CASES: dict[str, Case] = {
    f"optimizer.ps_svrg.{field}": (
        GIVEN | {"train": _train("ps_svrg")},
        {"train": _train(f"{{kind: ps_svrg, {field}: {value}}}")},
    )
    for field, value in (("lr", "0.05"), ("epochs", "1"), ("batch", "3"))
}
CASES["train.slow_workers"] = (
    GIVEN | {"train": _train("central_vr_async", ", speed_spread: 3")},
    {"train": _train("central_vr_async", ", speed_spread: 3, slow_workers: 1")},
)
