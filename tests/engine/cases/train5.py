"""Cases of the gradient that corrects the local steps of distributed SVRG."""

from __future__ import annotations

Case = tuple[dict[str, str], dict[str, str]]


def _train(optimizer: str) -> str:
    return f"{{optimizer: {optimizer}, max_epochs: 6, target: 1.0e-9, gradient_time: 1 ms}}"


CASES: dict[str, Case] = {
    "optimizer.d_svrg.gradient": (
        {
            "workload": "{kind: ridge, samples: 30, features: 3}",
            "sync": "{kind: parameter_server, sharding: even}",
            "train": _train("d_svrg"),
        },
        {"train": _train("{kind: d_svrg, gradient: local}")},
    ),
}
