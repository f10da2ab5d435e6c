"""Spikes onto the time axis: counts in bins, valid where the unit was observed."""

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.align.clock import Axis, merge_spans, observed_spans

Span = NDArray[np.float64]


def count_spikes(stream: xr.Dataset, axis: Axis) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Count the spikes of each kept unit in each bin.

    A bin is valid where it lies within the unit's observed intervals. Where the recording does
    not tell these, units were observed from the first to the last spike of all, and the bins
    that hold those two spikes count as observed.

    Returns
    -------
    counts : (time, unit), 0 where not valid
    valid : (time,), or (time, unit) if units were observed at different times
    """
    keep = np.flatnonzero(stream["keep"].values)
    time = np.asarray(stream["spike_time"].values, np.float64)
    column = np.full(stream.sizes["unit"], -1, np.int64)
    column[keep] = np.arange(len(keep))
    unit = column[np.asarray(stream["unit_index"].values, np.int64)]
    into = np.searchsorted(axis.low, time, side="right") - 1
    inside = (into >= 0) & (unit >= 0) & (time < axis.high[np.maximum(into, 0)])
    counts = np.zeros((len(axis.time), len(keep)), np.int32)
    np.add.at(counts, (into[inside], unit[inside]), 1)
    valid = _observed(stream, axis, keep)
    counts[~valid] = 0
    return counts, valid


def _observed(stream: xr.Dataset, axis: Axis, keep: NDArray[np.int64]) -> NDArray[np.bool_]:
    if "observed_start" not in stream:
        spans = observed_spans(stream)
        if not len(spans):
            return np.zeros(len(axis.time), bool)
        return touched_bins(axis, spans)
    start, stop = stream["observed_start"].values, stream["observed_stop"].values
    owner = stream["observed_unit"].values
    spans = np.stack([start, stop], axis=1)
    masks = [covered_bins(axis, spans[owner == unit]) for unit in keep]
    if not masks:
        return np.zeros(len(axis.time), bool)
    together = np.stack(masks, axis=1)
    same = bool((together == together[:, :1]).all())
    return masks[0] if same else together


def covered_bins(axis: Axis, spans: Span) -> NDArray[np.bool_]:
    """Mark the bins that lie wholly within one of the spans (joined where they touch)."""
    slack = 1e-3 / axis.rate_hz
    joined = merge_spans(spans[np.isfinite(spans).all(1)], slack)
    if not len(joined):
        return np.zeros(len(axis.time), bool)
    place = np.searchsorted(joined[:, 0], axis.low + slack, side="right") - 1
    inside: NDArray[np.bool_] = np.logical_and(
        place >= 0, axis.high <= joined[np.maximum(place, 0), 1] + slack
    )
    return inside


def touched_bins(axis: Axis, spans: Span) -> NDArray[np.bool_]:
    """Mark the bins that overlap one of the spans."""
    joined = merge_spans(spans[np.isfinite(spans).all(1)], 0.0)
    if not len(joined):
        return np.zeros(len(axis.time), bool)
    place = np.searchsorted(joined[:, 0], axis.high, side="left") - 1
    inside: NDArray[np.bool_] = np.logical_and(
        place >= 0, axis.low < joined[np.maximum(place, 0), 1]
    )
    return inside
