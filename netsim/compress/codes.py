"""Variable-length and block codes of whole numbers: what quantizers and sparsifiers put into the parts of a message.

Codes work on whole tensors at once. Every decoder takes any input: it raises WireError or returns as many numbers, all
within their range, as it was asked for.
"""

from __future__ import annotations

import constriction
import numpy as np

from netsim.compress.cpu import array, compiled, empty
from netsim.compress.wire import WireError
from netsim.lazy import torch

TRITS, TRIT_BITS = 29, 46
"""29 ternary digits fit into 46 bits: 1.5862 bits a digit, 0.08 % above log2 3, and the block into a 64-bit word."""

FREQUENCY_BITS = 16
MAX_GAMMA_LENGTH = 62


def pack_trits(trits: torch.Tensor) -> torch.Tensor:
    """Return the blocks [ceil(n / 29)], as int64 below 3^29, of ternary digits [n], the first digit lowest."""
    if trits.device.type == "cpu":
        blocks = torch.empty(-(-trits.numel() // TRITS), dtype=torch.int64)
        compiled.pack_trits(array(trits), TRITS, array(blocks))
        return blocks
    rows = torch.nn.functional.pad(trits.long(), (0, -trits.numel() % TRITS)).reshape(-1, TRITS)
    return (rows * _powers(trits.device)).sum(dim=1)


def unpack_trits(blocks: torch.Tensor, numel: int) -> torch.Tensor:
    """Return the first `numel` ternary digits of blocks, as uint8."""
    if blocks.device.type == "cpu":
        digits = empty((numel,), torch.uint8)
        compiled.unpack_trits(array(blocks), TRITS, array(digits))
        return digits
    return (blocks[:, None] // _powers(blocks.device)).remainder_(3).flatten()[:numel].byte()


def _powers(device: torch.device) -> torch.Tensor:
    return torch.tensor([3**place for place in range(TRITS)], device=device)


def entropy_encode(symbols: torch.Tensor, count: int) -> torch.Tensor:
    """Return 32-bit words, as int32, of symbols [n] below `count`, 2 or more, at their empirical entropy.

    The words hold each symbol's frequency in 16 bits, then the symbols by asymmetric numeral systems (Duda,
    arXiv:1311.2540), the last one first.
    """
    values = symbols.cpu().numpy().astype(np.int32)
    counts = np.bincount(values, minlength=count)
    top = 2**FREQUENCY_BITS - 1
    frequencies = np.where(counts, np.maximum(1, np.rint(counts * (top / max(counts.max(), 1)))), 0).astype(np.uint16)
    header = np.append(frequencies, np.zeros(count % 2, np.uint16)).view(np.uint32)
    coder = constriction.stream.stack.AnsCoder()
    if len(values):
        coder.encode_reverse(values, _model(frequencies))
    words = np.concatenate([header, coder.get_compressed()]).view(np.int32)
    return torch.from_numpy(words).to(symbols.device)


def entropy_decode(words: torch.Tensor, count: int, numel: int) -> torch.Tensor:
    """Return the `numel` symbols below `count`, as int64, that words stand for."""
    data = words.cpu().numpy().view(np.uint32)
    header = -(-count // 2)
    frequencies = data[:header].view(np.uint16)[:count]
    if len(data) < header or (numel and not frequencies.any()):
        raise WireError("an entropy-coded part has no frequencies of its symbols")
    try:
        coder = constriction.stream.stack.AnsCoder(data[header:])
        values = coder.decode(_model(frequencies), numel) if numel else np.empty(0, np.int32)
    except ValueError as error:
        raise WireError(f"an entropy-coded part is damaged: {error}") from error
    if not coder.is_empty():
        raise WireError("an entropy-coded part holds more than its symbols")
    return torch.from_numpy(values.astype(np.int64)).to(words.device)


def _model(frequencies: np.ndarray[tuple[int], np.dtype[np.uint16]]) -> constriction.stream.model.Categorical:
    return constriction.stream.model.Categorical(frequencies.astype(np.float64), perfect=False)


def gamma_encode(values: torch.Tensor) -> torch.Tensor:
    """Return the bits, as bool, of Elias's gamma code of int64 values [n] of 1 or more: 2 floor(log2 v) + 1 bits each.

    The unary lengths of all values come first and their binary digits, the lowest first, after them: the bits of the
    code (Elias, IEEE Trans. Inf. Theory 1975) in another order, so that all values can be read at once.
    """
    length = torch.frexp(values.double()).exponent.long() - 1
    ends = (length + 1).cumsum(0)
    unary = torch.zeros(int(ends[-1]) if len(ends) else 0, dtype=torch.bool, device=values.device)
    unary[ends - 1] = True
    element, place = _places(length)
    return torch.cat([unary, (values[element] >> place & 1).bool()])


def gamma_decode(bits: torch.Tensor, numel: int) -> torch.Tensor:
    """Return the `numel` values, as int64, that bits stand for."""
    ends = bits.nonzero().flatten()[:numel]
    if len(ends) < numel:
        raise WireError(f"a gamma-coded part holds {len(ends)} values instead of {numel}")
    length = torch.diff(ends, prepend=ends.new_tensor([-1])) - 1
    digits = bits[int(ends[-1]) + 1 if numel else 0 :]
    if len(digits) != int(length.sum()) or (numel and int(length.max()) > MAX_GAMMA_LENGTH):
        raise WireError("a gamma-coded part holds more or fewer digits than its lengths say")
    element, place = _places(length)
    return (1 << length).index_add_(0, element, digits.long() << place)


def delta_encode(sizes: torch.Tensor, minus: torch.Tensor) -> torch.Tensor:
    """Return 32-bit words, as int32, of whole numbers [d], of which most are 0, and their signs, as BytePS codes them.

    Every size that is not 0 is the distance from the one before it in Elias's delta code, the sign, and the size in
    delta code; a value v takes floor(log2 v) + 2 floor(log2(floor(log2 v) + 1)) + 1 bits. Zeros fill the last word.
    """
    words = compiled.delta_encode(array(sizes.cpu()).view(np.uint64), array(minus.cpu()))
    return torch.from_numpy(words.view(np.int32)).to(sizes.device)


def delta_decode(words: torch.Tensor, numel: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the `numel` whole numbers, as the 64 bits of int64, and the signs, as bool, that words stand for."""
    sizes, minus = np.zeros(numel, np.uint64), np.zeros(numel, np.bool_)
    if not compiled.delta_decode(array(words.cpu()).view(np.uint32), sizes, minus):
        raise WireError(f"a delta-coded part does not hold {numel} numbers")
    return torch.from_numpy(sizes.view(np.int64)).to(words.device), torch.from_numpy(minus).to(words.device)


def _places(length: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return, for each digit of numbers with `length` digits, whose digit it is and its place."""
    element = torch.repeat_interleave(length)
    start = length.cumsum(0) - length
    return element, torch.arange(len(element), device=length.device) - start[element]
