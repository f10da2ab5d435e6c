"""How the clocks of a session's devices relate to its own: one group a device clock.

`device_time` and `reference_time` of the points are the map: straight lines between points of one
segment, which hold within the spans and nowhere else. The pulses it was made from lie beside it.
A clock that could not be related has no points and says why in `reason`.
"""

from schemas.contracts.contract import DatasetContract, TreeContract, Variable
from schemas.contracts.streams import ROOT_ATTRS

SYNC_CLOCK = DatasetContract(
    "sync",
    {
        "device_time": Variable(("point",), "f", units=True),
        "reference_time": Variable(("point",), "f", units=True),
        "segment": Variable(("point",), "i"),
        "span_start": Variable(("span",), "f", units=True),
        "span_stop": Variable(("span",), "f", units=True),
        "span_segment": Variable(("span",), "i"),
        "epoch": Variable(("stretch",), "i"),
        "pulse_time": Variable(("pulse",), "f", units=True),
        "partner": Variable(("pulse",), "i"),
        "residual": Variable(("pulse",), "f", units=True),
        "reference_pulse_time": Variable(("reference_pulse",), "f", units=True),
        "missing": Variable(("reference_pulse",), "b"),
    },
    {},
    (
        "stream_kind", "verdict", "reason", "reference", "device", "streams", "resets",
        "extrapolate_s", "matched", "missing_count", "spurious_count", "margin", "evidence",
    ),
)  # fmt: skip

SYNC = TreeContract("sync", ROOT_ATTRS, by_kind={"sync": SYNC_CLOCK})
