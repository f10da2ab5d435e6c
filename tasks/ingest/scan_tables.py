"""Full-length checks of tables of intervals and of events."""

import math

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.entities import Finding, Severity
from tasks.ingest.scan_times import Mask

REMEDIES = {"intervals_nan": "Write both: until then such a row covers no time and masks nothing."}


def interval_findings(intervals: xr.Dataset) -> list[Finding]:
    """Return findings about start and stop times and the further columns of times.

    Parameters
    ----------
    intervals : an intervals stream, whose columns are read whole
    """
    start, stop = (intervals[name].to_numpy() for name in ("start_time", "stop_time"))
    latest_start = np.fmax.accumulate(start) if len(start) else start
    latest_stop = np.fmax.accumulate(stop) if len(stop) else stop
    earlier = np.concatenate([[False], start[1:] < latest_start[:-1]])[: len(start)]
    # Epochs may lie within each other; trials (to the millisecond) should not.
    overlaps = np.concatenate([[False], start[1:] < latest_stop[:-1] - 1e-3])[: len(start)]
    overlaps &= ~earlier & intervals.attrs["source"].endswith("trials")
    absent = ~np.isfinite(start) | ~np.isfinite(stop)
    rules: tuple[tuple[str, Severity, Mask, str, NDArray[np.float64]], ...] = (
        ("intervals_nan", "warning", absent, "have no start or no stop", stop),
        ("intervals_reversed", "warning", stop < start, "stop before they start", stop),
        ("intervals_unsorted", "info", earlier, "start before a row above", start),
        ("intervals_overlap", "info", overlaps, "start before a row above has stopped", start),
    )
    found = [
        _rows(intervals, code, severity, odd, text, start, values, REMEDIES.get(code, ""))
        for code, severity, odd, text, values in rules
        if odd.any()
    ]
    return found + _absent_times(intervals, start)


def duration_findings(events: xr.Dataset) -> list[Finding]:
    """Return a finding if events last less than nothing; NaN means that it is not known."""
    if "duration" not in events or events["duration"].dtype.kind not in "iuf":
        return []
    lasted = events["duration"].to_numpy().astype(np.float64)
    negative = lasted < 0
    if not negative.any():
        return []
    times = events["event_time"].to_numpy()
    text = "last less than 0 s"
    return [_rows(events, "durations_negative", "warning", negative, text, times, lasted)]


def _rows(
    table: xr.Dataset,
    code: str,
    severity: Severity,
    odd: Mask,
    text: str,
    times: NDArray[np.float64],
    values: NDArray[np.float64],
    remedy: str = "",
) -> Finding:
    row = int(np.argmax(odd))
    time_s = float(times[row])
    return Finding(
        code=code,
        severity=severity,
        what=f"{int(odd.sum()):,} of {len(odd):,} rows {text}.",
        where=table.attrs["source"],
        remedy=remedy,
        sample=row,
        time_s=time_s if math.isfinite(time_s) else None,
        value=f"{float(values[row]):.6f} s",
    )


def _absent_times(intervals: xr.Dataset, start: NDArray[np.float64]) -> list[Finding]:
    """Name the further columns of times that have gaps, with how many."""
    gaps = {
        str(name): np.isnan(column.to_numpy())
        for name, column in intervals.data_vars.items()
        if str(name).endswith("_time")
        and name not in ("start_time", "stop_time")
        and column.dtype.kind == "f"
    }
    counted = [f"{name} ({int(gap.sum())})" for name, gap in gaps.items() if gap.any()]
    if not counted:
        return []
    row = min(int(np.argmax(gap)) for gap in gaps.values() if gap.any())
    return [
        Finding(
            code="missing_times",
            severity="info",
            what=f"Of {len(start)} intervals, some have no value (NaN) in {', '.join(counted)}.",
            where=intervals.attrs["source"],
            sample=row,
            time_s=float(start[row]) if math.isfinite(start[row]) else None,
            value="NaN",
        )
    ]
