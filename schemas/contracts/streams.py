"""Streams as ingest writes them and preprocess hands them on: siblings, each with its own time.

Every group carries `stream_kind`, `source` (where in the recording it came from) and `primary`
(its main variable). Times are float64 seconds relative to the session's reference time.
"""

from schemas.contracts.contract import TEXT, DatasetContract, TreeContract, Variable

GROUP_ATTRS = ("stream_kind", "source", "primary")
ROOT_ATTRS = ("session_key", "session_name", "subject_id", "session_start_time")
TIME = {"time": Variable(("time",), "f", units=True)}

PLACES = ("region", "position")
"""Where a unit or channel lies: coordinates beside it."""


def places(dim: str) -> dict[str, Variable]:
    """Return the coordinates that tell where units or channels lie; both may be absent."""
    return {
        "region": Variable((dim,), TEXT, optional=True),
        "position": Variable((dim, "space"), "f", units=True, optional=True),
    }


SPIKES = DatasetContract(
    "spikes",
    {
        "spike_time": Variable(("spike",), "f", units=True),
        "unit_index": Variable(("spike",), "iu"),
    },
    {"unit": Variable(("unit",), TEXT), **places("unit")},
    GROUP_ATTRS,
)
CALCIUM = DatasetContract(
    "calcium",
    {"activity": Variable(("time", "unit"), "fiu", units=True)},
    {**TIME, "unit": Variable(("unit",), TEXT), **places("unit")},
    GROUP_ATTRS,
)
LFP = DatasetContract(
    "lfp",
    {"voltage": Variable(("time", "channel"), "fiu", units=True)},
    {**TIME, "channel": Variable(("channel",), TEXT), **places("channel")},
    GROUP_ATTRS,
)
CHANNELS = DatasetContract(
    "channels",
    {"value": Variable(("time", "channel"), "fiub", units=True)},
    {**TIME, "channel": Variable(("channel",), TEXT)},
    GROUP_ATTRS,
)
"""eye, motion, audio and signal: named channels over time."""

POSE = DatasetContract(
    "pose",
    {
        "position": Variable(("time", "space", "keypoint", "individual"), "f", units=True),
        "confidence": Variable(("time", "keypoint", "individual"), "f", optional=True),
    },
    {
        **TIME,
        "space": Variable(("space",), TEXT),
        "keypoint": Variable(("keypoint",), TEXT),
        "individual": Variable(("individual",), TEXT),
    },
    GROUP_ATTRS,
)
VIDEO = DatasetContract("video", {"frame_index": Variable(("time",), "iu")}, TIME, GROUP_ATTRS)
EVENTS = DatasetContract(
    "events", {"event_time": Variable(("event",), "f", units=True)}, {}, GROUP_ATTRS
)
INTERVALS = DatasetContract(
    "intervals",
    {
        "start_time": Variable(("interval",), "f", units=True),
        "stop_time": Variable(("interval",), "f", units=True),
    },
    {},
    GROUP_ATTRS,
)

BY_KIND = {
    "spikes": SPIKES,
    "calcium": CALCIUM,
    "lfp": LFP,
    "eye": CHANNELS,
    "motion": CHANNELS,
    "audio": CHANNELS,
    "signal": CHANNELS,
    "pose": POSE,
    "video": VIDEO,
    "events": EVENTS,
    "intervals": INTERVALS,
}

STREAMS = TreeContract("streams", ROOT_ATTRS, by_kind=BY_KIND)
