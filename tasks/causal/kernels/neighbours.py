"""Nearest rows of a delay embedding, all dimensions in one go.

The squared distance in E dimensions is that in E-1 plus one term, so a row's distances, which fit
the first cache, are built up dimension by dimension and serve every E. Two passes over them find
the nearest: the first keeps the least distance in each of 64 lanes; the k-th least of those 64 is
a bound that at least k rows, and few more, lie within; the second pass collects those
(tasks/causal/kernels/selection.py).

All arrays lie on a padded axis (tasks/causal/padding.py): NaN between segments makes a vector
that crosses a border infinitely far from everything, so no kernel knows about segments.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.causal.kernels.selection import (
    bound_of,
    collect,
    insert,
    key_of,
    mark,
    rank_for,
    sort_marked,
    write,
)
from tasks.causal.kernels.vectors import (
    KEYS,
    LANES,
    add,
    compiled,
    fill,
    inner,
    load,
    lowest_bit,
    minimum,
    multiply,
    store,
    subtract,
)

_INFINITY = np.float32(np.inf)


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
def _measure(  # type: ignore[no-untyped-def]
    first, end, stride, query_E, from_e, to_e, series_T, tau, before_T, squared_T, least_J
):
    """Add terms from_e..to_e-1 to the squared distances `before_T` of 64 rows at a time.

    The sums go to `squared_T`, the least in each lane to `least_J`.
    """
    least = load(least_J, 0)
    for chunk in range(first, end, stride):
        total = load(before_T, chunk)
        for e in range(from_e, to_e):
            step = subtract(fill(query_E[e]), load(series_T, chunk - e * tau))
            total = add(total, multiply(step, step))
        store(squared_T, chunk, total)
        least = minimum(total, least)
    store(least_J, 0, least)


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
        squared distances. One longer than the highest count: the last is room to work in
    """
    series_T, penalty_T, left_T, right_T, position_T, row_of_position_T, tau = library
    longest = dimension_S[-1]
    # The axis begins with LANES + span rows of padding: below the span there is nothing.
    start, end = (longest - 1) * tau - 1, len(series_T) - LANES
    query_E = np.zeros(longest, np.float32)
    squared_T = np.empty(len(series_T), np.float32)
    least_J = np.empty(LANES, np.float32)
    keys_C, row_C = np.empty(KEYS, np.uint64), np.empty(KEYS, np.int64)
    keys_K = np.empty(row_SRK.shape[2], np.uint64)
    chunk_W = np.empty(len(series_T) // LANES + 3, np.int64)
    mask_W = np.empty(len(chunk_W), np.uint64)
    for t in range(len(row_R)):
        row = row_R[t]
        here = position_T[row]
        left, right = left_T[row], right_T[row]
        for e in range(longest):
            query_E[e] = series_T[row - e * tau]
        done, low = 0, np.uint64(0)
        for s in range(len(dimension_S)):
            dimension, count = dimension_S[s], count_S[s]
            if not _exists(row, series_T, penalty_T, tau, dimension):
                row_SRK[s:, t] = -1
                break
            least_J[:] = _INFINITY
            before_T = squared_T if done else penalty_T
            _measure(
                right, end, LANES, query_E, done, dimension, series_T, tau, before_T, squared_T,
                least_J,
            )  # fmt: skip
            _measure(
                left - LANES, start, -LANES, query_E, done, dimension, series_T, tau, before_T,
                squared_T, least_J,
            )  # fmt: skip
            done = dimension
            low, bound = bound_of(least_J, rank_for(count), low)
            marked, after = mark(right, end, LANES, bound, squared_T, chunk_W, mask_W, 0)
            marked, before = mark(
                left - LANES, start, -LANES, bound, squared_T, chunk_W, mask_W, marked
            )
            if count <= before + after <= KEYS:
                sort_marked(
                    marked, chunk_W, mask_W, here, squared_T, position_T, keys_C, row_C, count,
                    row_SRK[s, t], distance_SRK[s, t],
                )  # fmt: skip
                continue
            while True:
                keys = keys_K[:count]
                # Nearest in time first: of equal distances, those collected later then lose.
                filled = collect(right, end, LANES, bound, here, squared_T, position_T, keys, 0)
                filled = collect(
                    left - LANES, start, -LANES, bound, here, squared_T, position_T, keys, filled
                )
                if filled == count or bound == _INFINITY:
                    break
                bound = bound * 4 if 0 < bound < 1e30 else _INFINITY
            write(keys, filled, here, row_of_position_T, row_SRK[s, t], distance_SRK[s, t])


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
        filled = insert(key_of(squared, position_T[row], position_T[other]), keys_K, filled)
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
            write(
                keys_K, filled, library.position_T[row], library.row_of_position_T, row_DRK[d, t],
                distance_DRK[d, t],
            )  # fmt: skip
