"""Cases of the sparsifiers and of the wrappers that came with them."""

from __future__ import annotations

Case = tuple[dict[str, str], dict[str, str]]


def _scheme(one: str, other: str) -> Case:
    return {"schemes": f"[{one}]"}, {"schemes": f"[{other}]"}


def _field(kind: str, value: str, before: str = "") -> Case:
    first = f"{{kind: {kind}, {before}}}" if before else kind
    return _scheme(first, f"{{kind: {kind}, {before}{', ' if before else ''}{value}}}")


def _wrapped(wrapper: str, value: str) -> Case:
    return _scheme(f"[{wrapper}, topk]", f"[{{kind: {wrapper}, {value}}}, topk]")


def _inner(wrapper: str) -> Case:
    return _scheme(f"[{wrapper}, topk]", f"[{wrapper}, qsgd]")


def _owners(kind: str, value: str) -> Case:
    base, change = _field(kind, value)
    return base | {"sync": "all_to_all", "workload": "{kind: recorded, trace: other}"}, change


def _tree(kind: str, value: str) -> Case:
    base, change = _field(kind, value)
    return base | {"sync": "tree"}, change


CASES: dict[str, Case] = {
    "scheme.gtopk.ratio": _tree("gtopk", "ratio: 0.1"),
    "scheme.gtopk.index": _tree("gtopk", "index: raw64"),
    "scheme.topk.index": _field("topk", "index: raw64"),
    "scheme.topk_quantized.ratio": _field("topk_quantized", "ratio: 0.1"),
    "scheme.topk_quantized.bits": _field("topk_quantized", "bits: 4"),
    "scheme.topk_quantized.index": _field("topk_quantized", "index: raw32"),
    "scheme.threshold.threshold": _field("threshold", "threshold: 1.5"),
    "scheme.threshold.index": _field("threshold", "index: raw32"),
    "scheme.adaptive_threshold.ratio": _field("adaptive_threshold", "ratio: 0.1"),
    "scheme.adaptive_threshold.index": _field("adaptive_threshold", "index: raw32"),
    "scheme.block_topk.ratio": _field("block_topk", "ratio: 0.5"),
    "scheme.block_topk.block": _field("block_topk", "block: 8"),
    "scheme.block_topk.index": _field("block_topk", "index: raw32"),
    "scheme.dgc.ratio": _field("dgc", "ratio: 0.1"),
    "scheme.dgc.momentum": _field("dgc", "momentum: 0.5", "ratio: 0.1"),
    "scheme.dgc.clipping": _field("dgc", "clipping: 0.1", "ratio: 0.1"),
    "scheme.dgc.sample": _field("dgc", "sample: 0.5", "ratio: 0.1"),
    "scheme.dgc.warm_up": _field("dgc", "warm_up: 2", "ratio: 0.1"),
    "scheme.dgc.index": _field("dgc", "index: raw64", "ratio: 0.1"),
    "scheme.powersgd.min_compression_rate": _field("powersgd", "min_compression_rate: 50"),
    "scheme.powersgd.rows": _field("powersgd", "rows: height"),
    "scheme.ef21.inner": _inner("ef21"),
    "scheme.momentum_correction.inner": _inner("momentum_correction"),
    "scheme.momentum_correction.momentum": _wrapped("momentum_correction", "momentum: 0.5"),
    "scheme.momentum_correction.nesterov": _wrapped("momentum_correction", "nesterov: true"),
    "scheme.momentum_correction.masking": _wrapped("momentum_correction", "masking: false"),
    "scheme.local_clipping.inner": _inner("local_clipping"),
    "scheme.local_clipping.norm": _wrapped("local_clipping", "norm: 0.1"),
    "scheme.cast.inner": _inner("cast"),
    "scheme.cast.dtype": _wrapped("cast", "dtype: bf16"),
    "scheme.skip_small.inner": _inner("skip_small"),
    "scheme.skip_small.below": _wrapped("skip_small", "below: 100"),
    "scheme.as_shipped.inner": _inner("as_shipped"),
    "scheme.as_shipped.framework": _wrapped("as_shipped", "framework: grace_torch"),
    "scheme.pactrain.pruned": _field("pactrain", "pruned: 0.5"),
    "scheme.pactrain.ternary": _field("pactrain", "ternary: true"),
    "scheme.oktopk.ratio": _owners("oktopk", "ratio: 0.1"),
    "scheme.oktopk.period": _owners("oktopk", "period: 1"),
    "scheme.oktopk.balance": _owners("oktopk", "balance: 1"),
    "scheme.omnireduce.block": _owners("omnireduce", "block: 32"),
    "scheme.sparcml.form": _owners("sparcml", "form: dsar"),
    "scheme.zen.pull": _owners("zen", "pull: coo"),
}
