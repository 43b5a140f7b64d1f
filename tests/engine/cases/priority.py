"""Cases of the partitions of collectives."""

from __future__ import annotations

Case = tuple[dict[str, str], dict[str, str]]

COLLECTIVES = (
    "all_gather",
    "all_to_all",
    "double_binary_tree",
    "halving_doubling",
    "hierarchical",
    "ring",
    "torus_2d",
    "tree",
)

CASES: dict[str, Case] = {
    f"sync.{name}.partition": ({"sync": name}, {"sync": f"{{kind: {name}, partition: 10 kB}}"}) for name in COLLECTIVES
}
