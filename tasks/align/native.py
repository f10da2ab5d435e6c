"""Every sample of a stream as it is, in the slots of each bin of the time axis.

The axis has bins of one duration, and so each bin holds the same number of a regular stream's
samples: a patch of common duration at the stream's own rate. Nothing is interpolated or averaged.
"""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.align.clock import Axis
from tasks.align.columns import Columns
from tasks.align.resample import MOST_ROWS
from tasks.align.source import Source, Times
from tasks.common.windows import Window, block_starts, map_windows

ALMOST = 0.02
"""Share of a sample by which a bin may hold more than a whole number of them."""
IN_PHASE = 0.5
"""Mean resultant length from which on samples are said to keep their place in the bins."""

EARLY = 0.9
"""Share of a slot from which on a sample is of the next."""


@dataclass(frozen=True)
class Slots:
    """Which sample lies in which slot.

    Attributes
    ----------
    row_TS : (axis, slot) number of the sample, -1 where there is none
    time_TS : (axis, slot) its time in seconds, NaN where there is none
    offset_S : (slot,) seconds from the time of a bin to the middle of the slot, about
    left_out : samples inside of bins that found their slot and the next one taken
    """

    row_TS: NDArray[np.int64]
    time_TS: Times
    offset_S: Times
    left_out: int


def fill_slots(source: Source, axis: Axis) -> Slots:
    """Put each sample into the slot of its bin that it lies in.

    Slots are shifted by some half of one at most, so that the samples of a regular stream lie in
    the middle of them: one of the last slot may be that much later than its bin. Where jitter
    brings two into one slot, the later one goes into the next, if need be with those behind it. A
    stream slower than the axis has one slot, empty in most bins.
    """
    slots = _slots_of_a_bin(source.period, axis.bin_s)
    size = len(axis.time) * slots
    row = np.full(size, -1, np.int64)
    bin_ = np.searchsorted(axis.low, source.time, side="right") - 1
    # Half a slot beside the bins: those that the shift brings inside.
    near = np.clip(bin_, 0, len(axis.time) - 1)
    phase = (source.time - axis.low[near]) / (axis.high[near] - axis.low[near]) * slots
    inside = (bin_ >= 0) & (phase < slots)
    place = np.floor(phase - _shift(phase[inside])).astype(np.int64)
    goal = near * slots + place
    # Over the edge of a bin is the next one, if no gap lies between.
    at = np.clip(goal // slots, 0, len(axis.time) - 1)
    inside &= (goal >= 0) & (goal < size) & (axis.segment[at] == axis.segment[near])
    samples = np.flatnonzero(inside)
    end_T = np.searchsorted(axis.segment, axis.segment, side="right") * slots
    # Compiled when it is first needed; numba takes a second to import.
    from tasks.align.slot_kernel import place_samples

    place_samples(goal[samples], samples, end_T[at[samples]], row)
    row_TS = row.reshape(-1, slots)
    known_TS = row_TS >= 0
    time_TS = np.where(known_TS, source.time[np.maximum(row_TS, 0)], np.nan)
    offset_S = ((np.arange(slots) + 0.5) / slots - 0.5) * axis.bin_s
    return Slots(row_TS, time_TS, offset_S, len(samples) - int(known_TS.sum()))


def _slots_of_a_bin(period: float, bin_s: float) -> int:
    if not np.isfinite(period):
        return 1
    samples = bin_s / period
    return max(1, int(np.ceil(samples * (1 - ALMOST))))


def _shift(phase: Times) -> float:
    """Return by how much slots must be shifted to have the samples in their middle, -0.6 to 0.4.

    Samples at the edges of slots, or a bit before, belong to the slot that begins there.
    """
    if not len(phase):
        return 0.0
    mean = np.exp(2j * np.pi * phase).mean()
    place = np.angle(mean) / (2 * np.pi) % 1.0
    return float(place - (0.5 if place < EARLY else 1.5)) if abs(mean) >= IN_PHASE else 0.0


def native_variables(
    columns: Columns, source: Source, axis: Axis, broken: NDArray[np.bool_]
) -> dict[str, xr.Variable]:
    """Return `native` (time, slot, channel) float32, NaN where no valid sample is, and its times.

    `native_time` (time, slot) is when each sample was taken, `slot` (slot,) where in its bin.

    broken : (axis,) bins that the recording calls invalid
    """
    slots = fill_slots(source, axis)
    dims, shape = ("time", "slot", columns.dim), (*slots.row_TS.shape, len(columns.labels))
    units = columns.units[0] if len(set(columns.units)) == 1 else "mixed"
    about = {"units": units, "long_name": "every sample at the stream's own rate"}
    windows = _windows(np.where(broken[:, None], -1, slots.row_TS), shape[2])
    rows = map_windows(source.take(columns.values), windows, np.float32, shape[1] * shape[2])
    return {
        "native": xr.Variable(dims, rows.reshape(shape), {**about, "left_out": slots.left_out}),
        "native_time": xr.Variable(dims[:2], slots.time_TS, {"units": "s"}),
        "slot": xr.Variable("slot", slots.offset_S, {"units": "s", "long_name": "from `time`"}),
    }


def _windows(row_TS: NDArray[np.int64], columns: int) -> list[Window]:
    # An empty slot reads the row before, so that rows ascend.
    filled = np.maximum(np.maximum.accumulate(row_TS.ravel()), 0).reshape(row_TS.shape)
    starts = block_starts(filled[:, 0], columns, MOST_ROWS)
    windows = []
    for first, stop in pairwise(starts):
        rows = slice(int(filled[first, 0]), int(filled[stop - 1, -1]) + 1)
        own_TS = np.where(row_TS[first:stop] >= 0, row_TS[first:stop] - rows.start, -1)
        windows.append(Window(rows, stop - first, partial(lay_samples, row_TS=own_TS)))
    return windows


def lay_samples(block: NDArray[np.floating], row_TS: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return (bin, slot x column) samples of a block of rows; NaN in empty slots."""
    laid_TSC = np.asarray(block, np.float32)[np.maximum(row_TS, 0)]
    laid_TSC[row_TS < 0] = np.nan
    return laid_TSC.reshape(len(row_TS), -1)
