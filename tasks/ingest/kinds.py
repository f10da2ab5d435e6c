"""Which kind of stream an object of an NWB file is."""

import math
import re

import numpy as np

from schemas.entities import StreamKind
from tasks.ingest.names import slug
from tasks.ingest.objects import NwbObject, ReadContext

EYE = r"pupil|gaze|eyelid|eye|eyes|iris|saccade"
AUDIO = r"acoustic|audio|microphone|mic|usv|vocalization|vocalisation"
MOTION = (
    r"running|run|ball|wheel|treadmill|speed|velocity|imu|accelerometer|acceleration|gyroscope|"
    r"gyro|heading|locomotion|motion"
)
EVENT = (
    r"lick|licks|reward|rewards|event|events|pulse|pulses|ttl|ttls|onset|onsets|offset|offsets|"
    r"time|times"
)
ANGLE = r"head_direction|heading|direction|orientation|compass|azimuth|yaw"
TIME_UNITS = frozenset({"s", "sec", "second", "seconds", "ms", "millisecond", "milliseconds"})
CIRCULAR_UNITS = {
    **dict.fromkeys(("rad", "radian", "radians"), math.tau),
    **dict.fromkeys(("deg", "degree", "degrees", "\N{DEGREE SIGN}"), 360.0),
}
"""Unit of an angle -> the period it wraps by."""


def series_kind(found: NwbObject, context: ReadContext) -> StreamKind:
    """Return the kind of a TimeSeries. The first rule that fits decides.

    1. The settings, by path pattern (`IngestSettings.kinds`).
    2. The neurodata type: RoiResponseSeries is calcium, ElectricalSeries lfp, ImageSeries video,
       AcousticWaveformSeries audio, AnnotationSeries and IndexSeries (which image was shown)
       events.
    3. The container: EyeTracking and PupilTracking hold eye, CompassDirection motion, LFP and
       FilteredEphys lfp, Fluorescence and DfOverF calcium, BehavioralEvents events.
    4. Words in the object's own name, then in its container's: pupil, gaze, eyelid, eye ... are
       eye; acoustic, microphone ... audio; running, ball, wheel, speed, imu ... motion. A word
       counts whole, between underscores: "eyelid_aperture" has one, "keyed" has none.
    5. One column with timestamps of its own, and either a unit of time or a name with lick,
       reward, ttl, event, time ... : events, at the timestamps.
    6. A SpatialSeries of two or three columns: pose, a single point; of one column: motion.
    7. In a BehavioralTimeSeries: motion.
    8. Otherwise signal: continuous, and the file does not say what it means.
    """
    return (
        context.kind_set_for(found.path)
        or _by_type(found)
        or _by_container(found)
        or _by_words(found)
        or _by_shape(found)
    )


def _by_type(found: NwbObject) -> StreamKind | None:
    types: dict[str, StreamKind] = {
        "RoiResponseSeries": "calcium",
        "ElectricalSeries": "lfp",
        "AcousticWaveformSeries": "audio",
        "AnnotationSeries": "events",
        "IndexSeries": "events",
        "ImageSeries": "video",
    }
    return next((kind for name, kind in types.items() if found.is_a(name)), None)


def _by_container(found: NwbObject) -> StreamKind | None:
    containers: dict[str, StreamKind] = {
        "EyeTracking": "eye",
        "PupilTracking": "eye",
        "CompassDirection": "motion",
        "LFP": "lfp",
        "FilteredEphys": "lfp",
        "Fluorescence": "calcium",
        "DfOverF": "calcium",
        "BehavioralEvents": "events",
    }
    if found.parent is None:
        return None
    return next((kind for name, kind in containers.items() if found.parent.is_a(name)), None)


def _by_words(found: NwbObject) -> StreamKind | None:
    rules: tuple[tuple[str, StreamKind], ...] = ((EYE, "eye"), (AUDIO, "audio"), (MOTION, "motion"))
    for holder in (found, found.parent):
        if holder is None or holder.is_a("NWBFile", "ProcessingModule"):
            continue
        for words, kind in rules:
            if has_word(holder.name, words):
                return kind
    return None


def _by_shape(found: NwbObject) -> StreamKind:
    columns = column_count(found)
    if columns == 1 and found.field("timestamps") is not None:
        timed = found.text("unit").lower() in TIME_UNITS
        if timed or has_word(found.name, EVENT):
            return "events"
    if found.is_a("SpatialSeries"):
        return "pose" if columns in (2, 3) else "motion"
    if found.parent is not None and found.parent.is_a("BehavioralTimeSeries"):
        return "motion"
    return "signal"


def wrap_period(found: NwbObject) -> float | None:
    """Return the period of a series of headings, None if it is none or has no unit of an angle.

    Headings are what a CompassDirection holds, and one column of a SpatialSeries that is called
    heading, direction, yaw ... A wheel's angle is none: it counts turns.
    """
    held = found.parent is not None and found.parent.is_a("CompassDirection")
    named = found.is_a("SpatialSeries") and has_word(found.name, ANGLE) and column_count(found) == 1
    return CIRCULAR_UNITS.get(found.text("unit").lower()) if held or named else None


def has_word(name: str, words: str) -> bool:
    """Tell whether a name has one of the words, whole, between underscores."""
    return re.search(rf"(^|_)({words})(_|\d|$)", slug(name)) is not None


def column_count(found: NwbObject) -> int:
    """Return how many columns the data of a series has; 0 if it has no data."""
    shape: tuple[int, ...] = np.shape(found.field("data"))
    if not shape or shape[0] == 0:
        return 0
    return shape[1] if len(shape) > 1 else 1
