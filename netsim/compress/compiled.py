"""Compiled loops over tensors on the CPU: one pass through memory where array operations take several.

Everything stands in one file, because the compiler's cache of a function does not see that a function of another file
has changed. Arrays are flat and contiguous. Noise is a function of a seed and an element's place (SplitMix64: Steele,
Lea, Flood, OOPSLA 2014), so that it can be drawn in any order and where it is needed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Bits = NDArray[np.uint32]

COARSE, FINE = 16, 15
"""The 31 bits of a magnitude, of which whole numbers have the same order as the floats, in two digits."""
LARGEST_FLOAT = float(np.finfo(np.float32).max)
TINY = float(np.finfo(np.float32).tiny)


@njit(cache=True)
def _noise(seed: np.uint64, place: int) -> np.float32:
    """Return a uniform number of [0, 1) with 24 bits."""
    mixed = seed + np.uint64(place + 1) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.float32((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(40)) * np.float32(2.0**-24)


@njit(cache=True, fastmath={"reassoc", "nsz"})
def sums(values: Floats) -> tuple[float, float, float]:
    """Return the sum of magnitudes, the sum of squares and the largest magnitude; no sum of floats can overflow."""
    total, squares, peak = 0.0, 0.0, np.float32(0)
    for value in values:
        size = abs(value)
        total += size
        squares += np.float64(size) * np.float64(size)
        peak = max(peak, size)
    return total, squares, float(peak)


@njit(cache=True, fastmath={"reassoc", "nsz"})
def signs(values: Floats, plus: NDArray[np.bool_]) -> tuple[float, float]:
    """Set whether each value is 0 or more; return the sum of magnitudes and the sum of squares."""
    total, squares = 0.0, 0.0
    for place in range(len(values)):
        value = np.float64(values[place])
        plus[place] = value >= 0
        total += abs(value)
        squares += value * value
    return total, squares


@njit(cache=True)
def largest(bits: Bits, count: int) -> NDArray[np.int64]:
    """Return the rising places of the `count` largest magnitudes, the first ones of those that are equal.

    A histogram of the upper digit says in which cell the smallest of them is; only what is in it or above is kept, and
    only what is in it needs a look at the lower digit.
    """
    cells = np.zeros(1 << COARSE, np.int64)
    for one in bits:
        cells[(one & 0x7FFFFFFF) >> FINE] += 1
    cell, beyond = _cell(cells, count)
    held = np.empty(beyond + cells[cell], np.int64)
    fine = np.zeros(1 << FINE, np.int64)
    found, edge = 0, np.uint32(cell << FINE)
    for place in range(len(bits)):
        size = bits[place] & np.uint32(0x7FFFFFFF)
        if size >= edge:
            held[found] = place
            found += 1
            if size - edge < 1 << FINE:
                fine[size - edge] += 1
    least, more = _cell(fine, count - beyond)
    edge += np.uint32(least)
    ties, kept = count - beyond - more, 0
    for place in held:
        size = bits[place] & np.uint32(0x7FFFFFFF)
        if size < edge or (size == edge and not ties):
            continue
        ties -= size == edge
        held[kept] = place
        kept += 1
    return held[:count]


@njit(cache=True)
def _cell(cells: NDArray[np.int64], count: int) -> tuple[int, int]:
    """Return the cell in which the count-th largest is, and how many are beyond it."""
    beyond, cell = 0, len(cells) - 1
    while beyond + cells[cell] < count:
        beyond += cells[cell]
        cell -= 1
    return cell, beyond


@njit(cache=True)
def pack(elements: NDArray[np.unsignedinteger], width: int, data: NDArray[np.uint8], at: int) -> None:
    """Write the lowest `width` bits, at least one, of each element from bit `at` of zeroed data on."""
    byte, filled = at >> 3, np.uint64(at & 7)
    held = np.uint64(data[byte]) if filled else np.uint64(0)
    mask = np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 - width)
    for element in elements:
        bits, left = np.uint64(element) & mask, np.uint64(width)
        held |= bits << filled
        while filled + left >= np.uint64(8):
            data[byte] = held & np.uint64(255)
            byte += 1
            bits >>= np.uint64(8) - filled
            left -= np.uint64(8) - filled
            filled, held = np.uint64(0), bits
        filled += left
    if filled:
        data[byte] = held


@njit(cache=True)
def unpack(data: NDArray[np.uint8], at: int, width: int, elements: NDArray[np.unsignedinteger]) -> None:
    """Set each element to the next `width` bits, at least one, from bit `at` of data on."""
    byte, held, filled = at >> 3, np.uint64(0), np.uint64(0)
    if at & 7:
        held, filled = np.uint64(data[byte] >> (at & 7)), np.uint64(8 - (at & 7))
        byte += 1
    mask = np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 - width)
    for place in range(len(elements)):
        bits, have = held, filled
        while have < np.uint64(width):
            held = np.uint64(data[byte])
            bits |= held << have
            byte += 1
            have += np.uint64(8)
        elements[place] = bits & mask
        rest = have - np.uint64(width)
        held = bits >> np.uint64(width) if filled >= np.uint64(width) else held >> (np.uint64(8) - rest)
        filled = rest


@njit(cache=True)
def choose(plus: NDArray[np.bool_], high: float, low: float, out: Floats) -> None:
    """Set each element to one of two values."""
    for place in range(len(plus)):
        out[place] = high if plus[place] else low


@njit(cache=True)
def round_levels(
    values: Floats,
    bucket: int,
    levels: int,
    squared: bool,
    seed: np.uint64,
    norms: Floats,
    codes: NDArray[np.integer],
) -> None:
    """Set the norm of each bucket, and the code of each element: its multiple of norm / levels, counted from -levels.

    Rounding is at random, or to the nearest where `seed` is 0.
    """
    for row in range(len(norms)):
        first, last = row * bucket, min((row + 1) * bucket, len(values))
        norm, squares = np.float32(0), 0.0
        for value in values[first:last]:
            norm = max(norm, abs(value))
        if squared:
            for value in values[first:last]:
                squares += np.float64(value) * np.float64(value)
            norm = np.float32(min(np.sqrt(squares), LARGEST_FLOAT))
        norms[row] = norm
        scale = levels / max(np.float64(norm), TINY)
        for place in range(first, last):
            part = _noise(seed, place) if seed else np.float32(0.5)
            level = np.floor(values[place] * scale + part)
            codes[place] = np.int64(min(max(level, -levels), levels)) + levels


@njit(cache=True)
def level_values(codes: NDArray[np.integer], bucket: int, levels: int, norms: Floats, out: Floats) -> None:
    """Set each element to the value of its code."""
    for row in range(len(norms)):
        step = norms[row] / np.float32(levels)
        for place in range(row * bucket, min((row + 1) * bucket, len(out))):
            out[place] = np.float32(np.int64(codes[place]) - levels) * step


@njit(cache=True)
def round_ternary(values: Floats, scale: float, seed: np.uint64, digits: NDArray[np.uint8]) -> None:
    """Set each element's digit: 0, 1 or 2 for minus, nothing and plus, something with probability |value| / scale."""
    for place in range(len(values)):
        sent = _noise(seed, place) * scale < abs(values[place])
        digits[place] = 1 if not sent else (2 if values[place] > 0 else 0)


