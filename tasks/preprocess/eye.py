"""Eye: blinks and outliers masked, short ones filled; pupil size, gaze in degrees, saccades."""

import re

import numpy as np
import xarray as xr

from schemas.settings.clean_behaviour import EyeCleaning
from schemas.settings.preprocess import PreprocessSettings
from tasks.preprocess.clock import Clock
from tasks.preprocess.repair import dilate, fill_short_gaps, find_outliers
from tasks.preprocess.stream import as_float, is_finite, note_operation, over_time, replace_primary

SIZE = re.compile(r"pupil|area|size|diameter|radius|width|height|lid|aperture|openness")
PLACE = re.compile(r"gaze|position|(^|_)[xyz]$|azimuth|elevation|angle")
"""Where the eye looks is no size, even if the stream is called pupil_position."""
ACROSS = re.compile(r"(^|_)x$|azimuth|horizontal")
ALONG = re.compile(r"(^|_)y$|elevation|vertical")
LID = re.compile(r"lid|aperture|openness|eye_?(area|width|height)")
DEGREES_PER = {"deg": 1.0, "degree": 1.0, "degrees": 1.0, "rad": 180 / np.pi}
"""Units of gaze that are angles already."""


def clean_eye(name: str, stream: xr.Dataset, settings: PreprocessSettings) -> xr.Dataset:
    """Mask blinks in all channels, fill those short enough, flag what was filled.

    A blink is where a size (pupil, eye opening) is missing or further than `outlier_z` standard
    deviations from its mean, widened by some frames; a blink spoils gaze as well. Gaze itself is
    only masked where it is missing or in a blink: looking far away is no error. Beside the
    channels come `pupil_diameter` and `pupil_area` (time) and, where the geometry is known,
    `gaze_degrees` (time, direction).

    References
    ----------
    AllenSDK, brain_observatory/behavior/eye_tracking_processing.py. Plain mean and standard
    deviation as there: around the median and MAD, 4 % of a real mouse's pupil (its dilations
    while running) would be outliers.
    """
    chosen, clock = settings.eye, Clock(stream, settings.max_gap_periods)
    value = as_float(stream["value"])
    missing = ~is_finite(value)
    sizes = [n for n, c in enumerate(stream["channel"].values) if _is_size(f"{name}/{c}")]
    outlier = over_time(lambda rows: find_outliers(rows, chosen.outlier_z), value, bool)
    blink = (missing | outlier).isel(channel=sizes).any("channel")
    likely_blink = over_time(
        lambda rows: dilate(rows, chosen.dilate_frames, clock.segment),
        (missing | blink).transpose(*value.dims),
        bool,
    )
    masked = value.where(~likely_blink)
    longest = clock.frames(chosen.fill_s)
    filled = over_time(
        lambda rows: fill_short_gaps(rows, clock.time, clock.segment, longest)[0], masked
    )
    valid = is_finite(filled)
    cleaned = replace_primary(stream, filled).assign(
        valid=valid,
        likely_blink=likely_blink,
        filled=valid & likely_blink,
    )
    cleaned = cleaned.assign(_pupil_size(name, filled)).assign(_gaze(name, filled, chosen))
    done = {"outlier_z": chosen.outlier_z, "dilate_frames": chosen.dilate_frames}
    cleaned = note_operation(cleaned, "mask_blinks", **done)
    return note_operation(cleaned, "fill_short_gaps", longest_frames=longest)


def _is_size(name: str) -> bool:
    """Tell whether a channel ("stream/channel") measures the size of the pupil or the eye."""
    channel = name.split("/")[-1].lower()
    return bool(SIZE.search(name.lower())) and not PLACE.search(channel)


def _pupil_size(name: str, value: xr.DataArray) -> dict[str, xr.DataArray]:
    """Return the diameter and the area of the first pupil whose size the channels tell.

    Of width and height the larger is the diameter: a pupil seen from the side is foreshortened
    (AllenSDK: area = pi max(half width, half height)^2).
    """
    found: dict[str, xr.DataArray] = {}
    for n, channel in enumerate(value["channel"].values.tolist()):
        full = f"{name}/{channel}".lower()
        if _is_size(full) and "pupil" in full and not LID.search(full):
            words = ("area", "radius", "width", "height", "diameter")
            kind = next((w for w in words if w in full.split("/")[-1]), "")
            kind = kind or next((w for w in words if w in full), "")
            found.setdefault(kind, value.isel(channel=n, drop=True))
    units = str(value.attrs.get("units", "1"))
    if found.keys() - {"area", ""}:
        found.pop("area", None)
    if "diameter" in found:
        across = found["diameter"]
    elif "radius" in found:
        across = 2 * found["radius"]
    elif "width" in found and "height" in found:
        across = xr.where(found["width"] > found["height"], found["width"], found["height"])
        across = across.where(is_finite(found["width"]) & is_finite(found["height"]))
    elif "area" in found:
        across = 2 * (found["area"].where(found["area"] >= 0) / np.pi) ** 0.5
    else:
        return {}
    lengths, areas = (f"sqrt({units})", units) if "area" in found else (units, f"({units})^2")
    area = found["area"] if "area" in found else np.pi / 4 * (across * across)
    return {
        "pupil_diameter": across.rename(None).assign_attrs(units=lengths),
        "pupil_area": area.rename(None).assign_attrs(units=areas),
    }


def find_gaze(name: str, channels: list[str]) -> tuple[int, int] | None:
    """Return the positions of the first pair of channels that say where the eye looks."""
    places = [(n, c.lower()) for n, c in enumerate(channels) if not _is_size(f"{name}/{c}".lower())]
    across = next((n for n, c in places if ACROSS.search(c)), None)
    along = next((n for n, c in places if ALONG.search(c)), None)
    return None if across is None or along is None else (across, along)


def _gaze(name: str, value: xr.DataArray, chosen: EyeCleaning) -> dict[str, xr.DataArray]:
    """Return gaze in degrees, if it is in an angle already or the settings tell the geometry."""
    pair = find_gaze(name, [str(c) for c in value["channel"].values])
    if pair is None:
        return {}
    place = value.isel(channel=list(pair)).rename(channel="direction")
    place = place.assign_coords(direction=["across", "along"])
    per = DEGREES_PER.get(str(value.attrs.get("units", "")).lower())
    if chosen.gaze_distance:
        centre = xr.DataArray(list(chosen.gaze_centre), dims="direction")
        away = (place - centre) * (chosen.gaze_unit / chosen.gaze_distance)
        angle: xr.DataArray = xr.apply_ufunc(np.arctan, away, dask="allowed")
        degrees = angle * (180 / np.pi)
    elif per is not None:
        degrees = place * per
    else:
        return {}
    return {"gaze_degrees": degrees.rename(None).assign_attrs(units="deg")}
