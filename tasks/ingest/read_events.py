"""Readers of events: event series, annotations, EventsTable and the types of ndx-events."""

import json
from collections.abc import Iterator

import numpy as np
import xarray as xr

from tasks.ingest.clocks import read_clock
from tasks.ingest.lazy import LazyArray, lazy_variable
from tasks.ingest.lazy_views import Columns, FirstRows, as_float64
from tasks.ingest.names import fallback_name, stream_name, unit_symbol
from tasks.ingest.objects import NwbObject, ReadContext, Stream
from tasks.ingest.sampled import group_attrs, scaled_columns
from tasks.ingest.tables import is_text, table_variables, text_array

TIMES = ("timestamp", "timestamps", "time")
"""Columns of an events table that say when; all but the first are of older ndx-events."""

TABLES = ("EventsTable", "AnnotatedEventsTable", "TtlsTable")
DETECTIONS = ("EventDetection", "FeatureExtraction")
LABELLED = ("Events", "LabeledEvents", "TTLs")
"""Types of ndx-events 0.2: timestamps, and for all but the first an index into labels."""


class EventSeriesReader:
    """AnnotationSeries, the series of a BehavioralEvents, and ndx-events' Events and TTLs."""

    def claims(self, found: NwbObject, context: ReadContext) -> bool:
        """Claim annotations, snippets of spike waveforms, detections and labelled events.

        And any TimeSeries of text, whatever it is called.
        """
        if found.is_a("AnnotationSeries", "SpikeEventSeries", *DETECTIONS, *LABELLED):
            return True
        data = found.field("data")
        return found.is_a("TimeSeries") and np.ndim(data) == 1 and is_text(data)

    def read(self, found: NwbObject, context: ReadContext) -> Iterator[Stream]:
        """Yield one events stream."""
        if found.is_a(*DETECTIONS):
            yield _detections(found, context)
        else:
            yield from events_of_series(found, context)


class EventsTableReader:
    """EventsTable: one event a row, in any order."""

    def claims(self, found: NwbObject, context: ReadContext) -> bool:
        """Claim tables of events with a column of times."""
        return found.is_a(*TABLES) and _time_column(found) is not None

    def read(self, found: NwbObject, context: ReadContext) -> Iterator[Stream]:
        """Yield one events stream with the table's flat columns."""
        column = _time_column(found)
        variables = table_variables(found, "event", context)
        times = variables.pop(str(column), None)
        if times is None:
            what = f"The column '{column}' cannot be read as times; the table is left out."
            context.note("no_clock", "error", what, found.path)
            return
        if "duration" in variables:
            variables["duration"].attrs = {"units": "s"}
        yield _event_stream(found, times, variables)


def events_of_series(found: NwbObject, context: ReadContext) -> Iterator[Stream]:
    """Yield the samples of a series as events at their times, the data as their `value`."""
    data = found.field("data")
    has_data = data is not None and np.ndim(data) > 0
    clock = read_clock(found, len(data) if has_data else 0, context)
    if clock is None:
        return
    size = clock.size
    if has_data and len(data) not in (0, size):
        size = min(size, len(data))
        context.note(
            "length_mismatch",
            "error",
            f"{len(data)} values but {clock.size} event times; the first {size} of both are kept.",
            found.path,
            "Find out which values have no time and write the file again.",
            sample=size,
            value=f"{len(data):,} and {clock.size:,}",
            repair="The surplus is left out.",
        )
    times = lazy_variable(("event",), _first(clock.times, size))
    variables = _event_values(found, size, context) if has_data and len(data) else {}
    yield _event_stream(found, times, variables)


def _event_values(found: NwbObject, size: int, context: ReadContext) -> dict[str, xr.Variable]:
    """Return what the data of a series of events say about each event."""
    data = found.field("data")
    if is_text(data):
        return {"label": xr.Variable(("event",), text_array(data)[:size])}
    array = context.arrays.lazy(data)
    if found.is_a("SpikeEventSeries"):
        what = f"Spike waveforms of shape {array.shape} are left in the file; their times are read."
        context.note("columns_left", "info", what, f"{found.path}/data")
        return {}
    if array.dtype.kind not in "iufb":
        return {}
    array = _first(array, size)
    if len(array.shape) == 1:
        return {"value": scaled_columns(found, array, ("event",))}
    return {"value": scaled_columns(found, Columns(array), ("event", "column"))}


def _first(array: LazyArray, size: int) -> LazyArray:
    return array if array.shape[0] == size else FirstRows(array, size)


def _detections(found: NwbObject, context: ReadContext) -> Stream:
    """Read detections, whose times are a field of their own, with the features found there."""
    array = as_float64(context.arrays.lazy(found.field("times")))
    variables: dict[str, xr.Variable] = {}
    features = found.field("features")
    if features is not None and np.ndim(features) == 3 and len(features) == array.shape[0]:
        columns = Columns(context.arrays.lazy(features))
        variables["value"] = lazy_variable(("event", "column"), columns)
    return _event_stream(found, lazy_variable(("event",), array), variables)


def _event_stream(
    found: NwbObject, times: xr.Variable, variables: dict[str, xr.Variable]
) -> Stream:
    attrs = group_attrs("events", found, "event_time")
    labels = found.field("labels")
    if labels is not None and len(labels):
        attrs["labels"] = json.dumps([str(label) for label in labels[:]])
    if found.text("unit"):
        attrs["value_units"] = unit_symbol(found.text("unit"))
    times.attrs = {"units": "s"}
    dataset = xr.Dataset({"event_time": times, **variables}, attrs=attrs)
    return Stream(stream_name(found), fallback_name(found), dataset)


def _time_column(found: NwbObject) -> str | None:
    names = {str(column.name) for column in found.container.columns}
    return next((name for name in TIMES if name in names), None)
