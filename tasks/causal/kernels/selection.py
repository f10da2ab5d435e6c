"""Pick the nearest of many distances, without branches that depend on them.

A branch that follows the data is guessed wrong half the time, and each wrong guess costs as much
as comparing 300 distances. So the bound that hardly more than k rows lie within is found by
halving, the rows within it are listed by masks, and each finds its own place by counting the
distances below it. Only where distances are equal, or far more rows lie within the bound, are
rows sorted by insertion.

There a neighbour is one 64-bit key: distance, then |dt|, then the side. Keys sort as the reference
orders neighbours, ties included, and say which row is meant.
"""

import numpy as np

from tasks.causal.kernels.vectors import (
    LANES,
    bits_of_float,
    count_at_most_16,
    count_at_most_32,
    count_at_most_64,
    count_below_32,
    count_below_64,
    count_bits,
    fill,
    float_of_bits,
    inner,
    load,
    lowest_bit,
    mask_at_most,
)

CANDIDATES = 512
"""Rows within the bound that are sorted by counting; of more, the nearest are kept by insertion."""

_LOW = np.uint64(0xFFFFFFFF)
_INFINITY = np.float32(np.inf)
_INFINITY_BITS = 0x7F800000

# Added to the bits of a float32, this doubles it. A bound 6 % too far lets few rows in.
_TWICE, _HALVINGS = 1 << 23, 4

# From nearer than this no bound is sought by doubling: 60 doublings would cost more than they save.
_NEAR_BITS = 0x38000000


@inner
def key_of(squared, here, there):  # type: ignore[no-untyped-def]
    """Return the key of a neighbour at unpadded position `there`, seen from `here`."""
    side = np.uint64(there > here)
    return (bits_of_float(squared) << np.uint64(32)) | (np.uint64(abs(there - here)) << 1) | side


@inner
def write(keys_K, filled, position, row_of_position_T, row_K, distance_K):  # type: ignore[no-untyped-def]
    """Translate keys into padded rows and squared distances; -1 where there are no more."""
    for k in range(len(keys_K)):
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
def lanes_for(count):  # type: ignore[no-untyped-def]
    """Return of how many minima (16, 32 or 64) the bound of so many neighbours is taken."""
    return 16 if count <= 8 else 32 if count <= 16 else LANES


@inner
def rank_for(count):  # type: ignore[no-untyped-def]
    """Return which minimum to take as the bound for so many neighbours.

    Rank `count` is safe. Above half of the lanes, the rank that some 1.3 `count` rows are expected
    within is lower, and the caller must check.
    """
    if count <= LANES // 2:
        return count
    return min(LANES, int(LANES * (1 - np.exp(-1.3 * count / LANES))) + 1)


@inner
def bound_of(least_J, lanes, rank, guess):  # type: ignore[no-untyped-def]
    """Return the bits of a bound that `rank` (from 1) of the minima, and hardly more, lie within.

    least_J : minima of 64 lanes, brought down to `lanes` of them here
    guess : bits of about that bound
    """
    width = LANES
    while width > lanes:
        width //= 2
        for j in range(width):
            # Not min(), whose care for NaN keeps this from being one of vectors.
            if least_J[width + j] < least_J[j]:
                least_J[j] = least_J[width + j]
    low = high = max(guess, _NEAR_BITS)
    if _within(least_J, lanes, high) >= rank:
        low = max(high - _TWICE, 0)
        while low > 0 and _within(least_J, lanes, low) >= rank:
            high = low
            low = max(high - _TWICE, 0)
    else:
        high = min(low + _TWICE, _INFINITY_BITS)
        while high < _INFINITY_BITS and _within(least_J, lanes, high) < rank:
            low = high
            high = min(low + _TWICE, _INFINITY_BITS)
    for _ in range(_HALVINGS):
        middle = (low + high) >> 1
        enough = _within(least_J, lanes, middle) >= rank
        high = middle if enough else high
        low = low if enough else middle
    return high


@inner
def _within(least_J, lanes, bits):  # type: ignore[no-untyped-def]
    bound = float_of_bits(np.uint64(bits))
    if lanes == 16:
        return count_at_most_16(least_J, 0, bound)
    if lanes == 32:
        return count_at_most_32(least_J, 0, bound)
    return count_at_most_64(least_J, 0, bound)


@inner
def mark(first, end, bound, squared_T, chunk_W, mask_W):  # type: ignore[no-untyped-def]
    """List the chunks of 64 rows that hold any within `bound`, and which; return how many rows."""
    limit = fill(bound)
    marked, found = np.int64(0), 0
    for chunk in range(first, end, LANES):
        mask = mask_at_most(load(squared_T, chunk), limit)
        # Always written, kept only if it holds a row.
        chunk_W[marked] = chunk
        mask_W[marked] = mask
        marked += np.int64(mask != 0)
        found += count_bits(mask)
    return found


@inner
def sort_marked(  # type: ignore[no-untyped-def]
    found, chunk_W, mask_W, squared_T, near_C, row_C, count, row_K, distance_K
):
    """Write the `count` nearest of the `found` marked rows, at least as many, in order.

    near_C, row_C : room to work in
    row_K, distance_K : results, as of `nearest_rows`, with room for one more

    Returns
    -------
    Whether all distances differ; if not, the results are wrong.
    """
    w, mask = np.int64(0), mask_W[0]
    for j in range(found):
        row = chunk_W[w] + lowest_bit(mask)
        row_C[j] = row
        near_C[j] = squared_T[row]
        mask &= mask - np.uint64(1)
        spent = np.int64(mask == 0)
        w += spent
        mask |= mask_W[w] & np.uint64(-spent)
    few = found <= 32
    near_C[found : 32 if few else -(-found // LANES) * LANES] = _INFINITY
    ranks = 0
    for j in range(found):
        near = near_C[j]
        rank = 0
        if few:
            rank = count_below_32(near_C, 0, near)
        else:
            for start in range(0, found, LANES):
                rank += count_below_64(near_C, start, near)
        ranks += rank
        place = min(rank, count)
        row_K[place] = row_C[j]
        distance_K[place] = near
    return 2 * ranks == found * (found - 1)
