"""Eye: blinks and outliers masked, short ones filled and flagged."""

import re

import xarray as xr

from schemas.settings.preprocess import PreprocessSettings
from tasks.preprocess.clock import Clock
from tasks.preprocess.repair import dilate, fill_short_gaps, find_outliers
from tasks.preprocess.stream import as_float, is_finite, note_operation, over_time, replace_primary

SIZE = re.compile(r"pupil|area|size|diameter|radius|width|height|lid|aperture|openness")
PLACE = re.compile(r"gaze|position|(^|_)[xyz]$|azimuth|elevation|angle")
"""Where the eye looks is no size, even if the stream is called pupil_position."""


def clean_eye(name: str, stream: xr.Dataset, settings: PreprocessSettings) -> xr.Dataset:
    """Mask blinks in all channels, fill those short enough, flag what was filled.

    A blink is where a size (pupil, eye opening) is missing or further than `outlier_z` standard
    deviations from its mean, widened by some frames; a blink spoils gaze as well. Gaze itself is
    only masked where it is missing or in a blink: looking far away is no error.

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
    cleaned = note_operation(cleaned, "mask_blinks", **chosen.model_dump())
    return note_operation(cleaned, "fill_short_gaps", longest_frames=longest)


def _is_size(name: str) -> bool:
    """Tell whether a channel ("stream/channel") measures the size of the pupil or the eye."""
    channel = name.split("/")[-1].lower()
    return bool(SIZE.search(name.lower())) and not PLACE.search(channel)
