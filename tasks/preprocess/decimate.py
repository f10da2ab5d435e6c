"""Anti-aliased decimation of each gapless stretch, a window at a time."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import dask.array as da
import numpy as np
from numpy.typing import NDArray
from scipy import signal

from tasks.common.windows import Window, block_starts, columns_at_once, map_windows
from tasks.preprocess.clock import Clock

TAPS_PER_STEP = 10
"""Half length of the decimation filter in output samples."""
PASSED = 0.8
"""Cutoff as a part of the new Nyquist frequency (scipy.signal.decimate, SpikeInterface)."""
MOST_ROWS = 6_000


def decimation_factor(rate_hz: float, target_hz: float) -> int:
    """Return the largest whole factor that keeps at least the target rate."""
    # 1e-3: from rounded times 2,500 Hz may come out as 2,499.999.
    return max(int(rate_hz / target_hz + 1e-3), 1) if np.isfinite(rate_hz) else 1


def kept_samples(runs: NDArray[np.int64], factor: int) -> NDArray[np.int64]:
    """Return the positions that decimation keeps: every n-th of each stretch."""
    kept = [np.arange(start, stop, factor) for start, stop in runs.tolist()]
    return np.concatenate([np.zeros(0, np.int64), *kept])


def kept_runs(runs: NDArray[np.int64], factor: int) -> NDArray[np.int64]:
    """Return the stretches of the decimated axis."""
    stop = np.cumsum(-(-(runs[:, 1] - runs[:, 0]) // factor))
    return np.stack([np.concatenate([[0], stop[:-1]])[: len(stop)], stop], axis=1)


def decimate(voltage: da.Array, clock: Clock, kept: NDArray[np.int64], factor: int) -> da.Array:
    """Low-pass each gapless stretch and keep the samples at `kept`, lazily.

    A symmetric (delay-free) FIR filter that reads no sample of another stretch. At the ends of a
    stretch, and around missing samples, it is scaled to the samples that are there.
    """
    if factor == 1:
        return voltage
    half = TAPS_PER_STEP * factor
    taps = signal.firwin(2 * half + 1, PASSED / factor)
    starts = block_starts(np.maximum(kept - half, 0), columns_at_once(voltage), MOST_ROWS)
    windows = []
    for first, last in pairwise(starts):
        inside = kept[first:last]
        lowest, highest = max(int(inside[0]) - half, 0), min(int(inside[-1]) + half + 1, clock.size)
        kernel = partial(
            _filter_window,
            kept=inside - lowest,
            stretches=clock.stretches(lowest, highest),
            taps=taps,
            factor=factor,
        )
        windows.append(Window(slice(lowest, highest), last - first, kernel))
    return map_windows(voltage, windows, np.float32)


def _filter_window(
    block: NDArray[np.float32],
    kept: NDArray[np.int64],
    stretches: Sequence[slice],
    taps: NDArray[np.float64],
    factor: int,
) -> NDArray[np.float32]:
    """Filter the rows of one window and return those at `kept`."""
    made = np.empty((len(kept), block.shape[1]), np.float32)
    for run in stretches:
        mine = (kept >= run.start) & (kept < run.stop)
        if mine.any():
            made[mine] = _filter_run(block[run], kept[mine] - run.start, taps, factor)
    return made


def _filter_run(
    values: NDArray[np.float32], kept: NDArray[np.int64], taps: NDArray[np.float64], factor: int
) -> NDArray[np.float64]:
    """Filter one stretch at `kept`, `factor` apart; NaN where half the filter is empty."""
    finite = np.isfinite(values)
    weight = finite.astype(np.float64) if not finite.all() else np.ones((len(values), 1))
    total = _convolve_at(np.where(finite, values, 0.0).astype(np.float64), kept, taps, factor)
    present = _convolve_at(weight, kept, taps, factor)
    known = finite[kept] & (present > 0.5)
    return np.divide(total, present, out=np.full_like(total, np.nan), where=known)


def _convolve_at(
    values: NDArray[np.float64], kept: NDArray[np.int64], taps: NDArray[np.float64], factor: int
) -> NDArray[np.float64]:
    half = len(taps) // 2
    before = half - int(kept[0])
    after = int(kept[-1]) + half + 1 - len(values)
    padded = np.pad(values[max(-before, 0) :], ((max(before, 0), max(after, 0)), (0, 0)))
    # The first full output lies 2 * half taps in, a whole number of steps since
    # half = TAPS_PER_STEP * factor.
    first = 2 * half // factor
    filtered: NDArray[np.float64] = signal.upfirdn(taps, padded, down=factor, axis=0)
    return filtered[first : first + len(kept)]
