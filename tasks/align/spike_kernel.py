"""Counting spikes in bins, compiled: one walk through the spikes of each unit."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def count_in_bins(
    time: NDArray[np.float64],
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    counts: NDArray[np.int32],
) -> None:
    """Add to counts[unit, bin] each spike with low <= time < high.

    Parameters
    ----------
    time : (spike,) seconds, ascending within each unit; NaN at a unit's end are no spikes
    begin, end : (unit,) where each unit's spikes are
    low, high : (bin,) ascending, bins do not overlap
    """
    bins = len(low)
    for unit in range(len(begin)):
        first, last = begin[unit], end[unit]
        here = first + np.searchsorted(time[first:last], low[0])
        place = 0
        while here < last and place < bins:
            at = time[here]
            if at < low[place]:
                here += 1
            elif at < high[place]:
                counts[unit, place] += 1
                here += 1
            elif at >= high[place]:
                place += 1
            else:
                here += 1
