"""Cases of what frameworks ship."""

from __future__ import annotations

CASES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "scheme.terngrad.code": ({"schemes": "[terngrad]"}, {"schemes": "[{kind: terngrad, code: fixed}]"}),
    "scheme.natural.exponent_bits": ({"schemes": "[natural]"}, {"schemes": "[{kind: natural, exponent_bits: 7}]"}),
}
