"""When sorted units were observed, and which of their spikes fell into it."""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.common.segments import merge_spans

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Observation:
    """The observed intervals of all units on one axis, each unit a session after the one before.

    Attributes
    ----------
    seconds : (unit,) how long each was observed, overlaps once
    first_s : time that the axis starts at
    session_s : how far units lie apart on the axis
    spans : (span, [start, stop]) on the axis, ascending, apart from each other
    """

    seconds: Floats
    first_s: float
    session_s: float
    spans: Floats

    def holds(self, time: Floats, unit: Integers) -> NDArray[np.bool_]:
        """Mark the spikes that were fired while their unit was observed, both ends included."""
        if not len(self.spans):
            return np.zeros(len(time), bool)
        since = time - self.first_s
        place = since + unit * self.session_s
        # Far along the axis times are rounded.
        slack = 4 * np.spacing(self.session_s * (len(self.seconds) + 1))
        at = np.searchsorted(self.spans[:, 0], place + slack, side="right") - 1
        inside = (at >= 0) & (place <= self.spans[np.maximum(at, 0), 1] + slack)
        # What lies out of the session lies in another unit's.
        seen: NDArray[np.bool_] = inside & (since >= -slack) & (since <= self.session_s - 0.5)
        return seen


def read_observation(stream: xr.Dataset) -> Observation | None:
    """Return when the units of a stream of spikes were observed; None if it does not tell."""
    if "observed_start" not in stream:
        return None
    owner = stream["observed_unit"].values.astype(np.int64)
    spans = np.stack([stream["observed_start"].values, stream["observed_stop"].values], axis=1)
    told = np.isfinite(spans).all(1) & (spans[:, 1] >= spans[:, 0])
    owner, spans = owner[told], spans[told].astype(np.float64)
    first_s = float(spans.min(initial=np.inf)) if len(spans) else 0.0
    # A second between sessions, so that spans of two units never touch.
    session_s = float(spans.max(initial=first_s)) - first_s + 1.0
    joined = merge_spans(spans - first_s + (owner * session_s)[:, None], 0.0)
    unit = (joined[:, 0] // session_s).astype(np.int64)
    lasted = joined[:, 1] - joined[:, 0]
    seconds = np.bincount(unit, weights=lasted, minlength=stream.sizes["unit"])
    return Observation(seconds, first_s, session_s, joined)
