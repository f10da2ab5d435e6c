"""The clock of a stream that is to be resampled, and how far its samples are from the axis."""

from collections.abc import Sequence
from dataclasses import dataclass

import dask
import dask.array as da
import numpy as np
from numpy.typing import NDArray

from tasks.align.clock import ascending
from tasks.common.segments import find_gaps, sample_period

Times = NDArray[np.float64]


@dataclass(frozen=True)
class Source:
    """The clock of a stream to be resampled.

    Attributes
    ----------
    row : (sample,) rows of the stored array that are used (a repeated time is used once)
    time : (sample,) seconds, strictly ascending
    segment : (sample,) number of the gapless stretch
    period : median step in seconds; NaN with one sample
    """

    row: NDArray[np.int64]
    time: Times
    segment: NDArray[np.int32]
    period: float

    def take(self, values: da.Array) -> da.Array:
        """Return the used rows of a stored array."""
        array = da.asarray(values)
        return array if len(self.row) == len(array) else array[self.row]


def read_source(time: Times, max_gap_periods: float) -> Source:
    """Return the clock of a stream with the given sample times."""
    row = np.flatnonzero(ascending(time))
    used = time[row]
    return Source(row, used, find_gaps(used, max_gap_periods), sample_period(used))


def sample_ages(valid: da.Array, source: Source, axis_time: Times) -> da.Array:
    """Return how far in time the nearest valid sample is from each point of the axis, lazily.

    Parameters
    ----------
    valid : (stored sample,) or (stored sample, column): samples with any valid column count

    Returns
    -------
    (axis,) float32 seconds; inf without any valid sample
    """
    used = source.take(valid if valid.ndim == 1 else valid.any(axis=1))
    ages = dask.delayed(nearest_age)(used, source.time, axis_time)
    return da.from_delayed(ages, (len(axis_time),), np.float32)


def nearest_age(valid: NDArray[np.bool_], time: Times, axis_time: Times) -> NDArray[np.float32]:
    """Return the distance in seconds from each point of the axis to the nearest valid time."""
    known = time[valid]
    if not len(known):
        return np.full(len(axis_time), np.inf, np.float32)
    after = np.minimum(np.searchsorted(known, axis_time), len(known) - 1)
    before = np.maximum(after - 1, 0)
    gaps: Sequence[Times] = [np.abs(axis_time - known[n]) for n in (before, after)]
    return np.minimum(*gaps).astype(np.float32)
