"""Reader of Units: spike times, ragged in the file, flat in the stream."""

from collections.abc import Iterator

import numpy as np
import xarray as xr

from tasks.ingest.damage import damage_told
from tasks.ingest.lazy import lazy_variable
from tasks.ingest.lazy_views import FirstRows, RowOwner, as_float64
from tasks.ingest.names import fallback_name, row_names, stream_name
from tasks.ingest.objects import Container, NwbObject, ReadContext, Stream
from tasks.ingest.places import column_places
from tasks.ingest.sampled import group_attrs
from tasks.ingest.tables import column_name, is_flat, row_columns
from tasks.ingest.waveforms import read_waveforms

Columns = dict[str, Container]
Variables = dict[str, xr.Variable]

NOT_OF_SPIKES = (
    "spike_times", "spike_time", "unit_index", "electrodes", "obs_intervals", "waveforms",
)  # fmt: skip
"""Ragged columns that are read in their own ways, and names that are taken."""


class UnitsReader:
    """The Units table, or any other of its type."""

    def claims(self, found: NwbObject, context: ReadContext) -> bool:
        """Claim Units."""
        return found.is_a("Units")

    def read(self, found: NwbObject, context: ReadContext) -> Iterator[Stream]:
        """Yield one spikes stream: spike_time and unit_index along `spike`, in table order.

        Beside them, where the table has them: when each unit was observed (`observed_unit`,
        `observed_start`, `observed_stop` along `observation`), at which electrodes (`site_unit`,
        `site_electrode` along `site`), its waveforms, and the flat columns along `unit`.
        """
        table = found.container
        columns = {str(column.name): column for column in table.columns}
        if "spike_times" not in columns or "spike_times_index" not in columns:
            what = "The table has no spike times for its units; it is left out."
            context.note("no_spike_times", "warning", what, found.path)
            return
        spikes = as_float64(context.arrays.lazy(columns["spike_times"].data))
        ends = _ends(found, columns["spike_times_index"], spikes.shape[0], context)
        size = int(ends[-1]) if len(ends) else 0
        spikes = spikes if size == spikes.shape[0] else FirstRows(spikes, size)
        rows = np.arange(len(table.id))
        described = row_columns(table, "unit", rows, context)
        with context.sparing(f"{found.path}/electrodes"):
            described |= _electrodes(columns, len(rows), context)
        with context.sparing(f"{found.path}/electrode_group"):
            described |= _groups(columns)
        variables = {
            **described,
            "spike_time": lazy_variable(("spike",), spikes, {"units": "s"}),
            "unit_index": lazy_variable(("spike",), RowOwner(ends, size)),
        }
        with context.sparing(f"{found.path}/obs_intervals"):
            variables |= _observed(columns)
        with context.sparing(f"{found.path}/waveforms"):
            variables |= read_waveforms(found, columns, size, context)
        variables |= _of_spikes(found, columns, ends, size, context)
        _note_left(found, columns, variables, context)
        labels = np.asarray(row_names(table, rows, "unit", context), dtype=str)
        coords = xr.Coordinates({"unit": xr.Variable(("unit",), labels)}, indexes={})
        attrs = group_attrs("spikes", found, "spike_time")
        if resolution := getattr(table, "resolution", None):
            attrs["resolution_s"] = float(resolution)
        dataset = xr.Dataset(variables, coords, attrs)
        dataset = dataset.assign_coords(column_places("unit", described))
        yield Stream(stream_name(found), fallback_name(found), dataset)


def _ends(found: NwbObject, index: Container, spikes: int, context: ReadContext) -> np.ndarray:
    """Return where each unit's spikes end, ascending; the index column is small and is read."""
    with damage_told(f"{found.path}/spike_times_index"):
        ends = np.asarray(index.data[:], dtype=np.int64)
    broken = np.flatnonzero((np.diff(ends, prepend=0) < 0) | (ends > spikes))
    if len(broken) or (ends[-1] if len(ends) else 0) != spikes:
        unit = int(broken[0]) if len(broken) else len(ends) - 1
        context.note(
            "broken_index",
            "error",
            f"spike_times_index does not divide the {spikes:,} spikes among the units.",
            f"{found.path}/spike_times_index",
            "Write the file again: which unit fired which spike is not certain.",
            sample=unit,
            value=f"{ends[unit]:,}" if len(ends) else "no unit",
            repair="Spikes behind those of the last unit are left out.",
        )
    return np.clip(np.maximum.accumulate(ends), 0, spikes) if len(ends) else ends


