"""Coding times on a V100 as published, and estimates where nothing is: the figures behind cost model `documented`.

Sources, all for V100 GPUs:

* Slopes and fixed parts: constants of the simulator published with Espresso (Wang et al., EuroSys 2023), microseconds
  of a call on 2^20 elements. A call costs 26 to encode and 22 to decode; to these come Random-K 88 and 34, DGC
  390 and 34, EF-SignSGD 270 and 140, One-bit 620 and 170.
* Floors: Cupcake (MLSys 2023), section 3.1. Encoding takes at least 0.25 ms with EF-SignSGD and One-bit and 0.4 ms
  with DGC, whatever the size, and grows beyond about 4 MB. Floor and slope of the two papers meet at 3.3 MB for
  EF-SignSGD and 3.9 MB for DGC, which agrees with that.
* Estimates: (bytes an element that unfused kernels read and write) / 720 GB/s, which is 80 % of a V100's 900 GB/s,
  and the fixed parts above for a call.
"""

from __future__ import annotations

from dataclasses import dataclass

DEVICE = "V100"
V100_BYTES_PER_S = 0.8 * 900e9
HOST_BYTES_PER_S = 2 * 21.3e9
"""Assumed for summing on a server's CPU: what two channels of DDR4-2666 carry."""

ENCODE_CALL_S, DECODE_CALL_S = 26e-6, 22e-6
LAUNCH_S = 10e-6
"""A kernel launch from an eager framework."""


@dataclass(frozen=True)
class Figures:
    """Floor, fixed part [s] and slope [s an element] of encoding and of decoding, and where they are from."""

    encode: tuple[float, float, float]
    decode: tuple[float, float, float]
    source: str


def _published(family: str, floor_ms: float, encode_us: float, decode_us: float) -> Figures:
    encode = (floor_ms * 1e-3, ENCODE_CALL_S, encode_us * 1e-6 / 2**20)
    floor = "; floor from Cupcake, MLSys 2023" if floor_ms else ""
    decode = (0.0, DECODE_CALL_S, decode_us * 1e-6 / 2**20)
    return Figures(encode, decode, f"{family} in Espresso, EuroSys 2023{floor}")


def _estimated(encode_bytes: float, decode_bytes: float, launches: int = 0) -> Figures:
    """Return what `encode_bytes` and `decode_bytes` of memory traffic an element cost."""
    encode = (0.0, ENCODE_CALL_S + launches * LAUNCH_S, encode_bytes / V100_BYTES_PER_S)
    decode = (0.0, DECODE_CALL_S if decode_bytes else 0.0, decode_bytes / V100_BYTES_PER_S)
    return Figures(encode, decode, f"estimated from memory traffic, {encode_bytes:g} + {decode_bytes:g} B an element")


NOTHING = Figures((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), "nothing to compute")

