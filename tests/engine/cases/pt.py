"""Cases of pruned networks."""

from __future__ import annotations

Case = tuple[dict[str, str], dict[str, str]]

PUBLISHED = {
    "workload": "{kind: published, model: resnet50, gradients: small}",
    "job": "{steps: 1}",
    "schemes": "[zen]",
    "sync": "all_to_all",
}

CASES: dict[str, Case] = {
    "workload.published.pruned": (
        PUBLISHED,
        {"workload": "{kind: published, model: resnet50, gradients: small, pruned: 0.8}"},
    ),
    "job.skip_steps": (
        {"job": "{steps: 1}", "schemes": "[pactrain]"},
        {"job": "{steps: 1, skip_steps: 1}"},
    ),
}
