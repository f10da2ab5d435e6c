"""Reader of Units: spike times, ragged in the file, flat in the stream."""

from collections.abc import Iterator

import numpy as np
import xarray as xr

from tasks.ingest.lazy import RowOwner, as_float64, lazy_variable
from tasks.ingest.names import fallback_name, row_names, stream_name
from tasks.ingest.objects import Container, NwbObject, ReadContext, Stream
from tasks.ingest.sampled import group_attrs
from tasks.ingest.tables import is_flat, row_columns

READ_ELSEWHERE = frozenset({"spike_times", "obs_intervals"})


class UnitsReader:
    """The Units table, or any other of its type."""

    def claims(self, found: NwbObject, context: ReadContext) -> bool:
        """Claim Units."""
        return found.is_a("Units")

    def read(self, found: NwbObject, context: ReadContext) -> Iterator[Stream]:
        """Yield one spikes stream: spike_time and unit_index along `spike`, in table order."""
        table = found.container
        columns = {str(column.name): column for column in table.columns}
        _note_left(found, columns, context)
        if "spike_times" not in columns or "spike_times_index" not in columns:
            what = "The table has no spike times for its units; it is left out."
            context.note("no_spike_times", "warning", what, found.path)
            return
        times = as_float64(context.arrays.lazy(columns["spike_times"].data))
        ends = _ends(found, columns["spike_times_index"], times.shape[0], context)
        rows = np.arange(len(table.id))
        variables = {
            "spike_time": lazy_variable(("spike",), times, {"units": "s"}),
            "unit_index": lazy_variable(("spike",), RowOwner(ends, times.shape[0])),
            **row_columns(table, "unit", rows),
            **_observed(columns, context),
        }
        labels = np.asarray(row_names(table, rows, "unit"), dtype=str)
        coords = xr.Coordinates({"unit": xr.Variable(("unit",), labels)}, indexes={})
        dataset = xr.Dataset(variables, coords, group_attrs("spikes", found, "spike_time"))
        yield Stream(stream_name(found), fallback_name(found), dataset)


def _ends(found: NwbObject, index: Container, spikes: int, context: ReadContext) -> np.ndarray:
    """Return where each unit's spikes end; the index column is small and is read."""
    ends = np.asarray(index.data[:], dtype=np.int64)
    broken = len(ends) and (np.any(np.diff(ends) < 0) or ends[0] < 0 or ends[-1] != spikes)
    if broken:
        context.note(
            "broken_index",
            "error",
            f"spike_times_index does not divide the {spikes} spikes among the units.",
            f"{found.path}/spike_times_index",
            "Write the file again: which unit fired which spike is not certain.",
        )
    return np.maximum.accumulate(ends) if len(ends) else ends


def _observed(columns: dict[str, Container], context: ReadContext) -> dict[str, xr.Variable]:
    """Return when each unit was observed, flat along `observation`."""
    if "obs_intervals" not in columns or "obs_intervals_index" not in columns:
        return {}
    spans = np.asarray(columns["obs_intervals"].data[:], dtype=np.float64).reshape(-1, 2)
    ends = np.asarray(columns["obs_intervals_index"].data[:], dtype=np.int64)
    owner = np.searchsorted(ends, np.arange(len(spans)), side="right").astype(np.int32)
    seconds = {"units": "s"}
    return {
        "observed_start": xr.Variable(("observation",), spans[:, 0], seconds),
        "observed_stop": xr.Variable(("observation",), spans[:, 1], seconds),
        "observed_unit": xr.Variable(("observation",), owner),
    }


def _note_left(found: NwbObject, columns: dict[str, Container], context: ReadContext) -> None:
    left = [
        name
        for name, column in columns.items()
        if name not in READ_ELSEWHERE
        and not name.endswith("_index")
        and not is_flat(found.container, column)
    ]
    if left:
        context.note(
            "columns_left", "info", f"Columns left in the file: {', '.join(left)}.", found.path
        )