def _observed(columns: Columns) -> Variables:
    """Return when each unit was observed, flat along `observation`; nothing if no unit says so."""
    if "obs_intervals" not in columns or "obs_intervals_index" not in columns:
        return {}
    spans = np.asarray(columns["obs_intervals"].data[:], dtype=np.float64).reshape(-1, 2)
    if not len(spans):
        return {}
    owner = _owners(columns["obs_intervals_index"], len(spans))
    spans = spans[: len(owner)]
    seconds = {"units": "s"}
    return {
        "observed_start": xr.Variable(("observation",), spans[:, 0], seconds),
        "observed_stop": xr.Variable(("observation",), spans[:, 1], seconds),
        "observed_unit": xr.Variable(("observation",), owner),
    }


def _of_spikes(
    found: NwbObject, columns: Columns, ends: np.ndarray, size: int, context: ReadContext
) -> Variables:
    """Return the columns with a number for each spike, such as its amplitude, along `spike`."""
    variables: Variables = {}
    for name, column in columns.items():
        index = columns.get(f"{name}_index")
        if index is None or name in NOT_OF_SPIKES or np.shape(column.data) != (size,):
            continue
        with context.sparing(f"{found.path}/{name}"):
            array = context.arrays.lazy(column.data)
            if array.dtype.kind in "iuf" and np.array_equal(index.data[:], ends):
                variables[column_name(column, "unit")] = lazy_variable(("spike",), array)
    return variables


def _electrodes(columns: Columns, units: int, context: ReadContext) -> Variables:
    """Return the electrodes of each unit along `site`, and what describes its first one.

    A unit without an electrode has "" or NaN there.
    """
    region = columns.get("electrodes")
    table = getattr(region, "table", None)
    if region is None or table is None:
        return {}
    rows = np.asarray(region.data[:], dtype=np.int64)
    index = columns.get("electrodes_index")
    owner = _owners(index, len(rows)) if index is not None else np.arange(units, dtype=np.int32)
    rows = rows[: len(owner)]
    if len(owner) != len(rows) or (len(rows) and not 0 <= rows.min() <= rows.max() < len(table)):
        return {}
    names = np.asarray(row_names(table, rows, "electrode", context, unique=False), dtype=str)
    variables = {
        "site_unit": xr.Variable(("site",), owner),
        "site_electrode": xr.Variable(("site",), names),
    }
    present, at = np.unique(owner, return_index=True)
    if len(present):
        first = np.full(units, -1)
        first[present] = rows[at]
        described = row_columns(table, "unit", np.maximum(first, 0), context)
        variables |= {f"electrode_{n}": _blank(c, first < 0) for n, c in described.items()}
    return variables


def _blank(column: xr.Variable, absent: np.ndarray) -> xr.Variable:
    """Return a column that says nothing of some units: "" for text, NaN for numbers."""
    nothing = "" if column.dtype.kind in "UO" else np.nan
    return column if not absent.any() else column.where(~absent, nothing)


def _groups(columns: Columns) -> Variables:
    """Return name and place of each unit's electrode group, which the table holds by reference."""
    column = columns.get("electrode_group")
    if column is None:
        return {}
    told = {"electrode_group": "name", "electrode_group_location": "location"}
    groups = list(column.data[:])
    return {
        name: xr.Variable(("unit",), np.array([str(getattr(g, a, "")) for g in groups], dtype=str))
        for name, a in told.items()
    }


def _owners(index: Container, size: int) -> np.ndarray:
    """Return which row each element of a ragged column belongs to, up to the last that has one."""
    ends = np.maximum.accumulate(np.asarray(index.data[:], dtype=np.int64))
    size = min(size, max(int(ends[-1]), 0)) if len(ends) else 0
    return np.searchsorted(ends, np.arange(size), side="right").astype(np.int32)


def _note_left(
    found: NwbObject, columns: Columns, variables: Variables, context: ReadContext
) -> None:
    """Name the columns that did not become variables."""
    read = {"spike_times": "spike_time", "obs_intervals": "observed_unit",
            "electrodes": "site_unit"}  # fmt: skip
    left: list[str] = []
    for name, column in columns.items():
        told = read.get(name, column_name(column, "unit")) in variables
        if not told and not name.endswith("_index"):
            with context.sparing(f"{found.path}/{name}"):
                left += [] if is_flat(found.container, column) else [name]
    if left:
        context.note(
            "columns_left", "info", f"Columns left in the file: {', '.join(left)}.", found.path
        )
