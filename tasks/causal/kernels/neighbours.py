"""Nearest rows of a delay embedding, all dimensions in one go.

The squared distance in E dimensions is that in E-1 plus one term, so a row's distances, which fit
the first cache, are built up dimension by dimension and serve every E. Two passes over them find
the nearest: the first keeps the least distance in each of 64 lanes; the k-th least of those 64 is
a bound that at least k rows, and few more, lie within; the second pass collects those.

A neighbour is one 64-bit key: distance, then |dt|, then the side. Keys sort as the reference
orders neighbours, ties included, and say which row is meant.

All arrays lie on a padded axis (tasks/causal/padding.py): NaN between segments makes a vector
that crosses a border infinitely far from everything, so no kernel knows about segments.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.causal.kernels.vectors import (
    LANES,
    add,
    bits_of_float,
    compiled,
    fill,
    float_of_bits,
    inner,
    load,
    lowest_bit,
    mask_at_most,
    minimum,
    multiply,
    store,
    subtract,
)

_INFINITY = np.float32(np.inf)
_LOW = np.uint64(0xFFFFFFFF)


class Library(NamedTuple):
    """One series on its padded axis, as the searches take it.

    series_T : (time,) float32, NaN in the padding and where invalid
    penalty_T : (time,) float32, 0 where a row may be predicted and be a neighbour, NaN elsewhere
    left_T, right_T : (time,) rows in [left, right) are inside the Theiler window
    position_T : (time,) row on the unpadded axis, never decreasing; row_of_position_T undoes it
    tau : step between coordinates
    """

    series_T: NDArray[np.float32]
    penalty_T: NDArray[np.float32]
    left_T: NDArray[np.int64]
    right_T: NDArray[np.int64]
    position_T: NDArray[np.int32]
    row_of_position_T: NDArray[np.int64]
    tau: int


@inner
def _key(squared, here, there):  # type: ignore[no-untyped-def]
    """Return the key of a neighbour at unpadded position `there`, seen from `here`."""
    side = np.uint64(there > here)
    return (bits_of_float(squared) << np.uint64(32)) | (np.uint64(abs(there - here)) << 1) | side


@inner
def _write(keys_K, filled, position, row_of_position_T, row_K, distance_K):  # type: ignore[no-untyped-def]
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
def _insert(key, keys_K, filled):  # type: ignore[no-untyped-def]
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
def _measure(first, end, stride, query_E, from_e, to_e, series_T, tau, squared_T, least_J):  # type: ignore[no-untyped-def]
    """Add terms from_e..to_e-1 to the squared distances of 64 rows at a time; keep lane minima."""
    least = load(least_J, 0)
    for chunk in range(first, end, stride):
        total = load(squared_T, chunk)
        for e in range(from_e, to_e):
            step = subtract(fill(query_E[e]), load(series_T, chunk - e * tau))
            total = add(total, multiply(step, step))
        store(squared_T, chunk, total)
        least = minimum(total, least)
    store(least_J, 0, least)


@inner
def _collect(first, end, stride, bound, here, squared_T, position_T, keys_K, filled):  # type: ignore[no-untyped-def]
    """Insert every row within `bound`; return how many keys the list holds then."""
    limit = bound
    for chunk in range(first, end, stride):
        mask = mask_at_most(load(squared_T, chunk), fill(limit))
        while mask != 0:
            row = chunk + lowest_bit(mask)
            mask &= mask - np.uint64(1)
            filled = _insert(_key(squared_T[row], here, position_T[row]), keys_K, filled)
            if filled == len(keys_K):
                limit = min(limit, float_of_bits(keys_K[filled - 1] >> np.uint64(32)))
    return filled


@inner
def _bound(least_J, rank, sorted_J):  # type: ignore[no-untyped-def]
    """Return the lane minimum of the given rank (from 1): so many rows at least lie within it."""
    filled = 0
    for j in range(LANES):
        value = bits_of_float(least_J[j])
        filled = _insert(value, sorted_J[:rank], filled)
    return float_of_bits(sorted_J[rank - 1])


@inner
def _rank(count):  # type: ignore[no-untyped-def]
    """Return which lane minimum to take as the bound for so many neighbours.

    Rank `count` is safe. Above half of the lanes, the rank that some 1.3 `count` rows are expected
    within is lower, and the caller must check.
    """
    if count <= LANES // 2:
        return count
    return min(LANES, int(LANES * (1 - np.exp(-1.3 * count / LANES))) + 1)


@inner
def _exists(row, series_T, penalty_T, tau, dimension):  # type: ignore[no-untyped-def]
    total = penalty_T[row]
    for e in range(dimension):
        total += series_T[row - e * tau]
    return not np.isnan(total)


@compiled
def nearest_rows(library, dimension_S, count_S, row_R, row_SRK, distance_SRK):  # type: ignore[no-untyped-def]
    """Find the nearest rows of the given rows in every dimension asked for.

    Parameters
    ----------
    library : the series and its axis, a Library
    dimension_S, count_S : dimensions wanted, ascending, and how many neighbours of each
    row_R : the rows whose neighbours are sought
    row_SRK, distance_SRK : results: padded rows, nearest first, -1 where there are no more;
        squared distances
    """
    series_T, penalty_T, left_T, right_T, position_T, row_of_position_T, tau = library
    longest = dimension_S[-1]
    # The axis begins with LANES + span rows of padding: below the span there is nothing.
    start, end = (longest - 1) * tau - 1, len(series_T) - LANES
    query_E = np.zeros(longest, np.float32)
    squared_T = np.empty(len(series_T), np.float32)
    least_J = np.empty(LANES, np.float32)
    sorted_J = np.empty(LANES, np.uint64)
    keys_K = np.empty(row_SRK.shape[2], np.uint64)
    for t in range(len(row_R)):
        row = row_R[t]
        here = position_T[row]
        left, right = left_T[row], right_T[row]
        squared_T[:] = penalty_T
        for e in range(longest):
            query_E[e] = series_T[row - e * tau]
        done = 0
        for s in range(len(dimension_S)):
            dimension, count = dimension_S[s], count_S[s]
            if not _exists(row, series_T, penalty_T, tau, dimension):
                row_SRK[s:, t] = -1
                break
            least_J[:] = _INFINITY
            _measure(right, end, LANES, query_E, done, dimension, series_T, tau, squared_T, least_J)
            _measure(
                left - LANES, start, -LANES, query_E, done, dimension, series_T, tau, squared_T,
                least_J,
            )  # fmt: skip
            done = dimension
            rank = _rank(count)
            bound = _bound(least_J, rank, sorted_J)
            while True:
                keys = keys_K[:count]
                # Nearest in time first: of equal distances, those collected later then lose.
                filled = _collect(right, end, LANES, bound, here, squared_T, position_T, keys, 0)
                filled = _collect(
                    left - LANES, start, -LANES, bound, here, squared_T, position_T, keys, filled
                )
                if filled == count or bound == _INFINITY:
                    break
                bound = bound * 4 if 0 < bound < 1e30 else _INFINITY
            _write(keys, filled, here, row_of_position_T, row_SRK[s, t], distance_SRK[s, t])


@inner
def _measure_members(library, row, dimension, bits_T, draw_bit, keys_K):  # type: ignore[no-untyped-def]
    """Fill `keys_K` from all members of one draw; return how many there are."""
    series_T, penalty_T, left_T, right_T, position_T, _, tau = library
    filled = 0
    for other in range(len(bits_T)):
        if not bits_T[other] & draw_bit or left_T[row] <= other < right_T[row]:
            continue
        squared = penalty_T[other]
        for e in range(dimension):
            step = series_T[row - e * tau] - series_T[other - e * tau]
            squared += step * step
        filled = _insert(_key(squared, position_T[row], position_T[other]), keys_K, filled)
    return filled


@compiled
def nearest_members(  # type: ignore[no-untyped-def]
    library, dimension, long_row_RM, long_distance_RM, bits_T, predicted_T, row_R, row_DRK,
    distance_DRK,
):  # fmt: skip
    """Find the nearest rows in up to 64 random libraries at once, from lists already sorted.

    A row's list is walked once: each neighbour goes to all the libraries that it is a member of,
    until every library has its simplex (one library at a time: Takahashi et al. 2023,
    doi:10.1109/ACCESS.2023.3289836). Where the list ends too early for a library, all its members
    are measured: they are few then.

    Parameters
    ----------
    library : the series and its axis, a Library
    long_row_RM, long_distance_RM : lists of `nearest_rows` for this dimension
    bits_T : (time,) uint64, bit d set where a row is a member of library d
    predicted_T : (time,) bool, rows to be predicted
    row_R : the rows that the lists are of
    row_DRK, distance_DRK : results by library, as of `nearest_rows`
    """
    draws, count = row_DRK.shape[0], row_DRK.shape[2]
    every = ~np.uint64(0) >> np.uint64(64 - draws)
    keys_K = np.empty(count, np.uint64)
    found_D = np.empty(draws, np.int64)
    row_DRK[:] = -1
    for t in range(len(row_R)):
        row = row_R[t]
        if not predicted_T[row] or long_row_RM[t, 0] < 0:
            continue
        found_D[:] = 0
        wanting = every
        walked = 0
        while wanting and walked < long_row_RM.shape[1] and long_row_RM[t, walked] >= 0:
            other = long_row_RM[t, walked]
            mask = bits_T[other] & wanting
            while mask:
                d = lowest_bit(mask)
                bit = mask & (~mask + np.uint64(1))
                mask ^= bit
                row_DRK[d, t, found_D[d]] = other
                distance_DRK[d, t, found_D[d]] = long_distance_RM[t, walked]
                found_D[d] += 1
                if found_D[d] == count:
                    wanting ^= bit
            walked += 1
        if walked < long_row_RM.shape[1]:
            continue  # the list held every row there is
        while wanting:
            d = lowest_bit(wanting)
            bit = wanting & (~wanting + np.uint64(1))
            wanting ^= bit
            filled = _measure_members(library, row, dimension, bits_T, bit, keys_K)
            _write(
                keys_K, filled, library.position_T[row], library.row_of_position_T, row_DRK[d, t],
                distance_DRK[d, t],
            )  # fmt: skip
