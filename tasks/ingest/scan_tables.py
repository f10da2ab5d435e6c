"""Full-length checks of tables of intervals."""

import numpy as np
import xarray as xr

from schemas.entities import Finding
from tasks.ingest.scan_times import TimeScan


def interval_findings(intervals: xr.Dataset, starts: TimeScan) -> list[Finding]:
    """Return findings about start and stop times and the further columns of times.

    Parameters
    ----------
    intervals : an intervals stream
    starts : scan of its start times
    """
    where = intervals.attrs["source"]
    start, stop = (intervals[name].to_numpy() for name in ("start_time", "stop_time"))
    found: list[Finding] = []
    rules = (
        ("intervals_nan", np.isnan(start) | np.isnan(stop), "have no start or no stop"),
        ("intervals_reversed", stop < start, "stop before they start"),
    )
    for code, which, text in rules:
        if which.any():
            what = f"{which.sum()} of {len(start)} intervals {text}, first row {which.argmax()}."
            found.append(Finding(code=code, severity="warning", what=what, where=where))
    if absent := _absent_times(intervals):
        what = f"Of {len(start)} intervals, some have no value (NaN) in {absent}."
        found.append(Finding(code="missing_times", severity="info", what=what, where=where))
    if starts.reversed:
        what = f"{starts.reversed} of {len(start)} intervals start before the row above."
        found.append(Finding(code="intervals_unsorted", severity="info", what=what, where=where))
    return found


def _absent_times(intervals: xr.Dataset) -> str:
    """Name the further columns of times that have gaps, with how many."""
    counts = {
        str(name): int(np.sum(np.isnan(column.to_numpy())))
        for name, column in intervals.data_vars.items()
        if str(name).endswith("_time")
        and name not in ("start_time", "stop_time")
        and column.dtype.kind == "f"
    }
    return ", ".join(f"{name} ({count})" for name, count in counts.items() if count)
