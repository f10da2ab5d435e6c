"""Medians and percentiles, compiled: exact, without ordering more than a few values near them.

Values are counted in coarse places that keep their order; only those in the place that is looked
for are ordered.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

MANTISSA_BITS = {4: (19, 0x7F800000), 8: (48, 0x7FF0000000000000)}
"""Bytes of a float -> the bits left out of its coarse place (16 places a factor of two), and the
bits of infinity. As integers, floats that are not negative are in the same order."""

PLACES = 256
"""Places between the least and the largest value of a row."""


def median_absolute_step(
    rows: NDArray[np.floating], starts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the median of |x[t + 1] - x[t]| of each row, over the steps that are finite.

    Parameters
    ----------
    rows : (row, time) float32 or float64
    starts : where a new run of samples starts, behind a gap: no step leads there

    Returns
    -------
    (row,) NaN where no step is finite; between two values as numpy.percentile does
    """
    bits, infinite = MANTISSA_BITS[rows.itemsize]
    whole = np.dtype(f"i{rows.itemsize}")
    medians = np.full(len(rows), np.nan)
    # Two views of the same numbers: the steps, and the integers that their bits are.
    step = np.empty(max(rows.shape[1] - 1, 0), rows.dtype)
    counts = np.empty((infinite >> bits) + 1, np.int32)
    _medians(rows, starts, step, step.view(whole), bits, infinite, counts, medians)
    return medians


@njit(cache=True, nogil=True, error_model="numpy")
def _medians(  # type: ignore[no-untyped-def]
    rows, starts, step, as_integer, bits, infinite, counts, medians
):
    size = len(step)
    near = np.empty(size, step.dtype)
    for row in range(len(rows)):
        for t in range(size):
            step[t] = abs(rows[row, t + 1] - rows[row, t])
        for start in starts:
            step[start - 1] = np.nan
        counts[:] = 0
        for t in range(size):
            counts[min(as_integer[t], infinite) >> bits] += 1
        finite = size - counts[-1]
        if finite == 0:
            continue
        low, high = (finite - 1) // 2, finite // 2
        first, last, below = _places_of(counts, low, high)
        found = 0
        for t in range(size):
            place = min(as_integer[t], infinite) >> bits
            near[found] = step[t]
            found += first <= place <= last
        ordered = np.partition(near[:found], high - below)
        upper = np.float64(ordered[high - below])
        lower = upper if low == high else np.float64(ordered[: high - below].max())
        medians[row] = upper - (upper - lower) * 0.5


@njit(cache=True, nogil=True, error_model="numpy")
def values_at(rows: NDArray[np.floating], low: int, high: int, made: NDArray[np.float64]) -> None:
    """Fill made[:, row] with the values of each row that are at two places once it is ordered.

    Parameters
    ----------
    rows : (row, value) finite
    low, high : from 0; neighbours, or the same place twice
    made : (2, row)
    """
    size = rows.shape[1]
    counts = np.empty(PLACES, np.int32)
    places = np.empty(size, np.uint8)
    near = np.empty(size, rows.dtype)
    for n in range(len(rows)):
        row = rows[n]
        least, largest = np.float64(row.min()), np.float64(row.max())
        scale = PLACES / (largest - least)
        found, below = size, 0
        if 0 < scale < np.inf:
            counts[:] = 0
            for t in range(size):
                place = min(int((row[t] - least) * scale), PLACES - 1)
                places[t] = place
                counts[place] += 1
            first, last, below = _places_of(counts, low, high)
            found = 0
            for t in range(size):
                if first <= places[t] <= last:
                    near[found] = row[t]
                    found += 1
        else:
            near[:] = row
        ordered = np.partition(near[:found], high - below)
        made[1, n] = ordered[high - below]
        made[0, n] = made[1, n] if low == high else ordered[: high - below].max()


@njit(cache=True, nogil=True)
def _places_of(counts, low, high):  # type: ignore[no-untyped-def]
    """Return the places that hold the values at `low` and `high`, and how many are before both."""
    first, below = 0, 0
    while below + counts[first] <= low:
        below += counts[first]
        first += 1
    last, reached = first, below + counts[first]
    while reached <= high:
        last += 1
        reached += counts[last]
    return first, last, below
