"""What can be said of any stream: samples, rate, extent, where it has valid data."""

import json
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.common.segments import find_gaps, sample_period, true_runs
from tasks.report.envelope import GAP_PERIODS

Spans = NDArray[np.float64]
MOST_ROWS = 2_000
"""A table with more rows is shown by its extent only."""


@dataclass(frozen=True)
class StreamFacts:
    """One line of the table of streams.

    columns : how many units, channels, keypoints; their name is `column_name`
    rate_hz : 1 / median sampling period; NaN for spikes and tables
    gaps : steps longer than three periods
    valid : fraction of samples that are valid; NaN where the stream has no mask
    spans : (span, 2) seconds, where it has valid data; fine gaps are merged
    """

    name: str
    kind: str
    columns: int
    column_name: str
    samples: int
    rate_hz: float
    start: float
    stop: float
    gaps: int
    valid: float
    units: str
    source: str
    operations: tuple[str, ...]
    spans: Spans


def describe_stream(name: str, stream: xr.Dataset, resolution: float = 500.0) -> StreamFacts:
    """Describe one stream; `resolution` is how many parts of its extent a picture can tell."""
    kind = str(stream.attrs["stream_kind"])
    primary = stream[stream.attrs["primary"]]
    starts, stops = stream_times(stream)
    sampled = "time" in stream.dims
    valid_T = read_valid(stream) if sampled else np.ones(len(starts), bool)
    spans = valid_spans(starts, valid_T, resolution) if sampled else _table_spans(starts, stops)
    column = next((d for d in ("unit", "channel", "keypoint") if d in stream.dims), "")
    period = sample_period(starts) if sampled else float("nan")
    return StreamFacts(
        name=name,
        kind=kind,
        columns=int(stream.sizes[column]) if column else 0,
        column_name=column,
        samples=len(starts),
        rate_hz=1 / period if period > 0 else float("nan"),
        start=float(starts.min(initial=np.inf)) if len(starts) else float("nan"),
        stop=float(np.nanmax(stops)) if len(stops) else float("nan"),
        gaps=int(find_gaps(starts, GAP_PERIODS).max(initial=0)) if sampled else 0,
        valid=valid_fraction(stream) if "valid" in stream else float("nan"),
        units=str(primary.attrs.get("units", "")),
        source=str(stream.attrs.get("source", "")),
        operations=list_operations(stream),
        spans=spans,
    )


def stream_times(stream: xr.Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return when each sample, spike, event or interval starts and stops, in seconds."""
    if "time" in stream.dims:
        times = np.asarray(stream["time"].values, float)
        return times, times
    for start, stop in (
        ("spike_time", "spike_time"),
        ("event_time", "event_time"),
        ("start_time", "stop_time"),
    ):
        if start in stream:
            starts = np.asarray(stream[start].values, float)
            known = np.isfinite(starts)
            return starts[known], np.asarray(stream[stop].values, float)[known]
    return np.empty(0), np.empty(0)


def read_valid(stream: xr.Dataset) -> NDArray[np.bool_]:
    """Return (time,) whether any column of a sampled stream is valid."""
    if "valid" not in stream:
        return np.ones(stream.sizes["time"], bool)
    valid = stream["valid"]
    if valid.ndim > 1:
        valid = valid.any([dim for dim in valid.dims if dim != "time"])
    return np.asarray(valid.values, bool)


def valid_fraction(stream: xr.Dataset) -> float:
    """Return the fraction of valid values, NaN of an empty stream."""
    return float(stream["valid"].mean()) if stream["valid"].size else float("nan")


def valid_spans(
    time_T: NDArray[np.float64], valid_T: NDArray[np.bool_], resolution: float
) -> Spans:
    """Return (span, 2) where data are valid; gaps too short to be seen are merged."""
    if not valid_T.any():
        return np.empty((0, 2))
    runs = true_runs(valid_T, find_gaps(time_T, GAP_PERIODS))
    spans = np.array([[time_T[run.start], time_T[run.stop - 1]] for run in runs])
    return merge_spans(spans, (time_T[-1] - time_T[0]) / resolution)


def merge_spans(spans: Spans, shortest_gap: float) -> Spans:
    """Merge sorted spans whose gaps are shorter than `shortest_gap` seconds."""
    new = np.concatenate([[True], spans[1:, 0] - spans[:-1, 1] > shortest_gap])
    first = np.flatnonzero(new)
    last = np.concatenate([first[1:] - 1, [len(spans) - 1]])
    return np.stack([spans[first, 0], spans[last, 1]], axis=1)


def _table_spans(starts: NDArray[np.float64], stops: NDArray[np.float64]) -> Spans:
    """Return the extent of spikes, the moments of events, the lengths of intervals."""
    if not len(starts):
        return np.empty((0, 2))
    if len(starts) > MOST_ROWS:
        return np.array([[starts.min(), np.nanmax(stops)]])
    return np.stack([starts, np.where(np.isfinite(stops), stops, starts)], axis=1)


def list_operations(stream: xr.Dataset) -> tuple[str, ...]:
    """Return what was done to a stream, from its `provenance` attribute."""
    text = stream.attrs.get("provenance", "")
    try:
        steps = json.loads(text) if isinstance(text, str) and text else text
    except json.JSONDecodeError:
        return (str(text),)
    if not isinstance(steps, list):
        steps = [steps] if steps else []
    return tuple(tell_operation(step) for step in steps)


def tell_operation(step: object) -> str:
    """Return one operation as `name (argument value, ...)`."""
    if not isinstance(step, dict):
        return str(step)
    rest = dict(step)
    name = next((str(rest.pop(k)) for k in ("operation", "name", "step") if k in rest), "")
    told = ", ".join(f"{key} {_plain(value)}" for key, value in rest.items())
    return f"{name.replace('_', ' ')} ({told})" if told else name.replace("_", " ")


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(inner)}" for key, inner in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)