@njit(cache=True)
def pack_trits(digits: NDArray[np.uint8], each: int, blocks: NDArray[np.int64]) -> None:
    """Set each block to its ternary digits as a number, the first digit lowest."""
    for block in range(len(blocks)):
        total = np.int64(0)
        for place in range(min((block + 1) * each, len(digits)) - 1, block * each - 1, -1):
            total = total * 3 + digits[place]
        blocks[block] = total


@njit(cache=True)
def unpack_trits(blocks: NDArray[np.int64], each: int, digits: NDArray[np.uint8]) -> None:
    """Set each ternary digit of blocks."""
    for block in range(len(blocks)):
        rest = blocks[block]
        for place in range(block * each, min((block + 1) * each, len(digits))):
            digits[place] = rest % 3
            rest //= 3


@njit(cache=True)
def round_powers(bits: Bits, seed: np.uint64, zero: int, count: int, codes: NDArray[np.int16]) -> None:
    """Set twice the exponent of each float, rounded at random by its mantissa, and one more where it is negative.

    Exponents count from `zero`; there are `count` of them.
    """
    for place in range(len(bits)):
        up = np.uint32(_noise(seed, place) * np.float32(2**23))
        exponent = np.int64(((bits[place] & np.uint32(0x7FFFFFFF)) + up) >> np.uint32(23)) - zero
        number = 0 if exponent < 0 else (exponent if exponent < count else count - 1)
        codes[place] = 2 * number + np.int64(bits[place] >> np.uint32(31))


@njit(cache=True)
def powers(codes: NDArray[np.int16], zero: int, out: Bits) -> None:
    """Set the bits of each float of a sign and an exponent, counted from `zero`, which stands for no value."""
    for place in range(len(codes)):
        code = np.int64(codes[place])
        exponent = (code >> 1) + zero if code > 1 else 0
        out[place] = exponent << 23 | (code & 1) << 31


@njit(cache=True)
def nearest(values: Floats, scale: float, edges: Floats, codes: NDArray[np.uint8]) -> None:
    """Set the number of rising edges that each value over the scale is above."""
    for place in range(len(values)):
        value, low, high = np.float32(values[place] / scale), 0, len(edges)
        while low < high:
            middle = (low + high) >> 1
            above = edges[middle] < value
            low, high = (middle + 1, high) if above else (low, middle)
        codes[place] = low


