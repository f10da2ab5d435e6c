"""Full-length scans of time axes, a block at a time: the same result whatever the blocks."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.ingest.lazy_views import RegularAxis

Times = NDArray[np.float64]
Mask = NDArray[np.bool_]

GAP = 1.5
"""A step longer than this many usual ones is a gap."""

JITTER = 0.25
"""A step that differs from the usual one by more than this share of it is uneven."""

CACHED_MIB = 8.0
"""A block is looked at more than once: faster if the processor's cache holds it."""

BINS_PER_DECADE = 240
DECADES = (-10, 8)
"""Steps from 0.1 ns to three years, told apart to one percent."""


@dataclass
class Odd:
    """Samples that are odd in one way.

    Attributes
    ----------
    count : how many
    sample : position of the first of them (of the longest, for gaps); -1 if there is none
    time_s : its time, or the last time before it if it has none
    value : what is odd about it, e.g. the step to it in seconds
    """

    count: int = 0
    sample: int = -1
    time_s: float = math.nan
    value: float = math.nan

    def add(self, odd: Mask, positions: NDArray[np.int64], times: Times, values: Times) -> None:
        """Count the marked samples of a block; keep the first of all."""
        self.count += int(np.count_nonzero(odd))
        if self.sample < 0 and odd.any():
            first = int(np.argmax(odd))
            self.sample = int(positions[first])
            self.time_s, self.value = float(times[first]), float(values[first])


@dataclass
class TimeScan:
    """What a time axis looks like.

    `repeated` and `reversed` are samples whose time is equal to, or before, that of the last
    sample with a time; `gaps` and `uneven` compare steps forward with `usual_step_s`, their median.
    """

    size: int = 0
    nan: Odd = field(default_factory=Odd)
    infinite: Odd = field(default_factory=Odd)
    repeated: Odd = field(default_factory=Odd)
    reversed: Odd = field(default_factory=Odd)
    gaps: Odd = field(default_factory=Odd)
    uneven: Odd = field(default_factory=Odd)
    steps: int = 0
    usual_step_s: float = math.nan
    start_s: float = math.nan
    stop_s: float = math.nan
    counting: bool = True
    regular: bool = False

    @property
    def absent(self) -> int:
        """Number of samples without a time."""
        return self.nan.count + self.infinite.count

    @property
    def in_order(self) -> bool:
        """Whether every time is a number and later than the one before."""
        return self.absent == self.repeated.count == self.reversed.count == 0


@dataclass(frozen=True)
class _Block:
    """Finite times of a block with their positions and the steps that lead to them."""

    positions: NDArray[np.int64]
    times: Times
    steps: Times


def scan_times(times: xr.Variable, block_mib: float = 32.0) -> TimeScan:
    """Read a time axis in blocks: once for its order, once more for its steps.

    Parameters
    ----------
    times : (time,) seconds
    block_mib : memory for a block
    """
    steps = _StepHistogram()
    scan = scan_order(times, block_mib, steps.add)
    if scan.regular:
        return scan
    scan.steps, scan.usual_step_s = steps.total, steps.median()
    if scan.steps:
        for block in _finite_blocks(times, block_mib):
            _scan_steps(scan, block)
    return scan


def scan_order(
    times: xr.Variable, block_mib: float, see_steps: Callable[[Times], None] | None = None
) -> TimeScan:
    """Read a time axis in blocks, once, for its order alone.

    see_steps : given the steps of each block, in seconds
    """
    axis = getattr(times._data, "array", None)
    if isinstance(axis, RegularAxis) and axis.rate_hz > 0:
        return _regular_scan(axis)
    scan = TimeScan()
    for block in _finite_blocks(times, block_mib, scan):
        _scan_order(scan, block)
        if see_steps is not None:
            see_steps(block.steps)
    return scan


def blocks(
    variable: xr.Variable, block_mib: float, like: xr.Variable | None = None
) -> Iterator[NDArray[Any]]:
    """Yield a variable's values in consecutive blocks along its first axis.

    like : another variable of that length, to be read beside this one in as many rows a block
    """
    step = _block_rows(variable if like is None else like, block_mib)
    for start in range(0, variable.shape[0], step):
        yield variable[start : start + step].to_numpy()


