"""Counting spikes in bins, compiled: one walk through the spikes of each unit."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

TOGETHER = 16
"""Units counted before their counts are written: so many fill a cache line of the result."""

CACHED_BINS = 3_000
"""Bins counted at once: the counts of `TOGETHER` units in them stay in the processor's cache."""

NEAR_EDGE = 1e-6
"""Spikes nearer to an edge of even bins, in bins, are compared with the edges themselves."""


@njit(cache=True, nogil=True)
def are_ordered(time: NDArray[np.float64], unit: NDArray[np.integer]) -> bool:
    """Tell whether spikes are ordered by unit and, within each, by time; NaN is not."""
    for spike in range(1, len(time)):
        if unit[spike] < unit[spike - 1]:
            return False
        if unit[spike] == unit[spike - 1] and not time[spike] >= time[spike - 1]:
            return False
    return True


@njit(cache=True, nogil=True)
def count_in_bins(
    time: NDArray[np.float64],
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    valid: NDArray[np.bool_],
    made: NDArray[np.int32],
) -> None:
    """Fill made[bin, unit] with the number of spikes with low <= time < high; 0 where not valid.

    Parameters
    ----------
    time : (spike,) seconds, ascending within each unit; NaN at a unit's end are no spikes
    begin, end : (unit,) where each unit's spikes are
    low, high : (bin,) ascending, bins do not overlap; one at least
    valid : (bin, 1) or (bin, unit)
    made : (bin, unit) to be filled
    """
    bins, units = made.shape
    counts = np.zeros((TOGETHER, min(bins, CACHED_BINS)), np.int32)
    by_unit = valid.shape[1] > 1
    for first in range(0, bins, CACHED_BINS):
        part = slice(first, min(first + CACHED_BINS, bins))
        per_s = _bins_per_second(low[part], high[part])
        for start in range(0, units, TOGETHER):
            size = min(TOGETHER, units - start)
            for row in range(size):
                spikes = time[begin[start + row] : end[start + row]]
                _count_train(spikes, low[part], high[part], per_s, counts[row])
            _write(counts, valid[part, start:] if by_unit else valid[part], made[part, start:])
            counts[:] = 0


@njit(cache=True, nogil=True)
def _write(counts: NDArray[np.int32], valid: NDArray[np.bool_], made: NDArray[np.int32]) -> None:
    """Write counts[row, bin] to made[bin, row] where they are valid, else 0."""
    size = min(len(counts), made.shape[1])
    for place in range(len(made)):
        if valid.shape[1] > 1:
            for row in range(size):
                made[place, row] = counts[row, place] * valid[place, row]
        else:
            known = np.int32(valid[place, 0])
            for row in range(size):
                made[place, row] = counts[row, place] * known


@njit(cache=True, nogil=True)
def _bins_per_second(low: NDArray[np.float64], high: NDArray[np.float64]) -> float:
    """Return the rate of bins of one width that follow each other; 0 if they are others."""
    span = float(high[-1] - low[0])
    if not span > 0:
        return 0.0
    per_s = len(low) / span
    for place in range(len(low)):
        begin, end = (low[place] - low[0]) * per_s, (high[place] - low[0]) * per_s
        if abs(begin - place) > NEAR_EDGE / 4 or abs(end - place - 1) > NEAR_EDGE / 4:
            return 0.0
    return per_s


@njit(cache=True, nogil=True)
def _count_train(
    spikes: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    per_s: float,
    counts: NDArray[np.int32],
) -> None:
    last, place = len(low) - 1, 0
    for at in spikes[np.searchsorted(spikes, low[0]) : np.searchsorted(spikes, high[last])]:
        if per_s > 0:
            # Computed, not looked up: the edges would not fit beside the counts into the cache.
            position = (at - low[0]) * per_s
            place = int(position)
            if NEAR_EDGE < position - place < 1 - NEAR_EDGE:
                counts[place] += 1
                continue
            place = min(place, last)
            while at < low[place]:
                place -= 1
        while place < last and at >= low[place + 1]:
            place += 1
        if at < high[place]:
            counts[place] += 1
