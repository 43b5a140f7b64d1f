"""Cases of policies that set what comes next in a training."""

from __future__ import annotations

Case = tuple[dict[str, str], dict[str, str]]

WORKLOAD = {"workload": "{kind: ridge, samples: 60, features: 8}", "schemes": "[{kind: topk, ratio: 0.3}]"}
LARGE = {"workload": "{kind: ridge, samples: 60, features: 4000}"}
STEPS = "{optimizer: {kind: local_sgd, lr: 0.01, steps: 2}, max_epochs: 1, gradient_time: 200 us, target: 1.0e-9%s}"
RATIO = "{optimizer: {kind: sgd, lr: 0.01}, max_epochs: 1, gradient_time: 10 ms, target: 1.0e-9%s}"
SLOWER = {"conditions": "[{kind: link_profile, links: [worker0], at: [30 ms], latency: [20 ms]}]"}


def _case(train: str, kind: str, given: str, changed: str, base: dict[str, str] | None = None) -> Case:
    policy = ", policy: {kind: %s, %s}"
    train_of = {"train": train % (policy % (kind, given))}
    return WORKLOAD | (base or {}) | train_of, {"train": train % (policy % (kind, changed))}


CASES: dict[str, Case] = {
    "train.policy": (WORKLOAD | {"train": STEPS % ""}, {"train": STEPS % ", policy: adaptive_steps"}),
    "policy.adaptive_steps.share": _case(STEPS, "adaptive_steps", "share: 0.5", "share: 0.9"),
    "policy.adaptive_steps.most": _case(STEPS, "adaptive_steps", "most: 9", "most: 8"),
    "policy.adaptive_steps.rounds": _case(STEPS, "adaptive_steps", "share: 0.9", "share: 0.9, rounds: 1", SLOWER),
    "policy.adaptive_ratio.share": _case(RATIO, "adaptive_ratio", "share: 0.6, most: 1", "share: 0.7, most: 1"),
    "policy.adaptive_ratio.least": _case(RATIO, "adaptive_ratio", "share: 0.01", "share: 0.01, least: 0.25"),
    "policy.adaptive_ratio.most": _case(RATIO, "adaptive_ratio", "share: 9", "share: 9, most: 0.5"),
    "policy.adaptive_ratio.rounds": _case(
        RATIO, "adaptive_ratio", "share: 0.7, most: 1", "share: 0.7, most: 1, rounds: 1", LARGE
    ),
}
