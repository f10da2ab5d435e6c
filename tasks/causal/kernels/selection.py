"""Pick the nearest of many distances, without branches that depend on them.

A branch that follows the data is guessed wrong half the time, and each wrong guess costs as much
as comparing 300 distances. So the bound that hardly more than k rows lie within is found by
halving, the rows within it are listed by masks, and each finds its own place by counting the keys
below it. Only lists of more than 32 are sorted by insertion.

A neighbour is one 64-bit key: distance, then |dt|, then the side. Keys sort as the reference
orders neighbours, ties included, and say which row is meant.
"""

import numpy as np

from tasks.causal.kernels.vectors import (
    LANES,
    bits_of_float,
    count_below,
    count_bits,
    fill,
    float_of_bits,
    inner,
    load,
    lowest_bit,
    mask_at_most,
)

_LOW = np.uint64(0xFFFFFFFF)
_NO_KEY = np.uint64(0x7FFFFFFFFFFFFFFF)
_INFINITY_BITS = np.uint64(0x7F800000)

_TWICE = np.uint64(1 << 23)
"""What doubles a float32 when added to its bits."""

# Each halving costs as much as comparing 60 distances; a bound 6 % too far lets few rows in.
_HALVINGS_OF_TWICE, _HALVINGS_OF_ALL = 4, 12


@inner
def key_of(squared, here, there):  # type: ignore[no-untyped-def]
    """Return the key of a neighbour at unpadded position `there`, seen from `here`."""
    side = np.uint64(there > here)
    return (bits_of_float(squared) << np.uint64(32)) | (np.uint64(abs(there - here)) << 1) | side


@inner
def write(keys_K, filled, position, row_of_position_T, row_K, distance_K):  # type: ignore[no-untyped-def]
    """Translate keys into padded rows and squared distances; -1 where there are no more."""
    for k in range(len(row_K)):
        if k >= filled:
            row_K[k] = -1
            continue
        gap = np.int64((keys_K[k] & _LOW) >> np.uint64(1))
        there = position + gap if keys_K[k] & np.uint64(1) else position - gap
        row_K[k] = row_of_position_T[there]
        distance_K[k] = float_of_bits(keys_K[k] >> np.uint64(32))


@inner
def insert(key, keys_K, filled):  # type: ignore[no-untyped-def]
    """Put a key in its place in a sorted list; return how many it holds then."""
    j = filled
    if filled == len(keys_K):
        if key >= keys_K[filled - 1]:
            return filled
        j -= 1
    while j > 0 and keys_K[j - 1] > key:
        keys_K[j] = keys_K[j - 1]
        j -= 1
    keys_K[j] = key
    return min(filled + 1, len(keys_K))


@inner
def collect(first, end, stride, bound, here, squared_T, position_T, keys_K, filled):  # type: ignore[no-untyped-def]
    """Insert every row within `bound`; return how many keys the list holds then."""
    limit = bound
    for chunk in range(first, end, stride):
        mask = mask_at_most(load(squared_T, chunk), fill(limit))
        while mask != 0:
            row = chunk + lowest_bit(mask)
            mask &= mask - np.uint64(1)
            filled = insert(key_of(squared_T[row], here, position_T[row]), keys_K, filled)
            if filled == len(keys_K):
                limit = min(limit, float_of_bits(keys_K[filled - 1] >> np.uint64(32)))
    return filled


@inner
def bound_of(least_J, rank, low):  # type: ignore[no-untyped-def]
    """Find a bound that `rank` (from 1) of the lane minima, and hardly more, lie within.

    low : bits of a bound that fewer lie within, 0 where none is known. Distances grow with the
        dimension, so that of the last dimension serves

    Returns
    -------
    Such bits for the next dimension, and the bound.
    """
    least = load(least_J, 0)
    halvings = _HALVINGS_OF_TWICE if low else _HALVINGS_OF_ALL
    step = _TWICE if low else _INFINITY_BITS
    high = min(low + step, _INFINITY_BITS)
    while high < _INFINITY_BITS and _within(least, high) < rank:
        low = high
        high = min(high + step, _INFINITY_BITS)
    for _ in range(halvings):
        middle = (low + high) >> np.uint64(1)
        if _within(least, middle) >= rank:
            high = middle
        else:
            low = middle
    return low, float_of_bits(high)


@inner
def _within(least, bits):  # type: ignore[no-untyped-def]
    return count_bits(mask_at_most(least, fill(float_of_bits(bits))))


@inner
def rank_for(count):  # type: ignore[no-untyped-def]
    """Return which lane minimum to take as the bound for so many neighbours.

    Rank `count` is safe. Above half of the lanes, the rank that some 1.3 `count` rows are expected
    within is lower, and the caller must check.
    """
    if count <= LANES // 2:
        return count
    return min(LANES, int(LANES * (1 - np.exp(-1.3 * count / LANES))) + 1)


@inner
def mark(first, end, stride, bound, squared_T, chunk_W, mask_W, marked):  # type: ignore[no-untyped-def]
    """Append the chunks of 64 rows that hold any within `bound`, and which.

    Returns
    -------
    How many chunks are listed then, and how many rows this call found.
    """
    limit = fill(bound)
    found = 0
    for chunk in range(first, end, stride):
        mask = mask_at_most(load(squared_T, chunk), limit)
        # Always written, kept only if it holds a row.
        chunk_W[marked] = chunk
        mask_W[marked] = mask
        marked += np.int64(mask != 0)
        found += count_bits(mask)
    return marked, found


@inner
def sort_marked(  # type: ignore[no-untyped-def]
    marked, chunk_W, mask_W, here, squared_T, position_T, keys_C, row_C, count, row_K, distance_K
):
    """Write the `count` nearest of the marked rows, of which there are `count` to 32, in order.

    keys_C, row_C : (32,) room to work in
    row_K, distance_K : results, as of `nearest_rows`, with room for one more
    """
    filled = 0
    for w in range(marked):
        mask = mask_W[w]
        while mask != 0:
            row = chunk_W[w] + lowest_bit(mask)
            mask &= mask - np.uint64(1)
            keys_C[filled] = key_of(squared_T[row], here, position_T[row])
            row_C[filled] = row
            filled += 1
    keys_C[filled:] = _NO_KEY
    for j in range(filled):
        key = keys_C[j]
        place = min(count_below(keys_C, key), count)
        row_K[place] = row_C[j]
        distance_K[place] = float_of_bits(key >> np.uint64(32))
