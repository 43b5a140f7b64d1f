"""Cases of what figures of other people's clusters asked for."""

from __future__ import annotations

CASES = {
    "sync.tree.children": ({"sync": "tree"}, {"sync": "{kind: tree, children: at_once}"}),
}
