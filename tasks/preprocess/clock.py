"""The clock of a stream: its rate and its gapless stretches, read a block at a time."""

from functools import cached_property

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.common.segments import gap_starts, sample_period

Times = NDArray[np.float64]

BLOCK = 2**21
"""Samples of a time axis read at once. An hour of sound alone has 2e8: 1.6 GB of times."""
PIECES = 64
"""Of a longer axis the usual step is the median of so many evenly spaced pieces of it."""


class Clock:
    """When a stream was sampled, without its times in memory unless they are asked for.

    Attributes
    ----------
    size : number of samples
    rate_hz : one over the median step; NaN with fewer than two samples
    runs : (stretch, [start, stop]) samples of each gapless stretch
    """

    def __init__(self, stream: xr.Dataset, max_gap_periods: float) -> None:
        self._time = stream["time"].variable
        self.size = int(self._time.size)
        period = self._usual_step()
        self.rate_hz = 1.0 / period
        self.runs = self._find_runs(period, max_gap_periods)

    @cached_property
    def time(self) -> Times:
        """All times in seconds: for streams slow enough to be held in memory."""
        return self._read(0, self.size)

    @cached_property
    def segment(self) -> NDArray[np.int32]:
        """Number of the gapless stretch of every sample: for slow streams."""
        lengths = self.runs[:, 1] - self.runs[:, 0]
        return np.repeat(np.arange(len(self.runs), dtype=np.int32), lengths)

    def stretches(self, start: int, stop: int) -> list[slice]:
        """Return the gapless stretches between two samples, counted from the first of these."""
        first = int(np.searchsorted(self.runs[:, 1], start, side="right"))
        last = int(np.searchsorted(self.runs[:, 0], stop, side="left"))
        edges = np.clip(self.runs[first:last], start, stop) - start
        return [slice(*edge) for edge in edges.tolist()]

    def at(self, samples: NDArray[np.int64]) -> Times:
        """Return the times of some samples, ascending."""
        taken = self._time.isel({self._time.dims[0]: samples})
        return np.asarray(taken.values, np.float64)

    def frames(self, seconds: float) -> int:
        """Return the number of samples in a duration."""
        return round(seconds * self.rate_hz) if np.isfinite(self.rate_hz) else 0

    def _read(self, start: int, stop: int) -> Times:
        return np.asarray(self._time[start:stop].values, np.float64)

    def _usual_step(self) -> float:
        if self.size <= BLOCK:
            return sample_period(self._read(0, self.size))
        length = BLOCK // PIECES
        starts = np.linspace(0, self.size - length, PIECES).astype(np.int64).tolist()
        # A gap between two pieces is one step in 32,768: the median does not see it.
        return sample_period(np.concatenate([self._read(s, s + length) for s in starts]))

    def _find_runs(self, period: float, max_gap_periods: float) -> NDArray[np.int64]:
        starts = [np.zeros(min(self.size, 1), np.int64)]
        for first in range(0, self.size, BLOCK):
            # One sample more than the block: the step into the next one.
            block = self._read(first, min(first + BLOCK + 1, self.size))
            starts.append(first + gap_starts(block, period, max_gap_periods))
        begin = np.concatenate(starts)
        return np.stack([begin, np.append(begin[1:], self.size)[: len(begin)]], axis=1)
