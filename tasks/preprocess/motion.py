"""Motion: running, ball, IMU. Outliers masked, smoothed within gapless stretches; wheel to cm/s."""

import re
from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.settings.clean_behaviour import MotionCleaning
from schemas.settings.preprocess import PreprocessSettings
from tasks.preprocess.clock import Clock
from tasks.preprocess.repair import differentiate, find_outliers, lowpass, unwrap
from tasks.preprocess.stream import as_float, is_finite, note_operation, over_time, replace_primary

Rows = NDArray[np.float64]
WHEEL = re.compile(r"wheel|running|treadmill|encoder|disc|disk")
ANGLES = {"rad": 2 * np.pi, "radian": 2 * np.pi, "radians": 2 * np.pi} | dict.fromkeys(
    ("deg", "degree", "degrees"), 360.0
)
"""Unit of an angle -> a full turn."""
ACCELEROMETER = re.compile(r"acc")
AXES = re.compile(r"(^|_|\b)[xyz]$|^[xyz]_|_[xyz]_")


def clean_motion(name: str, stream: xr.Dataset, settings: PreprocessSettings) -> xr.Dataset:
    """Mask impossible values and smooth the rest without delay.

    Angles (attribute `wrap_period`, set by ingest) have no outliers and are smoothed on the
    circle, so that a turn through north is not averaged to south. The angle of a wheel goes on
    where it jumped back by a turn, and becomes a speed in cm/s if the wheel's radius is known. An
    accelerometer gets `movement` (time): what is left of the acceleration without gravity.

    References
    ----------
    AllenSDK, brain_observatory/behavior/data_objects/running_speed: unwrap, z > 10, Butterworth
    of third order at 4 Hz, filtfilt, wheel of 6.5 inches.
    """
    chosen, clock = settings.motion, Clock(stream, settings.max_gap_periods)
    value = as_float(stream["value"])
    units = str(stream["value"].attrs.get("units", "")).lower()
    turn = ANGLES.get(units, 0.0) if WHEEL.search(name) else 0.0
    if turn and chosen.wheel_radius_cm:
        cleaned = _wheel_speed(stream, turn, clock, chosen)
    else:
        period = float(stream.attrs.get("wrap_period", 0.0))
        turn = 0.0 if period else turn
        clean = partial(_clean, clock=clock, chosen=chosen, period=period, turn=turn)
        cleaned = replace_primary(stream, over_time(clean, value))
        cleaned = note_operation(cleaned, "unwrap", turn=turn) if turn else cleaned
        z = None if period else chosen.outlier_z
        cleaned = note_operation(cleaned, "mask_outliers", z=z)
    cleaned = cleaned.assign(valid=is_finite(cleaned["value"]))
    filtered = chosen.cutoff_hz < clock.rate_hz / 2
    cleaned = note_operation(
        cleaned,
        "lowpass_butterworth",
        cutoff_hz=chosen.cutoff_hz if filtered else None,
        order=chosen.order,
        forwards_and_backwards=True,
        rate_hz=clock.rate_hz if np.isfinite(clock.rate_hz) else None,
    )
    return _add_movement(name, cleaned, value, clock, chosen)


def _clean(
    rows: Rows, clock: Clock, chosen: MotionCleaning, period: float = 0.0, turn: float = 0.0
) -> Rows:
    if period:
        return _smooth_angles(rows, clock, chosen, period)
    if turn:
        rows = unwrap(rows, clock.segment, turn)
    usable = np.isfinite(rows) & ~find_outliers(rows, chosen.outlier_z)
    return _smooth(np.where(usable, rows, np.nan), clock, chosen)


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


def _wheel_speed(
    stream: xr.Dataset, turn: float, clock: Clock, chosen: MotionCleaning
) -> xr.Dataset:
    """Turn the angle of a wheel into the speed of the animal on it, in cm/s."""

    def to_speed(rows: Rows) -> Rows:
        turns = unwrap(rows, clock.segment, turn) / turn
        speed = differentiate(turns, clock.time, clock.segment) * (
            2 * np.pi * chosen.wheel_radius_cm
        )
        return _clean(speed, clock, chosen)

    speed = over_time(to_speed, as_float(stream["value"]))
    cleaned = replace_primary(stream, speed)
    cleaned["value"].attrs["units"] = "cm/s"
    cleaned.attrs.pop("wrap_period", None)
    cleaned = note_operation(cleaned, "wheel_angle_to_speed", radius_cm=chosen.wheel_radius_cm)
    return note_operation(cleaned, "mask_outliers", z=chosen.outlier_z)


def _add_movement(
    name: str, cleaned: xr.Dataset, value: xr.DataArray, clock: Clock, chosen: MotionCleaning
) -> xr.Dataset:
    """Add the length of the acceleration without gravity, of an accelerometer with three axes.

    Gravity is what is slower than `gravity_hz`. From the values as recorded: what shakes an
    animal is faster than the low-pass.

    References
    ----------
    Vector of dynamic body acceleration: Qasem et al. 2012, doi:10.1371/journal.pone.0031187
    """
    axes = find_accelerometer(name, [str(c) for c in value["channel"].values])
    if not axes or not chosen.gravity_hz:
        return cleaned

    def without_gravity(rows: Rows) -> Rows:
        usable = np.where(find_outliers(rows, chosen.outlier_z), np.nan, rows)
        slow = lowpass(usable, clock.segment, clock.rate_hz, chosen.gravity_hz, 2)
        return usable - slow

    shaken = over_time(without_gravity, value.isel(channel=axes))
    length = (shaken**2).sum("channel", skipna=False) ** 0.5
    units = str(value.attrs.get("units", "1"))
    movement = length.drop_attrs().assign_attrs(
        units=units, long_name="acceleration without gravity"
    )
    return note_operation(
        cleaned.assign(movement=movement), "remove_gravity", below_hz=chosen.gravity_hz
    )


def find_accelerometer(name: str, channels: list[str]) -> list[int]:
    """Return the positions of the three axes of an accelerometer; none if there is none."""
    named = [n for n, c in enumerate(channels) if ACCELEROMETER.search(c.lower())]
    if not named and ACCELEROMETER.search(name):
        named = list(range(len(channels)))
    axes = [n for n in named if AXES.search(channels[n].lower())]
    return axes if len(axes) == 3 else []