def _block_rows(variable: xr.Variable, block_mib: float) -> int:
    """Return how many rows to read at once: whole chunks of the file, if they fit in a block."""
    row = max(int(np.prod(variable.shape[1:], dtype=np.int64)) * variable.dtype.itemsize, 1)
    rows: int = max(int(min(block_mib, CACHED_MIB) * 2**20) // row, 1)
    chunk: int = getattr(getattr(variable._data, "array", None), "chunk_rows", 1)
    whole = -(-rows // chunk) * chunk
    return whole if whole * row <= block_mib * 2**20 else rows


def _regular_scan(axis: RegularAxis) -> TimeScan:
    """Return what a scan of start + index / rate would find, without making the times."""
    size, step = axis.shape[0], 1 / axis.rate_hz
    stop = axis.start + (size - 1) * step if size else math.nan
    start = axis.start if size else math.nan
    return TimeScan(
        size, steps=size - 1, usual_step_s=step, start_s=start, stop_s=stop, regular=True
    )


def _finite_blocks(
    times: xr.Variable, block_mib: float, scan: TimeScan | None = None
) -> Iterator[_Block]:
    """Yield the finite times of each block; enter the others into the scan, if there is one."""
    offset, last = 0, math.nan
    for values in blocks(times, block_mib):
        block = values.astype(np.float64, copy=False)
        finite = np.isfinite(block)
        good = block[finite]
        positions = np.flatnonzero(finite) + offset
        if scan is not None and not finite.all():
            _scan_absent(scan, block, offset, last)
        yield _Block(positions, good, np.diff(good, prepend=last if len(good) else ()))
        offset += len(block)
        last = float(good[-1]) if len(good) else last
    if scan is not None:
        scan.size = offset


def _scan_absent(scan: TimeScan, block: Times, offset: int, last: float) -> None:
    positions = np.arange(offset, offset + len(block))
    finite = np.isfinite(block)
    latest = np.maximum.accumulate(np.where(finite, np.arange(len(block)), -1))
    before = np.where(latest >= 0, block[latest], last)
    scan.counting = False
    scan.nan.add(np.isnan(block), positions, before, block)
    scan.infinite.add(np.isinf(block), positions, before, block)


def _scan_order(scan: TimeScan, block: _Block) -> None:
    if not len(block.times):
        return
    # The first step of all is NaN, and no comparison with it is true.
    scan.repeated.add(block.steps == 0, block.positions, block.times, block.steps)
    scan.reversed.add(block.steps < 0, block.positions, block.times, block.steps)
    scan.counting &= bool(np.all((block.steps == 1) | np.isnan(block.steps)))
    scan.start_s = float(np.nanmin([scan.start_s, block.times.min()]))
    scan.stop_s = float(np.nanmax([scan.stop_s, block.times.max()]))


def _scan_steps(scan: TimeScan, block: _Block) -> None:
    wide = block.steps > GAP * scan.usual_step_s
    scan.gaps.count += int(np.count_nonzero(wide))
    if wide.any():
        longest = int(np.nanargmax(block.steps))
        if not block.steps[longest] <= scan.gaps.value:
            before = block.times[longest] - block.steps[longest]
            scan.gaps.sample = int(block.positions[longest])
            scan.gaps.time_s, scan.gaps.value = float(before), float(block.steps[longest])
    off = np.abs(block.steps - scan.usual_step_s) > JITTER * scan.usual_step_s
    uneven = off & (block.steps > 0) & ~wide
    scan.uneven.add(uneven, block.positions, block.times, block.steps)


class _StepHistogram:
    """Counts of steps forward by their logarithm: a median in fixed memory."""

    def __init__(self) -> None:
        bins = (DECADES[1] - DECADES[0]) * BINS_PER_DECADE
        self.counts = np.zeros(bins, np.int64)
        self.low, self.high = np.full(bins, np.inf), np.zeros(bins)

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    def add(self, steps: Times) -> None:
        forward = steps[steps > 0]
        place = np.floor((np.log10(forward) - DECADES[0]) * BINS_PER_DECADE)
        which = np.clip(place, 0, len(self.counts) - 1).astype(np.int64)
        self.counts += np.bincount(which, minlength=len(self.counts))
        np.minimum.at(self.low, which, forward)
        np.maximum.at(self.high, which, forward)

    def median(self) -> float:
        """Return the middle of the steps in the median's bin; NaN without a step."""
        if not self.total:
            return math.nan
        # Sums would depend on the blocks in their last digit; smallest and largest do not.
        middle = int(np.searchsorted(np.cumsum(self.counts), (self.total + 1) // 2))
        return float(self.low[middle] + self.high[middle]) / 2
