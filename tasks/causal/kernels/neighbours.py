"""Nearest rows of a delay embedding, all dimensions in one go.

The squared distance in E dimensions is that in E-1 plus one term, so a row's distances, which fit
the first cache, are built up dimension by dimension and serve every E. Two passes over them find
the nearest: the first keeps the least distance in each of 64 lanes; the k-th least of those is a
bound that at least k rows, and few more, lie within; the second pass picks those
(tasks/causal/kernels/selection.py). Distances lie on cache lines: a load that crosses two takes
twice the time.

All arrays lie on a padded axis (tasks/causal/padding.py): NaN between segments makes a vector
that crosses a border infinitely far from everything, so no kernel knows about segments.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.causal.kernels.selection import (
    CANDIDATES,
    bound_of,
    collect,
    insert,
    key_of,
    lanes_for,
    mark,
    rank_for,
    sort_marked,
    write,
)
from tasks.causal.kernels.vectors import (
    CACHE_LINE,
    LANES,
    add,
    compiled,
    fill,
    float_of_bits,
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
def _on_cache_lines(size):  # type: ignore[no-untyped-def]
    """Return room for `size` float32 that begins at a cache line."""
    room = np.empty(size + LANES, np.float32)
    start = -room.ctypes.data // 4 % (CACHE_LINE // 4)
    return room[start : start + size]


@inner
def _measure(  # type: ignore[no-untyped-def]
    first, end, query_E, from_e, to_e, series_T, tau, before_T, squared_T, least_J
):
    """Add terms from_e..to_e-1 to the squared distances `before_T` of 64 rows at a time.

    The sums go to `squared_T`, the least in each lane to `least_J`.
    """
    least = fill(_INFINITY)
    for chunk in range(first, end, LANES):
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
def nearest_rows(library, dimension_S, count_S, row_R, start_S, row_F, near_F):  # type: ignore[no-untyped-def]
    """Find the nearest rows of the given rows in every dimension asked for.

    Parameters
    ----------
    library : the series and its axis, a Library
    dimension_S, count_S : dimensions wanted, ascending, and how many neighbours of each
    row_R : the rows whose neighbours are sought
    start_S : where the table of each dimension begins in the results
    row_F, near_F : results: padded rows, nearest first, -1 where there are no more; squared
        distances. A table has count + 1 columns: the last is room to work in
    """
    series_T, penalty_T, left_T, right_T, position_T, row_of_position_T, tau = library
    longest = dimension_S[-1]
    # Whole chunks: the padding before the first sample and after the last has room for them.
    first, end = row_of_position_T[0] // LANES * LANES, row_of_position_T[-1] + 1
    query_E = np.zeros(longest, np.float32)
    open_T, squared_T = _on_cache_lines(len(series_T)), _on_cache_lines(len(series_T))
    open_T[:] = penalty_T
    least_J, near_C = _on_cache_lines(LANES), _on_cache_lines(CANDIDATES)
    row_C = np.empty(CANDIDATES, np.int64)
    keys_K = np.empty(count_S.max(), np.uint64)
    chunk_W = np.empty(len(series_T) // LANES + 3, np.int64)
    mask_W = np.empty(len(chunk_W), np.uint64)
    # A row's bounds are about those of the row before: bits of floats, hence logarithms.
    usual_S = np.zeros(len(dimension_S), np.int64)
    for t in range(len(row_R)):
        row = row_R[t]
        left, right = left_T[row], right_T[row]
        open_T[left:right] = np.nan
        for e in range(longest):
            query_E[e] = series_T[row - e * tau]
        done, guess = 0, usual_S[0]
        for s in range(len(dimension_S)):
            dimension, count = dimension_S[s], count_S[s]
            place = start_S[s] + t * (count + 1)
            row_K, near_K = row_F[place : place + count + 1], near_F[place : place + count + 1]
            if not _exists(row, series_T, penalty_T, tau, dimension):
                # Nor do vectors of more dimensions: what was measured so far serves nothing.
                row_K[:], near_K[:] = -1, 0
                continue
            before_T = squared_T if done else open_T
            _measure(
                first, end, query_E, done, dimension, series_T, tau, before_T, squared_T, least_J
            )
            done = dimension
            bits = bound_of(least_J, lanes_for(count), rank_for(count), guess)
            if s + 1 < len(dimension_S):
                guess = bits + usual_S[s + 1] - usual_S[s]
            usual_S[s] = bits
            bound = float_of_bits(np.uint64(bits))
            found = mark(first, end, bound, squared_T, chunk_W, mask_W)
            if count <= found <= CANDIDATES and sort_marked(
                found, chunk_W, mask_W, squared_T, near_C, row_C, count, row_K, near_K
            ):
                continue
            here, own = position_T[row], row // LANES * LANES
            keys = keys_K[:count]
            while True:
                # Nearest in time first: of equal distances, those collected later then lose.
                filled = collect(own, end, LANES, bound, here, squared_T, position_T, keys, 0)
                filled = collect(
                    own - LANES, first - 1, -LANES, bound, here, squared_T, position_T, keys, filled
                )
                if filled == count or bound == _INFINITY:
                    break
                bound = bound * 4 if 0 < bound < 1e30 else _INFINITY
            write(keys, filled, here, row_of_position_T, row_K, near_K)
        open_T[left:right] = penalty_T[left:right]


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
    library, dimension, long_row_RM, long_near_RM, bits_T, predicted_T, row_R, row_DRK, near_DRK
):
    """Find the nearest rows in up to 64 random libraries at once, from lists already sorted.

    A row's list is walked once: each neighbour goes to all the libraries that it is a member of,
    until every library has its simplex (one library at a time: Takahashi et al. 2023,
    doi:10.1109/ACCESS.2023.3289836). Where the list ends too early for a library, all its members
    are measured: they are few then.

    Parameters
    ----------
    library : the series and its axis, a Library
    long_row_RM, long_near_RM : lists of `nearest_rows` for this dimension
    bits_T : (time,) uint64, bit d set where a row is a member of library d
    predicted_T : (time,) bool, rows to be predicted
    row_R : the rows that the lists are of
    row_DRK, near_DRK : results by library, as of `nearest_rows`
    """
    draws, count, listed = row_DRK.shape[0], row_DRK.shape[2] - 1, long_row_RM.shape[1] - 1
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
        while wanting and walked < listed and long_row_RM[t, walked] >= 0:
            other = long_row_RM[t, walked]
            mask = bits_T[other] & wanting
            while mask:
                d = lowest_bit(mask)
                bit = mask & (~mask + np.uint64(1))
                mask ^= bit
                row_DRK[d, t, found_D[d]] = other
                near_DRK[d, t, found_D[d]] = long_near_RM[t, walked]
                found_D[d] += 1
                if found_D[d] == count:
                    wanting ^= bit
            walked += 1
        if walked < listed:
            continue  # the list held every row there is
        while wanting:
            d = lowest_bit(wanting)
            bit = wanting & (~wanting + np.uint64(1))
            wanting ^= bit
            filled = _measure_members(library, row, dimension, bits_T, bit, keys_K)
            here, unpadded = library.position_T[row], library.row_of_position_T
            write(keys_K, filled, here, unpadded, row_DRK[d, t], near_DRK[d, t])
