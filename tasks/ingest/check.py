"""All full-length checks of a recording's streams."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import xarray as xr

from schemas.entities import Finding
from schemas.settings.ingest import IngestSettings
from tasks.common.progress import track
from tasks.ingest.lazy import lazy_variable
from tasks.ingest.objects import AssumedEqual
from tasks.ingest.scan_spikes import scan_spikes, spike_findings
from tasks.ingest.scan_times import (
    TimeScan,
    blocks,
    clock_findings,
    order_findings,
    scan_times,
    shape_findings,
)
from tasks.ingest.scan_values import scan_values, value_findings

KEPT_FIRST = "They are left out; of repeated ones the first stays."
SORTED = "Events are put in order; those without a time are left out."

Found = tuple[list[Finding], float]
"""Findings of a stream, and when it starts in seconds."""


def check_streams(streams: xr.DataTree, settings: IngestSettings) -> list[Finding]:
    """Read every sample of every stream once and return what is odd.

    Parameters
    ----------
    streams : as read_streams returns them: lazy, and not yet repaired
    """
    checks: Mapping[str, Callable[[xr.Dataset, IngestSettings], Found]] = {
        "spikes": _check_spikes,
        "events": _check_events,
        "intervals": _check_intervals,
    }
    findings: list[Finding] = []
    starts: dict[str, float] = {}
    for _, node in track(streams.children.items(), "checking streams", len(streams.children)):
        stream = node.to_dataset(inherit=False)
        check = checks.get(stream.attrs["stream_kind"], _check_sampled)
        found, start = check(stream, settings)
        findings += found
        starts[stream.attrs["source"]] = start
    return findings + clock_findings(starts) + _edge_findings(streams)


def _edge_findings(streams: xr.DataTree) -> list[Finding]:
    """Return a finding where a signal's rising and falling edges are not equally many."""
    counts = {
        name: node.sizes["event"]
        for name, node in streams.children.items()
        if node.attrs["stream_kind"] == "events"
    }
    findings: list[Finding] = []
    for name, rising in counts.items():
        other = name.replace("rising", "falling")
        if other != name and counts.get(other, rising) != rising:
            text = f"{rising:,} rising but {counts[other]:,} falling edges."
            where = f"{streams[name].attrs['source']}, {streams[other].attrs['source']}"
            findings.append(
                Finding(code="edges_disagree", severity="warning", what=text, where=where)
            )
    return findings


def check_assumptions(assumed: Iterable[AssumedEqual], settings: IngestSettings) -> list[Finding]:
    """Compare time axes in full that were taken for one when the file was opened."""
    findings: list[Finding] = []
    for pair in assumed:
        both = zip(
            blocks(lazy_variable(("time",), pair.one), settings.block_mib),
            blocks(lazy_variable(("time",), pair.other), settings.block_mib),
            strict=True,
        )
        differing = sum(int(np.sum(~np.isclose(a, b, 0, 0, equal_nan=True))) for a, b in both)
        if differing:
            text = (
                f"{differing:,} of {pair.one.shape[0]:,} times differ from those of the first "
                "keypoint, which are used for all."
            )
            findings.append(
                Finding(code="clocks_differ", severity="error", what=text, where=pair.where)
            )
    return findings


def _check_sampled(stream: xr.Dataset, settings: IngestSettings) -> Found:
    where = stream.attrs["source"]
    scan = scan_times(stream["time"].variable, settings.block_mib)
    found = order_findings(scan, where, KEPT_FIRST)
    found += shape_findings(scan, where, stamped="rate_hz" not in stream.attrs)
    if stream.attrs["stream_kind"] != "video":
        found += _check_values(stream, settings)
    return found, scan.start_s


def _check_values(stream: xr.Dataset, settings: IngestSettings) -> list[Finding]:
    """Check the main variable; a pose's as one column for each keypoint and axis."""
    values = stream[stream.attrs["primary"]]
    columns = values.dims[1:]
    if len(columns) == 1:
        dim = str(columns[0])
        labels = [str(label) for label in stream[dim].values]
        scan = scan_values(values.variable, settings.block_mib)
        return value_findings(scan, labels, stream.attrs["source"], dim)
    found: list[Finding] = []
    for individual in range(stream.sizes["individual"]):
        for axis, name in enumerate(stream["space"].values):
            one = values.variable[:, axis, :, individual]
            labels = [f"{keypoint} {name}" for keypoint in stream["keypoint"].values]
            scan = scan_values(one, settings.block_mib)
            found += value_findings(scan, labels, stream.attrs["source"], "keypoint")
    return found


def _check_spikes(stream: xr.Dataset, settings: IngestSettings) -> Found:
    scan = scan_spikes(stream, settings.block_mib)
    labels = [str(label) for label in stream["unit"].values]
    return spike_findings(scan, labels, stream.attrs["source"]), scan.start_s


def _check_events(stream: xr.Dataset, settings: IngestSettings) -> Found:
    where = stream.attrs["source"]
    scan = scan_times(stream["event_time"].variable, settings.block_mib)
    if scan.size and scan.nan == scan.size:
        what = f"No event: the stream holds {scan.size} time(s), none of them a number."
        return [Finding(code="empty_stream", severity="info", what=what, where=where)], scan.start_s
    if scan.size == 0:
        what = "No event: the stream is empty."
        return [Finding(code="empty_stream", severity="info", what=what, where=where)], scan.start_s
    # Two events at one time are nothing odd.
    scan.repeated = 0
    return order_findings(scan, where, SORTED), scan.start_s


def _check_intervals(stream: xr.Dataset, settings: IngestSettings) -> Found:
    where = stream.attrs["source"]
    start, stop = (stream[name].to_numpy() for name in ("start_time", "stop_time"))
    found: list[Finding] = []
    rules = (
        ("intervals_nan", ~((start == start) & (stop == stop)), "have no start or no stop"),
        ("intervals_reversed", stop < start, "stop before they start"),
    )
    for code, which, what in rules:
        if which.any():
            text = f"{which.sum()} of {len(start)} intervals {what}, first row {which.argmax()}."
            found.append(Finding(code=code, severity="warning", what=text, where=where))
    scan: TimeScan = scan_times(stream["start_time"].variable, settings.block_mib)
    if scan.reversed:
        text = f"{scan.reversed} of {len(start)} intervals start before the row above."
        found.append(Finding(code="intervals_unsorted", severity="info", what=text, where=where))
    return found, scan.start_s
