"""Cases of the forms in which frameworks send."""

from __future__ import annotations

FIELDS = {
    "randomk": {"index": "raw32"},
    "natural_dithering": {"code": "delta"},
    "int8": {"zero_point": "true"},
}

CASES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    f"scheme.{kind}.{field}": ({"schemes": f"[{kind}]"}, {"schemes": f"[{{kind: {kind}, {field}: {value}}}]"})
    for kind, values in FIELDS.items()
    for field, value in values.items()
}