@njit(cache=True)
def look_up(codes: NDArray[np.integer], table: Floats, out: Floats) -> None:
    """Set each element to the entry of a table."""
    for place in range(len(codes)):
        out[place] = table[codes[place]]


@njit(cache=True)
def places_above(values: Floats, least: float) -> NDArray[np.int64]:
    """Return the rising places of magnitudes of at least so much that are not zero."""
    count = 0
    for value in values:
        count += abs(value) >= least and value != 0
    places, found = np.empty(count, np.int64), 0
    for place in range(len(values)):
        if abs(values[place]) >= least and values[place] != 0:
            places[found] = place
            found += 1
    return places


@njit(cache=True)
def spread(values: Floats, places: NDArray[np.int64], out: Floats) -> bool:
    """Set places of zeros to values, the last one where some are equal; return whether all are places of `out`."""
    for number in range(len(values)):
        place = places[number]
        if place < 0 or place >= len(out):
            return False
        out[place] = values[number]
    return True


@njit(cache=True)
def block_squares(values: Floats, block: int, out: NDArray[np.float64]) -> None:
    """Set the sum of squares of each block of values."""
    for row in range(len(out)):
        total = 0.0
        for value in values[row * block : (row + 1) * block]:
            total += np.float64(value) * np.float64(value)
        out[row] = total


