"""Cases of the quantizers."""

from __future__ import annotations

FIELDS = {
    "fp8": {"format": "e5m2"},
    "int8": {"bucket": "100"},
    "terngrad": {"scale": "shared", "clip": "2.0"},
    "natural_dithering": {"levels": "4", "norm": "max"},
    "lloyd_max": {"levels": "8", "code": "entropy"},
    "vector_quantizer": {"dimension": "2", "codewords": "4"},
    "drive": {"scale": "least_error"},
    "eden": {"bits": "3"},
    "count_sketch": {"counters": "0.2", "rows": "3", "recovered": "0.05"},
    "qsgd": {"code": "elias"},
}
"""For each field of a scheme, a value that is not its default."""
AT_OWNERS = {
    "sign_majority": {"momentum": "0"},
    "thc": {"bits": "3", "granularity": "20", "clipped": "0.1"},
}

CASES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    f"scheme.{kind}.{field}": (
        {"schemes": f"[{kind}]", **sync},
        {"schemes": f"[{{kind: {kind}, {field}: {value}}}]"},
    )
    for kinds, sync in ((FIELDS, {}), (AT_OWNERS, {"sync": "all_to_all"}))
    for kind, values in kinds.items()
    for field, value in values.items()
}
