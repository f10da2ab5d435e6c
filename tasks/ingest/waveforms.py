"""Waveforms of a Units table: the mean of each unit, and those of single spikes."""

from typing import Any

import numpy as np
import xarray as xr

from tasks.ingest.damage import damage_told
from tasks.ingest.lazy import Array, Key, LazyArray, lazy_variable, take
from tasks.ingest.lazy_views import as_float64
from tasks.ingest.names import unit_symbol
from tasks.ingest.objects import Container, NwbObject, ReadContext

BLOCK_VALUES = 2**22
"""Values of waveforms that are read at once."""

MEANS = ("waveform_mean", "waveform_sd")


class RowStarts(LazyArray):
    """Where each row of a ragged column starts: where the row before it ends."""

    def __init__(self, ends: LazyArray) -> None:
        super().__init__(ends.shape, np.int64)
        self.ends = ends

    def _read(self, key: Key) -> Array:
        position = np.arange(self.shape[0])[key[0]]
        if not len(position):
            return position
        low = max(int(position.min()) - 1, 0)
        ends = take(self.ends, (slice(low, int(position.max()) + 1, 1),)).astype(np.int64)
        return np.where(position > 0, ends[np.maximum(position - 1 - low, 0)], 0)


class SpikeHeights(LazyArray):
    """Of each spike the largest peak-to-trough of its waveforms, which are one row a channel."""

    def __init__(self, waves: LazyArray, ends: LazyArray, where: str) -> None:
        super().__init__(ends.shape, np.float32)
        self.waves, self.ends, self.starts, self.where = waves, ends, RowStarts(ends), where

    def _read(self, key: Key) -> Array:
        spike, place = np.unique(np.arange(self.shape[0])[key[0]], return_inverse=True)
        with damage_told(self.where):
            start, stop = (
                take(edge, (spike,)).astype(np.int64) for edge in (self.starts, self.ends)
            )
            if (np.diff(stop, prepend=0) < 0).any() or (stop[-1:] > self.waves.shape[0]).any():
                raise ValueError("the index does not divide the waveforms among the spikes")
            return self._heights(start, stop)[place]

    def _heights(self, start: Array, stop: Array) -> Array:
        made = np.full(len(start), np.nan, np.float32)
        rows = max(BLOCK_VALUES // max(self.waves.shape[1], 1), 1)
        first = 0
        while first < len(start):
            # As many spikes as fit, one at least.
            last = max(int(np.searchsorted(stop, start[first] + rows, side="right")), first + 1)
            low = int(start[first])
            waves = take(self.waves, (slice(low, int(stop[last - 1]), 1), slice(None)))
            filled = np.flatnonzero(stop[first:last] > start[first:last]) + first
            edges = np.stack([start[filled], stop[filled]], axis=1).ravel() - low
            if len(edges):
                # One more, since reduceat takes no edge behind the last value.
                height = np.append(np.ptp(waves, axis=1), np.nan)
                made[filled] = np.maximum.reduceat(height, edges)[::2]
            first = last
        return made


def read_waveforms(
    found: NwbObject, columns: dict[str, Container], spikes: int, context: ReadContext
) -> dict[str, xr.Variable]:
    """Return the waveforms of units, lazily.

    Returns
    -------
    waveform_mean, waveform_sd : (unit, waveform_sample[, waveform_channel])
    waveforms : (waveform, waveform_sample), one row a spike and channel; those of a spike are the
        rows from its `waveform_start` to its `waveform_stop`. Only where raw data are asked for:
        they are many times as large as the spikes.
    spike_amplitude : (spike,) peak to trough where that is largest among a spike's channels, of
        those waveforms
    """
    table = found.container
    attrs: dict[str, Any] = {"units": unit_symbol(str(table.waveform_unit or "volts"))}
    if table.waveform_rate:
        attrs["rate_hz"] = float(table.waveform_rate)
    variables: dict[str, xr.Variable] = {}
    for name in MEANS:
        data = columns[name].data if name in columns else None
        if data is not None and np.ndim(data) in (2, 3) and f"{name}_index" not in columns:
            dims = ("unit", "waveform_sample", "waveform_channel")[: np.ndim(data)]
            variables[name] = lazy_variable(dims, context.arrays.lazy(data), attrs)
    return {**variables, **_single(found, columns, spikes, attrs, context)}


def _single(
    found: NwbObject,
    columns: dict[str, Container],
    spikes: int,
    attrs: dict[str, Any],
    context: ReadContext,
) -> dict[str, xr.Variable]:
    """Return what waveforms of single spikes tell, if there is a row of the index for each."""
    data, index = (columns.get(name) for name in ("waveforms", "waveforms_index"))
    if data is None or index is None or np.ndim(data.data) != 2 or len(index.data) != spikes:
        return {}
    waves, ends = as_float64(context.arrays.lazy(data.data)), context.arrays.lazy(index.data)
    heights = SpikeHeights(waves, ends, f"{found.path}/waveforms")
    told = {"spike_amplitude": lazy_variable(("spike",), heights, {"units": attrs["units"]})}
    if context.raw:
        told |= {
            "waveforms": lazy_variable(("waveform", "waveform_sample"), waves, attrs),
            "waveform_start": lazy_variable(("spike",), RowStarts(ends)),
            "waveform_stop": lazy_variable(("spike",), ends),
        }
    return told