@njit(cache=True)
def by_owner(numel: int, owners: int, factor: int, order: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
    """Set the places of 0..numel-1 in order of owner, (place factor mod 2^32) owners / 2^32, and how many each has."""
    for place in range(numel):
        counts[(place * factor % 2**32 * owners) >> 32] += 1
    at = np.cumsum(counts) - counts
    for place in range(numel):
        owner = (place * factor % 2**32 * owners) >> 32
        order[at[owner]] = place
        at[owner] += 1


@njit(cache=True)
def dither(values: Floats, norm: float, levels: int, seed: np.uint64, codes: NDArray[np.uint8]) -> None:
    """Set each value's level, 0 or a power of two of the norm at random, with its sign and counted from -levels."""
    for place in range(len(values)):
        unit = min(abs(values[place]) / norm, 1.0)
        mantissa, exponent = math.frexp(unit)
        level, odds = exponent - 1 + levels, 2 * mantissa - 1
        if level <= 0 or unit == 0:  # the exponent of zero is that of 1/2
            level, odds = 0, unit * 2.0 ** (levels - 1)
        if level < levels and _noise(seed, place) < odds:
            level += 1
        codes[place] = levels - level if values[place] < 0 else levels + level


@njit(cache=True)
def _counter(place: int, factor: int, offset: int, columns: int) -> tuple[int, float]:
    """Return the column and the sign of an element in a row of a count sketch, from the upper half of its hash."""
    hashed = (place * factor + offset) >> 32
    return (((hashed >> 1) & (2**31 - 1)) * columns) >> 31, 2.0 * (hashed & 1) - 1


@njit(cache=True)
def sketch(values: Floats, factors: NDArray[np.int64], out: Floats) -> None:
    """Add every value to one counter of each row [rows, columns]."""
    for row in range(len(out)):
        for place in range(len(values)):
            column, sign = _counter(place, factors[row, 0], factors[row, 1], out.shape[1])
            out[row, column] += values[place] * np.float32(sign)


@njit(cache=True)
def sketch_medians(counters: Floats, factors: NDArray[np.int64], out: Floats) -> None:
    """Set each element to the lower median of its counters."""
    rows, columns = counters.shape
    found = np.empty(rows, np.float32)
    for place in range(len(out)):
        for row in range(rows):
            column, sign = _counter(place, factors[row, 0], factors[row, 1], columns)
            value, at = counters[row, column] * np.float32(sign), row
            while at and found[at - 1] > value:
                found[at] = found[at - 1]
                at -= 1
            found[at] = value
        out[place] = found[(rows - 1) // 2]


@njit(cache=True)
def halves(values: Floats, bits: Bits, out: NDArray[np.uint16]) -> None:
    """Set the bits of each value in half precision, rounded to the nearest; 65504 is as much as it can be.

    Args:
        values: finite floats.
        bits: of the values.
        out: bits of the rounded values.
    """
    for place in range(len(values)):
        size = min(bits[place] & np.uint32(0x7FFFFFFF), np.uint32(0x477FE000))  # 65504
        even = np.uint32(0xFFF) + ((size >> np.uint32(13)) & np.uint32(1))  # half a unit, ties go to the even one
        normal = (size - np.uint32(0x38000000) + even) >> np.uint32(13)  # exponents count from -15, not -127
        # Below 2^-14 units are all 2^-24, and adding 1/2 rounds to these.
        small = np.float32(abs(values[place]) + np.float32(0.5)).view(np.uint32) - np.uint32(0x3F000000)
        rounded = small if size < np.uint32(0x38800000) else normal
        out[place] = rounded | (bits[place] >> np.uint32(16)) & np.uint32(0x8000)


@njit(cache=True)
def brains(bits: Bits, out: NDArray[np.uint16]) -> None:
    """Set the upper half of the bits of each finite float, rounded to the nearest and to no infinity."""
    for place in range(len(bits)):
        size = min(bits[place] & np.uint32(0x7FFFFFFF), np.uint32(0x7F7F0000))  # the largest number
        rounded = (size + np.uint32(0x7FFF) + ((size >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
        out[place] = rounded | (bits[place] >> np.uint32(16)) & np.uint32(0x8000)


@njit(cache=True)
def _digits(value: np.uint64) -> int:
    """Return the binary digits of a whole number."""
    count = 0
    while value:
        value >>= np.uint64(1)
        count += 1
    return count


@njit(cache=True)
def _put(words: Bits, at: int, value: np.uint64, width: int) -> int:
    """Write the lowest `width` bits of a value, the highest first, from bit `at` of zeroed words; return the end."""
    for place in range(width - 1, -1, -1):
        if (value >> np.uint64(place)) & np.uint64(1):
            words[at >> 5] |= np.uint32(1) << np.uint32(31 - (at & 31))
        at += 1
    return at


@njit(cache=True)
def _put_delta(words: Bits, at: int, value: np.uint64) -> int:
    """Write Elias's delta code of a value of 1 or more: zeros, the digits' number, the digits below the first."""
    digits = _digits(value)
    at = _put(words, at, np.uint64(digits), 2 * _digits(np.uint64(digits)) - 1)
    return _put(words, at, value, digits - 1)


@njit(cache=True)
def _delta_bits(value: np.uint64) -> int:
    digits = _digits(value)
    return 2 * _digits(np.uint64(digits)) - 1 + digits - 1


@njit(cache=True)
def delta_encode(sizes: NDArray[np.uint64], minus: NDArray[np.bool_]) -> Bits:
    """Return the words of distance, sign and size of all sizes that are not 0."""
    total, last = 0, -1
    for place in range(len(sizes)):
        if sizes[place]:
            total += _delta_bits(np.uint64(place - last)) + 1 + _delta_bits(sizes[place])
            last = place
    words, at, last = np.zeros((total + 31) // 32, np.uint32), 0, -1
    for place in range(len(sizes)):
        if sizes[place]:
            at = _put_delta(words, at, np.uint64(place - last))
            at = _put(words, at, np.uint64(minus[place]), 1)
            at = _put_delta(words, at, sizes[place])
            last = place
    return words


@njit(cache=True)
def _take(words: Bits, at: int, width: int, value: np.uint64) -> np.uint64:
    """Return a value with the `width` bits from `at` on behind it."""
    for place in range(at, at + width):
        bit = (words[place >> 5] >> np.uint32(31 - (place & 31))) & np.uint32(1)
        value = (value << np.uint64(1)) | np.uint64(bit)
    return value


@njit(cache=True)
def _take_delta(words: Bits, at: int) -> tuple[np.uint64, int]:
    """Return the value whose delta code begins at a bit, and the end; 0 where none does, and where it begins."""
    total, start, zeros = 32 * len(words), at, 0
    while at < total and not _take(words, at, 1, np.uint64(0)):
        at, zeros = at + 1, zeros + 1
    if zeros > 6 or at + zeros + 1 > total:
        return np.uint64(0), start
    digits = int(_take(words, at, zeros + 1, np.uint64(0)))
    at += zeros + 1
    if digits > 64 or at + digits - 1 > total:
        return np.uint64(0), start
    return _take(words, at, digits - 1, np.uint64(1)), at + digits - 1


@njit(cache=True)
def delta_decode(words: Bits, sizes: NDArray[np.uint64], minus: NDArray[np.bool_]) -> bool:
    """Set the sizes, which are 0, and signs that words stand for; return whether they are the code of as many."""
    at, last, total = 0, -1, 32 * len(words)
    while True:
        gap, end = _take_delta(words, at)
        if not gap:
            break
        if gap > np.uint64(len(sizes)) or last + int(gap) >= len(sizes) or end >= total:
            return False
        last += int(gap)
        minus[last] = _take(words, end, 1, np.uint64(0)) == np.uint64(1)
        sizes[last], at = _take_delta(words, end + 1)
        if not sizes[last]:
            return False
    rest = total - at
    return rest < 32 and not _take(words, at, rest, np.uint64(0))
