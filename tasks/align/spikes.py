"""Spikes onto the time axis: counts in bins, valid where the unit was observed."""

import dask
import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.align.clock import Axis, observed_spans
from tasks.common.segments import merge_spans

Span = NDArray[np.float64]
MOST_BINS = 6_000


def count_spikes(
    stream: xr.Dataset, axis: Axis, broken: NDArray[np.bool_] | None = None
) -> tuple[da.Array, NDArray[np.bool_]]:
    """Count the spikes of each kept unit in each bin, lazily, a block of bins at a time.

    A bin is valid where it lies within the unit's observed intervals. Where the recording does
    not tell these, units were observed from the first to the last spike of all, and the bins
    that hold those two spikes count as observed.

    Parameters
    ----------
    broken : (time,) bins that are not valid whatever they hold

    Returns
    -------
    counts : (time, unit) int32, 0 where not valid
    valid : (time,), or (time, unit) if units were observed at different times
    """
    keep = np.flatnonzero(stream["keep"].values)
    valid = _observed(stream, axis, keep)
    if broken is not None:
        valid[broken] = False
    time, begin, end = _by_unit(stream, keep)
    spikes = dask.delayed(time)
    blocks = []
    for start in range(0, len(axis.time), MOST_BINS):
        rows = slice(start, start + MOST_BINS)
        counted = dask.delayed(_count_block)(
            spikes, begin, end, axis.low[rows], axis.high[rows], valid[rows]
        )
        blocks.append(da.from_delayed(counted, (len(axis.low[rows]), len(keep)), np.int32))
    return da.concatenate(blocks), valid


def _by_unit(
    stream: xr.Dataset, keep: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Return all spike times, ascending within units, and where each kept unit's begin and end."""
    # Compiled when it is first needed; numba takes a second to import.
    from tasks.align.spike_kernel import are_ordered

    time = np.asarray(stream["spike_time"].values, np.float64)
    unit = np.asarray(stream["unit_index"].values)
    if not are_ordered(time, unit):
        order = np.lexsort((time, unit))
        time, unit = time[order], unit[order]
    ends = np.searchsorted(unit, keep, side="right")
    return time, np.searchsorted(unit, keep, side="left"), ends


def _count_block(
    time: NDArray[np.float64],
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
    low: Span,
    high: Span,
    valid: NDArray[np.bool_],
) -> NDArray[np.int32]:
    """Return the counts of some neighbouring bins, (bin, unit)."""
    # Compiled when it is first needed; numba takes a second to import.
    from tasks.align.spike_kernel import count_in_bins

    counts = np.empty((len(low), len(begin)), np.int32)
    count_in_bins(time, begin, end, low, high, np.atleast_2d(valid.T).T, counts)
    return counts


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
