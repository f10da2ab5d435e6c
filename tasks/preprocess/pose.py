"""Pose: unsure points masked, short gaps filled, tracks smoothed; speed and heading added."""

import re
from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.settings.clean_behaviour import PoseCleaning
from schemas.settings.preprocess import PreprocessSettings
from tasks.preprocess.clock import Clock
from tasks.preprocess.repair import (
    differentiate,
    fill_short_gaps,
    find_stuck,
    smooth_savgol,
)
from tasks.preprocess.stream import is_finite, note_operation, over_time, replace_primary

FRONT = (r"snout", r"nose", r"head", r"neck", r"ear")
BACK = (r"tail_?base|base_?tail", r"tail", r"hip", r"body|cent(er|re|roid)", r"neck|back")
Rows = NDArray[np.float64]


def clean_pose(name: str, stream: xr.Dataset, settings: PreprocessSettings) -> xr.Dataset:
    """Clean tracked points and derive how fast and where to each individual moves.

    `speed` is the median over keypoints, so that a point that comes and goes cannot make a jump.
    `heading` is the direction from a back to a front keypoint, in radians from x to y, or the
    direction of movement where the keypoints tell no front and back.

    References
    ----------
    movement (neuroinformatics-unit): filter_by_confidence, interpolate_over_time, savgol_filter.
    """
    chosen, clock = settings.pose, Clock(stream, settings.max_gap_periods)
    longest, window = clock.frames(chosen.fill_s), _odd(clock.frames(chosen.smooth_s))

    def clean(rows: Rows) -> Rows:
        filled, _ = fill_short_gaps(rows, clock.time, clock.segment, longest)
        return smooth_savgol(filled, clock.segment, window)

    sure = _mask_unsure(stream, chosen.min_confidence)
    masked = _mask_stuck(sure, clock, clock.frames(chosen.stuck_s))
    position = over_time(clean, masked)
    valid = is_finite(position).all("space")
    measured = is_finite(masked).all("space")
    velocity = over_time(lambda rows: differentiate(rows, clock.time, clock.segment), position)
    front, back = find_axis([str(k) for k in stream["keypoint"].values], chosen)
    cleaned = replace_primary(stream, position).assign(
        valid=valid,
        filled=valid & ~measured,
        speed=_speed(velocity, str(stream["position"].attrs.get("units", "1"))),
        heading=_heading(position, velocity, front, back),
    )
    if front and chosen.egocentric and stream.sizes["space"] >= 2:
        cleaned = cleaned.assign(egocentric=_egocentric(position, front, back))
    cleaned = note_operation(cleaned, "filter_by_confidence", threshold=chosen.min_confidence)
    cleaned = note_operation(cleaned, "mask_stuck", longer_than_s=chosen.stuck_s)
    cleaned = note_operation(cleaned, "interpolate_over_time", longest_frames=longest)
    cleaned = note_operation(cleaned, "savgol_filter", window_frames=window, order=2)
    return note_operation(cleaned, "derive_speed_and_heading", front=front, back=back)


def _odd(frames: int) -> int:
    """Return an odd window, or 0 where it is too short for a parabola to smooth."""
    window = frames + 1 - frames % 2
    return window if window >= 5 else 0


def _mask_unsure(stream: xr.Dataset, threshold: float) -> xr.DataArray:
    """Return positions with NaN where a coordinate is missing or the tracker was unsure."""
    position = stream["position"]
    seen = is_finite(position).all("space")
    if "confidence" in stream:
        seen &= stream["confidence"] >= threshold
    return position.where(seen).transpose(*position.dims)


def _mask_stuck(position: xr.DataArray, clock: Clock, frames: int) -> xr.DataArray:
    """Return positions with NaN where every coordinate of a point stands still for too long."""
    if not frames:
        return position
    stuck = over_time(lambda rows: find_stuck(rows, clock.segment, frames), position, bool)
    return position.where(~stuck.all("space"))


