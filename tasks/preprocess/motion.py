"""Motion: running, ball, IMU. Outliers masked, then a low-pass filter within gapless stretches."""

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.settings.preprocess import MotionCleaning, PreprocessSettings
from tasks.preprocess.clock import Clock
from tasks.preprocess.repair import find_outliers, lowpass
from tasks.preprocess.stream import as_float, is_finite, note_operation, over_time, replace_primary

Rows = NDArray[np.float64]


def clean_motion(name: str, stream: xr.Dataset, settings: PreprocessSettings) -> xr.Dataset:
    """Mask impossible values and smooth the rest without delay.

    Angles (attribute `wrap_period`, set by ingest) have no outliers and are smoothed on the
    circle, so that a turn through north is not averaged to south.

    References
    ----------
    AllenSDK, brain_observatory/behavior/data_objects/running_speed: z > 10, Butterworth of third
    order at 4 Hz, filtfilt.
    """
    chosen, clock = settings.motion, Clock(stream, settings.max_gap_periods)
    period = float(stream.attrs.get("wrap_period", 0.0))
    value = as_float(stream["value"])

    def clean(rows: Rows) -> Rows:
        if period:
            return _smooth_angles(rows, clock, chosen, period)
        usable = np.isfinite(rows) & ~find_outliers(rows, chosen.outlier_z)
        return _smooth(np.where(usable, rows, np.nan), clock, chosen)

    smoothed = over_time(clean, value)
    cleaned = replace_primary(stream, smoothed)
    cleaned = cleaned.assign(valid=is_finite(smoothed))
    filtered = chosen.cutoff_hz < clock.rate_hz / 2
    return note_operation(
        note_operation(cleaned, "mask_outliers", z=None if period else chosen.outlier_z),
        "lowpass_butterworth",
        cutoff_hz=chosen.cutoff_hz if filtered else None,
        order=chosen.order,
        forwards_and_backwards=True,
        rate_hz=clock.rate_hz if np.isfinite(clock.rate_hz) else None,
    )


def _smooth(rows: Rows, clock: Clock, chosen: MotionCleaning) -> Rows:
    return lowpass(rows, clock.segment, clock.rate_hz, chosen.cutoff_hz, chosen.order)


def _smooth_angles(rows: Rows, clock: Clock, chosen: MotionCleaning, period: float) -> Rows:
    """Smooth the two coordinates of each angle on the unit circle; keep the range it was in."""
    phase = np.where(np.isfinite(rows), rows, np.nan) * (2 * np.pi / period)
    sine = _smooth(np.sin(phase), clock, chosen)
    cosine = _smooth(np.cos(phase), clock, chosen)
    angle = np.arctan2(sine, cosine) * (period / (2 * np.pi))
    signed = (rows < 0).any(-1, keepdims=True)
    return np.where(signed, angle, angle % period)
