"""Readers of intervals: TimeIntervals (trials, epochs, invalid times) and IntervalSeries."""

from collections.abc import Iterator

import numpy as np
import xarray as xr

from tasks.ingest.names import fallback_name, stream_name
from tasks.ingest.objects import NwbObject, ReadContext, Stream
from tasks.ingest.sampled import group_attrs
from tasks.ingest.tables import table_variables

ROW_MACHINERY = ("timeseries", "timeseries_index", "tags_index")


class IntervalsReader:
    """TimeIntervals: trials, epochs, invalid_times and any other table of start and stop."""

    def claims(self, found: NwbObject, context: ReadContext) -> bool:
        """Claim tables of intervals."""
        return found.is_a("TimeIntervals")

    def read(self, found: NwbObject, context: ReadContext) -> Iterator[Stream]:
        """Yield one intervals stream with the table's flat columns."""
        variables = table_variables(found, "interval", context, ROW_MACHINERY)
        if missing := [n for n in ("start_time", "stop_time") if n not in variables]:
            what = f"The table has no column {' and no column '.join(missing)}; it is left out."
            context.note("not_intervals", "error", what, found.path)
            return
        yield _interval_stream(found, variables)


class IntervalSeriesReader:
    """IntervalSeries: +1 where an interval begins and -1 where it ends."""

    def claims(self, found: NwbObject, context: ReadContext) -> bool:
        """Claim IntervalSeries."""
        return found.is_a("IntervalSeries")

    def read(self, found: NwbObject, context: ReadContext) -> Iterator[Stream]:
        """Yield one intervals stream; the only reader that must read data to know its length."""
        marks = np.sign(np.asarray(found.field("data")[:]).astype(np.int64))
        times = np.asarray(found.field("timestamps")[:], dtype=np.float64)
        start, stop = pair_marks(marks, times)
        unpaired = len(times) - 2 * len(start)
        if unpaired:
            what = f"{unpaired} of {len(times)} marks have no partner; they are left out."
            context.note("unpaired_marks", "warning", what, found.path)
        variables = {
            "start_time": xr.Variable(("interval",), start),
            "stop_time": xr.Variable(("interval",), stop),
        }
        yield _interval_stream(found, variables)


def pair_marks(marks: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pair each beginning (+1) with the end (-1) right behind it; return start and stop times."""
    size = min(len(marks), len(times))
    begins = np.flatnonzero((marks[: size - 1] > 0) & (marks[1:size] < 0))
    return times[begins], times[begins + 1]


def _interval_stream(found: NwbObject, variables: dict[str, xr.Variable]) -> Stream:
    for name, variable in variables.items():
        if name.endswith("_time") and variable.dtype.kind == "f":
            variable.attrs = {"units": "s"}
    dataset = xr.Dataset(variables, attrs=group_attrs("intervals", found, "start_time"))
    return Stream(stream_name(found), fallback_name(found), dataset)
