"""All streams on one time axis.

The group `clock` holds the shared axis: `segment` numbers each stretch of time without a gap
(0, 1, ...; -1 where no stream is valid); nothing may be embedded, filtered or interpolated across
a change of segment. Every sampled stream has the same `time` and a `valid` mask: false where the
value is not backed by real samples (the value is then NaN, or 0 for counts). Where the recording
tells, units have a `region` and a `position` (unit, space). Where asked for, `native` has every
sample of a stream at its own rate, taken at `native_time`: each bin of the axis has as many slots
as samples fall into it, NaN where none did or it was not valid.
"""

from schemas.contracts.contract import TEXT, DatasetContract, TreeContract, Variable
from schemas.contracts.streams import EVENTS, GROUP_ATTRS, INTERVALS, ROOT_ATTRS, TIME, places

CLOCK = DatasetContract(
    "clock",
    {"segment": Variable(("time",), "i")},
    TIME,
    ("stream_kind", "rate_hz", "reference"),
)
_VALID = (("time",), ("time", "unit"), ("time", "channel"))


def _on_axis(name: str, dim: str, dtype: str = "f") -> DatasetContract:
    return DatasetContract(
        name,
        {
            name: Variable(("time", dim), dtype, units=True),
            "valid": Variable(_VALID, "b"),
            "native": Variable(("time", "slot", dim), "f", units=True, optional=True),
            "native_time": Variable(("time", "slot"), "f", units=True, optional=True),
        },
        {**TIME, dim: Variable((dim,), TEXT), **places(dim)},
        GROUP_ATTRS,
    )


SPIKE_COUNTS = _on_axis("counts", "unit", "iuf")
ACTIVITY = _on_axis("activity", "unit")
CHANNELS_ON_AXIS = _on_axis("value", "channel")
"""eye, pose, video, audio, motion, lfp and signal: named channels on the shared axis."""

ALIGNED = TreeContract(
    "aligned",
    ROOT_ATTRS,
    groups={"clock": CLOCK},
    by_kind={
        "spikes": SPIKE_COUNTS,
        "calcium": ACTIVITY,
        "lfp": CHANNELS_ON_AXIS,
        "eye": CHANNELS_ON_AXIS,
        "pose": CHANNELS_ON_AXIS,
        "video": CHANNELS_ON_AXIS,
        "audio": CHANNELS_ON_AXIS,
        "motion": CHANNELS_ON_AXIS,
        "signal": CHANNELS_ON_AXIS,
        "events": EVENTS,
        "intervals": INTERVALS,
    },
)