def find_axis(keypoints: Sequence[str], chosen: PoseCleaning) -> tuple[str, str]:
    """Return the keypoints at the front and at the back of the body; empty where unknown."""
    front = chosen.front or _first_match(keypoints, FRONT)
    back = chosen.back or _first_match([k for k in keypoints if k != front], BACK)
    known = front in keypoints and back in keypoints
    return (front, back) if known else ("", "")


def _first_match(names: Sequence[str], patterns: Sequence[str]) -> str:
    found = [n for p in patterns for n in names if re.search(p, n.lower())]
    return found[0] if found else ""


def _speed(velocity: xr.DataArray, units: str) -> xr.DataArray:
    length = (velocity**2).sum("space", skipna=False) ** 0.5
    speed = _median_of_keypoints(length)
    return speed.assign_attrs(units=f"{units}/s", long_name="median speed of the keypoints")


def _median_of_keypoints(array: xr.DataArray) -> xr.DataArray:
    """Median over keypoints, NaN where none is known; `nanmedian` would warn there."""

    def median(block: NDArray[np.float64]) -> NDArray[np.float64]:
        ordered = np.sort(block, axis=-1)  # NaN goes last
        count = np.isfinite(block).sum(-1)
        low, high = np.maximum((count - 1) // 2, 0), np.minimum(count // 2, block.shape[-1] - 1)
        pick = [np.take_along_axis(ordered, n[..., None], -1)[..., 0] for n in (low, high)]
        return (pick[0] + pick[1]) / 2

    middle: xr.DataArray = xr.apply_ufunc(
        median,
        array.chunk({"keypoint": -1}),
        input_core_dims=[["keypoint"]],
        dask="parallelized",
        output_dtypes=[array.dtype],
    )
    return middle


def _heading(position: xr.DataArray, velocity: xr.DataArray, front: str, back: str) -> xr.DataArray:
    """Return the heading of each individual in radians, in the plane of the first two axes."""
    if front:
        along = _point(position, front) - _point(position, back)
    else:
        along = xr.concat(
            [_median_of_keypoints(velocity.isel(space=axis)) for axis in range(2)], dim="space"
        )
    x, y = along.isel(space=0), along.isel(space=1)
    # An animal that does not move has no direction: atan2(0, 0) would say east.
    known = (x != 0) | (y != 0)
    heading: xr.DataArray = xr.apply_ufunc(np.arctan2, y, x, dask="allowed")
    heading = heading.where(known).transpose("time", "individual")
    return heading.drop_vars("space", errors="ignore").assign_attrs(
        units="rad",
        wrap_period=2 * np.pi,
        derived_from="body axis" if front else "course",
        long_name=f"from {back} to {front}" if front else "course",
    )


def _egocentric(position: xr.DataArray, front: str, back: str) -> xr.DataArray:
    """Return points as the animal sees them: the back at 0, x towards the front, y to its side.

    In the plane of the first two axes; y keeps the sense that it has in the recording.
    """
    origin = _point(position, back)
    along = _point(position, front) - origin
    x, y = along.isel(space=0, drop=True), along.isel(space=1, drop=True)
    length = (x**2 + y**2) ** 0.5
    length = length.where(length > 0)
    moved = position - origin
    right, up = moved.isel(space=0, drop=True), moved.isel(space=1, drop=True)
    turned = xr.concat(
        [(right * x + up * y) / length, (up * x - right * y) / length], dim="direction"
    )
    turned = turned.assign_coords(direction=["ahead", "aside"])
    return turned.transpose("time", "direction", "keypoint", "individual").assign_attrs(
        units=str(position.attrs.get("units", "1")), long_name=f"seen from {back} towards {front}"
    )


def _point(position: xr.DataArray, keypoint: str) -> xr.DataArray:
    place = [str(k) for k in position["keypoint"].values].index(keypoint)
    return position.isel(keypoint=place).drop_vars("keypoint")
