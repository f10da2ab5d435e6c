"""The slow baseline of fluorescence: a running percentile."""

import numpy as np
from numpy.typing import NDArray

from schemas.settings.preprocess import CalciumCleaning
from tasks.preprocess.clock import Clock

Rows = NDArray[np.float64]


def running_baseline(rows: NDArray[np.floating], clock: Clock, chosen: CalciumCleaning) -> Rows:
    """Return the slow baseline F0 of each row: a running percentile, within gapless stretches.

    The percentile is taken in windows that overlap by half and joined by straight lines; a
    stretch shorter than a window has one value.

    Parameters
    ----------
    rows : (unit, time)
    """
    baseline = np.empty(rows.shape, np.float64)
    window = max(clock.frames(chosen.baseline_window_s), 1)
    for start, stop in clock.runs.tolist():
        run = slice(start, stop)
        baseline[:, run] = _segment_baseline(rows[:, run], window, chosen.baseline_percentile)
    return baseline


def _segment_baseline(rows: NDArray[np.floating], window: int, percentile: float) -> Rows:
    length = rows.shape[1]
    size = min(window, length)
    count = 1 if size == length else 1 + -(-2 * (length - size) // size)
    starts = np.round(np.linspace(0, length - size, count)).astype(int)
    levels = np.stack([percentile_of(rows[:, s : s + size], percentile) for s in starts], axis=1)
    centres = starts + (size - 1) / 2
    at = np.arange(length)
    return np.array([np.interp(at, centres, level) for level in levels]).reshape(rows.shape)


def percentile_of(rows: NDArray[np.floating], percentile: float) -> Rows:
    """Percentile of the finite values of each row; NaN where there are none."""
    if np.isfinite(rows).all():
        return np.asarray(np.percentile(rows, percentile, axis=1), np.float64)
    finite = [row[np.isfinite(row)] for row in rows]
    return np.array([np.percentile(row, percentile) if row.size else np.nan for row in finite])