FIGURES: dict[str, Figures] = {
    "none": NOTHING,
    "scaled_sign": _published("EF-SignSGD", 0.25, 270, 140),
    # One-bit there is the code with two means; the root mean square of rms_sign takes one pass less.
    "rms_sign": _published("One-bit", 0.25, 620, 170),
    # DGC finds its threshold on a sample where topk sorts out all elements.
    "topk": _published("DGC", 0.4, 390, 34),
    "randomk": _published("Random-K", 0.0, 88, 34),
    # One pass: 4 bytes and 2 bytes.
    "fp16": _estimated(6, 6),
    "bf16": _estimated(6, 6),
    # Norm 4, scaling 8, noise 4, adding it 12, floor 8, code 5; and back: code 5, scaling 8.
    "qsgd": _estimated(41, 13),
    # Largest magnitude 4, scaling 8, rounding 5; and back 5 and 8. int8 likewise, in buckets.
    "fp8": _estimated(17, 13),
    "int8": _estimated(17, 13),
    # Mean and deviation 8, clipping 8, largest magnitude 4, noise 4, comparing 9, packing 5; and back 5 and 8.
    "terngrad": _estimated(38, 13),
    # One-bit's code with the error of error_feedback, all of it when encoding.
    "compressed_all_reduce": _published("One-bit", 0.25, 620, 170),
    # Comparing 5, two column means 10 each; and back 5.
    "onebit_columns": _estimated(25, 5),
    # Momentum 12, comparing 5; and back 5.
    "sign_majority": _estimated(17, 5),
    # Noise 4, adding it 12, shifting 8, packing 6; and back 6 and 8.
    "natural": _estimated(30, 14),
    # Norm 4, scaling 8, splitting 12, noise 4, comparing 9, packing 9; and back 5 and 8.
    "natural_dithering": _estimated(46, 13),
    # Root mean square 4, scaling 8, searching 5; and back: table 5, scaling 8.
    "lloyd_max": _estimated(17, 13),
    # Root mean square 4, scaling 8, 16 distances to four values written and read 32; and back 4 and 8.
    "vector_quantizer": _estimated(44, 12),
    # Norm 4, scaling 8, signs 8, 20 butterflies in 4 passes of 8 each 32, signs or points 9; and back 5, 32, 8 and 8.
    "drive": _estimated(61, 53),
    "eden": _estimated(65, 53),
    # As eden, with noise 4, adding and comparing 13.
    "thc": _estimated(82, 53),
    # Five rows, each hashing 8 and adding 12; and back five rows of 12, median 24, selection 12.
    "count_sketch": _estimated(100, 96, launches=5),
    # G Q and G^T P read the matrix twice, P Q^T writes it; orthogonalising takes some 20 launches.
    "powersgd": _estimated(8, 4, launches=20),
    # Adding the residual 12, decoding the own message 4, subtracting it 12: all of it when encoding.
    "error_feedback": _estimated(28, 0),
    # At the owner: adding its error 12, decoding its own code 4, subtracting it 12.
    "two_way": _estimated(28, 0),
    "warm_up": NOTHING,
    # Selecting as topk, then signs and cells of few elements.
    "topk_quantized": _published("DGC", 0.4, 390, 34),
    # Comparing 4 + 1, counting and compacting 1 + 4; scattering writes 4.
    "threshold": _estimated(10, 4),
    # Two sides, each masked 5 and sorted out as DGC's sample is not: twice the figures of topk's selection.
    "adaptive_threshold": _published("DGC", 0.4, 2 * 390, 34),
    # Squaring and adding a block's elements reads 4; few norms are left to sort.
    "block_topk": _estimated(8, 4, launches=5),
    # Published times hold momentum correction: velocity 12, unsent 12, masking 16 are part of them.
    "dgc": _published("DGC", 0.4, 390, 34),
    # As topk; a merge sorts 2 k elements besides.
    "gtopk": _published("DGC", 0.4, 390, 34),
    # Comparing and compacting 10, scattering 4; its owners' part again on what arrives.
    "oktopk": _estimated(14, 8, launches=10),
    # Gathering by the mask 12; scattering 12.
    "pactrain": _estimated(12, 12, launches=5),
    # Finding blocks that are not zero reads 4; blocks are few. Writing the result 4.
    "omnireduce": _estimated(4, 4, launches=5),
    # Finding non-zeros 5, compacting 4; writing the result 4.
    "sparcml": _estimated(9, 4, launches=5),
    # Finding non-zeros 5, hashing and placing them 4; the bitmap and the result 5.
    "zen": _estimated(9, 5, launches=5),
    # Difference 12, own code decoded 4, two estimates 24.
    "ef21": _estimated(40, 0),
    # Velocity 12, unsent 12, own code decoded 4, masking 12, subtracting 12.
    "momentum_correction": _estimated(52, 0),
    # Norm 4, scaling 8.
    "local_clipping": _estimated(12, 0),
    # Few numbers of a message are left to round.
    "cast": _estimated(6, 0),
    "skip_small": NOTHING,
    "as_shipped": NOTHING,
}

AGGREGATE = (0.0, LAUNCH_S, 12 / HOST_BYTES_PER_S)
"""A server adds one float32 message to its sum: 12 bytes an element, estimated."""
