"""Waveforms of a Units table: the mean of each unit, and those of single spikes."""

from typing import Any

import numpy as np
import xarray as xr

from tasks.ingest.lazy import Array, Key, LazyArray, lazy_variable, take
from tasks.ingest.lazy_views import as_float64
from tasks.ingest.names import unit_symbol
from tasks.ingest.objects import Container, NwbObject, ReadContext

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
    if context.raw:
        variables |= _single(columns, spikes, attrs, context)
    return variables


def _single(
    columns: dict[str, Container], spikes: int, attrs: dict[str, Any], context: ReadContext
) -> dict[str, xr.Variable]:
    """Return the waveforms of single spikes if there is a row of the index for each spike."""
    data, index = (columns.get(name) for name in ("waveforms", "waveforms_index"))
    if data is None or index is None or np.ndim(data.data) != 2 or len(index.data) != spikes:
        return {}
    ends = context.arrays.lazy(index.data)
    shapes = ("waveform", "waveform_sample")
    return {
        "waveforms": lazy_variable(shapes, as_float64(context.arrays.lazy(data.data)), attrs),
        "waveform_start": lazy_variable(("spike",), RowStarts(ends)),
        "waveform_stop": lazy_variable(("spike",), ends),
    }
