"""Masking, filling and smoothing within gapless stretches: NumPy, rows are columns of a stream.

Arrays end in time (`values_NT`): each row is cleaned by itself. `segment_T` numbers gapless
stretches; nothing here reads across a change of it.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from tasks.common.segments import split_runs, true_runs

Rows = NDArray[np.float64]
Mask = NDArray[np.bool_]
Segments = NDArray[np.integer]


def find_outliers(values_NT: Rows, limit_z: float) -> Mask:
    """Mark values further than `limit_z` standard deviations from their row's mean."""
    finite = np.isfinite(values_NT)
    count = np.maximum(finite.sum(-1, keepdims=True), 1)
    centre = np.where(finite, values_NT, 0.0).sum(-1, keepdims=True) / count
    distance = np.where(finite, values_NT - centre, 0.0)
    spread = np.sqrt((distance**2).sum(-1, keepdims=True) / count)
    return np.abs(distance) > limit_z * spread


def find_stuck(values_NT: Rows, segment_T: Segments, frames: int) -> Mask:
    """Return where a row repeats one and the same value for more than `frames` samples."""
    stuck_NT = np.zeros(values_NT.shape, bool)
    for row_T, stuck_T in zip(values_NT, stuck_NT, strict=True):
        # Runs of equal values: a NaN equals nothing, itself included.
        moved_T = (row_T[1:] != row_T[:-1]) | (segment_T[1:] != segment_T[:-1])
        length = np.diff(np.flatnonzero(np.r_[True, moved_T, True]))
        stuck_T[:] = np.repeat(length > frames, length)
    return stuck_NT


def dilate(mask_NT: Mask, frames: int, segment_T: Segments) -> Mask:
    """Spread true values by `frames` samples to both sides, within each segment."""
    wide = mask_NT.copy()
    for run in split_runs(segment_T):
        inside = mask_NT[..., run]
        for shift in range(1, min(frames, inside.shape[-1] - 1) + 1):
            wide[..., run][..., shift:] |= inside[..., :-shift]
            wide[..., run][..., :-shift] |= inside[..., shift:]
    return wide


def fill_short_gaps(
    values_NT: Rows, time_T: NDArray[np.float64], segment_T: Segments, longest: int
) -> tuple[Rows, Mask]:
    """Fill stretches of up to `longest` NaN by straight lines between the samples around them.

    Stretches at the end of a segment stay: they are known from one side only.

    Returns
    -------
    The filled values, and where they were filled
    """
    filled = values_NT.copy()
    for row in filled:
        for run in split_runs(segment_T):
            _fill_row(row[run], time_T[run], longest)
    return filled, np.isnan(values_NT) & ~np.isnan(filled)


def _fill_row(row_T: Rows, time_T: NDArray[np.float64], longest: int) -> None:
    """Fill one row of one segment in place."""
    missing = np.isnan(row_T)
    if not missing.any() or missing.all():
        return
    known_time, known = time_T[~missing], row_T[~missing]
    for hole in true_runs(missing):
        inside = hole.start > 0 and hole.stop < len(row_T)
        if inside and hole.stop - hole.start <= longest:
            row_T[hole] = np.interp(time_T[hole], known_time, known)


def lowpass(
    values_NT: Rows, segment_T: Segments, rate_hz: float, cutoff_hz: float, order: int
) -> Rows:
    """Butterworth low-pass without delay, within each finite stretch of each segment.

    Forwards and backwards (order doubles), odd padding at the ends of a stretch. Stretches too
    short to be filtered, and rates whose Nyquist frequency is below the cutoff, stay as they are.
    """
    if not cutoff_hz or not 0 < cutoff_hz < rate_hz / 2:
        return values_NT
    sos = signal.butter(order, cutoff_hz, fs=rate_hz, output="sos")
    pad = 3 * (2 * len(sos) + 1)

    def smooth(run_T: Rows) -> Rows:
        smoothed: Rows = signal.sosfiltfilt(sos, run_T, padlen=min(pad, len(run_T) - 1))
        return smoothed

    return _within_runs(values_NT, segment_T, smooth, shortest=order + 2)


def smooth_savgol(values_NT: Rows, segment_T: Segments, frames: int) -> Rows:
    """Savitzky-Golay filter of second order within finite stretches.

    Parameters
    ----------
    frames : odd length of the window; 0 does not smooth. Shorter stretches stay as they are.
    """
    if frames == 0:
        return values_NT

    def smooth(run_T: Rows) -> Rows:
        smoothed: Rows = signal.savgol_filter(run_T, frames, 2, mode="interp")
        return smoothed

    return _within_runs(values_NT, segment_T, smooth, shortest=frames)


def _within_runs(
    values_NT: Rows, segment_T: Segments, smooth: Callable[[Rows], Rows], shortest: int
) -> Rows:
    """Replace each finite stretch of at least `shortest` samples by what `smooth` makes of it."""
    result = values_NT.copy()
    for source, target in zip(values_NT, result, strict=True):
        for run in true_runs(np.isfinite(source), segment_T):
            if run.stop - run.start >= shortest:
                target[run] = smooth(source[run])
    return result


def differentiate(values_NT: Rows, time_T: NDArray[np.float64], segment_T: Segments) -> Rows:
    """Return the rate of change per second, by central differences within each segment.

    NaN in stretches of one sample, and where a time is repeated.
    """
    result = np.full_like(values_NT, np.nan)
    for run in split_runs(segment_T):
        time, values = time_T[run], values_NT[..., run]
        if len(time) < 2:
            continue
        step = np.empty(len(time))
        change = np.empty_like(values)
        step[1:-1], change[..., 1:-1] = time[2:] - time[:-2], values[..., 2:] - values[..., :-2]
        step[[0, -1]] = time[1] - time[0], time[-1] - time[-2]
        change[..., 0] = values[..., 1] - values[..., 0]
        change[..., -1] = values[..., -1] - values[..., -2]
        result[..., run] = np.divide(
            change,
            step,
            out=np.full_like(change, np.nan),
            where=np.broadcast_to(step > 0, change.shape),
        )
    return result


def unwrap(values_NT: Rows, segment_T: Segments, period: float) -> Rows:
    """Undo the jumps of an angle, within each finite stretch of each segment.

    A stretch starts at the angle that was recorded: nothing is known of the turns before it.
    """
    result = values_NT.copy()
    for source, target in zip(values_NT, result, strict=True):
        for run in true_runs(np.isfinite(source), segment_T):
            target[run] = np.unwrap(source[run], period=period)
    return result
