"""Resampling by a windowed sinc: nothing above what the slower of two rates can carry is left."""

from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tasks.common.windows import BLOCK_BYTES, Window, block_starts

Times = NDArray[np.float64]

LOBES = 16
"""Zero crossings of the sinc on each side."""
BETA = 6.0
"""Of the Kaiser window: what is stopped is stopped by 60 dB."""
STOP = 0.88
"""Cutoff of a filter for a slower axis, as part of its Nyquist frequency: the transition, a
quarter of the cutoff wide, ends there."""
LEAST = 0.4
"""Least part of the kernel's weight that known samples must carry: half of it at an end."""
BYTES_A_WEIGHT = 40


def filter_windows(
    time: Times, segment: NDArray[np.int32], period: float, at: Times, bin_s: float, columns: int
) -> list[Window]:
    """Return the windows that filter and resample a stream.

    Parameters
    ----------
    time, segment : (sample,) seconds, strictly ascending, and number of the gapless stretch
    period : median step of `time`
    at : (axis,) seconds
    bin_s : step of the axis
    columns : columns worked on at once

    References
    ----------
    Oppenheim & Schafer, Discrete-Time Signal Processing, 7.5 (Kaiser windows), 4.6 (change of
    rate by a filter evaluated at the new times).
    """
    cutoff_hz = 0.5 / period if bin_s <= period * (1 + 1e-6) else 0.5 * STOP / bin_s
    half = LOBES / (2 * cutoff_hz)
    first = np.searchsorted(time, at - half)
    stop = np.searchsorted(time, at + half, side="right")
    most = max(int((stop - first).max(initial=1)), 1)
    rows = max(min(6_000, BLOCK_BYTES // (BYTES_A_WEIGHT * most)), 1)
    windows = []
    for begin, end in pairwise(block_starts(first, columns, rows)):
        part = slice(begin, end)
        source = slice(int(first[begin]), max(int(stop[end - 1]), int(first[begin]) + 1))
        source = slice(min(source.start, len(time) - 1), min(source.stop, len(time)))
        kernel = partial(
            filter_samples,
            time=time[source],
            segment=segment[source],
            at=at[part],
            cutoff_hz=cutoff_hz,
            period=period,
        )
        windows.append(Window(source, end - begin, kernel))
    return windows


def filter_samples(
    block: NDArray[np.floating],
    time: Times,
    segment: NDArray[np.int32],
    at: Times,
    cutoff_hz: float,
    period: float,
) -> NDArray[np.float32]:
    """Return the low-passed samples at new times; NaN where known ones do not surround them.

    Only samples of the stretch that a new time lies in count, weighted by how much time each
    stands for, so that jitter of the clock does not become noise. What is missing inside the
    kernel is made up for by scaling the rest.

    Parameters
    ----------
    block : (sample, column), NaN where not valid
    """
    weights, inside = _weights(time, segment, at, cutoff_hz, period)
    known = np.isfinite(block)
    if known.all():
        total = np.asarray(weights.sum(axis=1))
        surrounded = inside[:, None]
    else:
        total = weights @ known.astype(np.float64)
        before, after = _neighbours(time, at)
        surrounded = inside[:, None] & known[before] & known[after]
    value = weights @ np.where(known, block, 0.0).astype(np.float64)
    enough = surrounded & (total.reshape(len(at), -1) >= LEAST)
    made = np.divide(value, total.reshape(len(at), -1), out=np.full_like(value, np.nan),
                     where=np.broadcast_to(enough, value.shape))  # fmt: skip
    return np.asarray(made, np.float32)


def _weights(time: Times, segment: NDArray[np.int32], at: Times, cutoff_hz: float, period: float):  # type: ignore[no-untyped-def]  # scipy has no types
    """Return the (new, sample) matrix of the kernel, and which new times lie inside a stretch."""
    from scipy import sparse

    half = LOBES / (2 * cutoff_hz)
    first = np.searchsorted(time, at - half)
    count = np.searchsorted(time, at + half, side="right") - first
    row = np.repeat(np.arange(len(at)), count)
    column = np.arange(len(row)) - np.repeat(np.cumsum(count) - count - first, count)
    before, after = _neighbours(time, at)
    inside = (segment[before] == segment[after]) & (time[before] <= at) & (at <= time[after])
    same = segment[column] == segment[before][row]
    row, column = row[same], column[same]
    lag = at[row] - time[column]
    window = np.i0(BETA * np.sqrt(np.maximum(1 - (lag / half) ** 2, 0))) / np.i0(BETA)
    # A sample stands for half the way to each neighbour, but not for a gap.
    step = np.minimum(np.diff(time), period) if len(time) > 1 else np.full(1, period)
    stands_for = (np.concatenate([[step[0]], step]) + np.concatenate([step, [step[-1]]])) / 2
    stands_for = stands_for[: len(time)]
    value = 2 * cutoff_hz * np.sinc(2 * cutoff_hz * lag) * window * stands_for[column]
    return sparse.csr_array((value, (row, column)), shape=(len(at), len(time))), inside


def _neighbours(time: Times, at: Times) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the samples at or before, and at or after, each new time."""
    last = len(time) - 1
    before = np.clip(np.searchsorted(time, at, side="right") - 1, 0, last)
    after = np.clip(np.searchsorted(time, at, side="left"), 0, last)
    return before, after
