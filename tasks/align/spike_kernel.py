"""Counting spikes in bins, compiled: one walk through the spikes of each unit."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

TOGETHER = 16
"""Units counted before their counts are written: so many fill a cache line of the result."""


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
    counts = np.zeros((bins, TOGETHER), np.int32)
    per_s, by_unit = _bins_per_second(low), valid.shape[1] > 1
    for start in range(0, units, TOGETHER):
        size = min(TOGETHER, units - start)
        for row in range(size):
            spikes = time[begin[start + row] : end[start + row]]
            _count_train(spikes, low, high, per_s, counts[:, row])
        for place in range(bins):
            if by_unit:
                for row in range(size):
                    made[place, start + row] = counts[place, row] * valid[place, start + row]
            else:
                known = np.int32(valid[place, 0])
                for row in range(size):
                    made[place, start + row] = counts[place, row] * known
        counts[:] = 0


@njit(cache=True, nogil=True)
def _bins_per_second(low: NDArray[np.float64]) -> float:
    """Return the rate of bins that are evenly spaced to a bin; 0 if they are not."""
    span = float(low[-1] - low[0])
    if not span > 0:
        return 0.0
    per_s = (len(low) - 1) / span
    for place in range(len(low)):
        if abs((low[place] - low[0]) * per_s - place) > 1:
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
    for spike in range(np.searchsorted(spikes, low[0]), len(spikes)):
        at = spikes[spike]
        if not at < high[last]:
            break
        if per_s > 0:
            # A guess, a bin off at most, saves a walk whose end cannot be foretold.
            place = min(max(int((at - low[0]) * per_s), 0), last)
            while at < low[place]:
                place -= 1
        while place < last and at >= low[place + 1]:
            place += 1
        if at < high[place]:
            counts[place] += 1
