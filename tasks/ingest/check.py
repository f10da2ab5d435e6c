"""All full-length checks of a recording's streams."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import xarray as xr

from schemas.entities import Finding
from schemas.settings.ingest import IngestSettings
from tasks.common.progress import track
from tasks.ingest.lazy import lazy_variable
from tasks.ingest.objects import AssumedEqual
from tasks.ingest.scan_spikes import scan_spikes, spike_findings
from tasks.ingest.scan_tables import interval_findings
from tasks.ingest.scan_times import (
    blocks,
    clock_findings,
    order_findings,
    scan_times,
    shape_findings,
)
from tasks.ingest.scan_values import scan_values, value_findings

KEPT_FIRST = "They are left out; of repeated ones the first stays."
SORTED = "Events are put in order; those without a time are left out."

Severity = Literal["info", "warning", "error"]

Span = tuple[float, float]
"""First and last time of a stream in seconds; not finite if it has none."""

Check = Callable[[xr.Dataset, IngestSettings], tuple[list[Finding], Span]]


@dataclass
class CheckReport:
    """What a full reading of a recording found.

    Attributes
    ----------
    findings : what is odd
    spans : stream name -> first and last time in seconds
    unreadable : streams whose samples the file does not give back
    """

    findings: list[Finding] = field(default_factory=list)
    spans: dict[str, Span] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)

    @property
    def duration_s(self) -> float:
        """Length of the longest stream."""
        lengths = [stop - start for start, stop in self.spans.values()]
        return max((length for length in lengths if np.isfinite(length)), default=0.0)


def check_streams(
    streams: xr.DataTree, settings: IngestSettings, assumed: Iterable[AssumedEqual] = ()
) -> CheckReport:
    """Read every sample of every stream once and report what is odd.

    Parameters
    ----------
    streams : as read_streams returns them: lazy, and not yet repaired
    assumed : time axes that were taken for one when the file was opened
    """
    report = CheckReport()
    for name, node in track(streams.children.items(), "checking streams", len(streams.children)):
        stream = node.to_dataset(inherit=False)
        try:
            findings, span = _CHECKS.get(stream.attrs["stream_kind"], _check_sampled)(
                stream, settings
            )
        except OSError as error:
            what = f"The file does not give its samples back: {error}. The stream is left out."
            findings = [_finding("stream_unreadable", "error", what, stream.attrs["source"])]
            report.unreadable.append(name)
        else:
            report.spans[name] = span
        report.findings += findings
    starts = {streams[name].attrs["source"]: span[0] for name, span in report.spans.items()}
    report.findings += clock_findings(starts)
    report.findings += _edge_findings(streams)
    report.findings += _assumption_findings(assumed, settings)
    return report


def _check_sampled(stream: xr.Dataset, settings: IngestSettings) -> tuple[list[Finding], Span]:
    where = stream.attrs["source"]
    scan = scan_times(stream["time"].variable, settings.block_mib)
    found = order_findings(scan, where, KEPT_FIRST)
    found += shape_findings(scan, where, stamped="rate_hz" not in stream.attrs)
    kind = stream.attrs["stream_kind"]
    if kind == "pose":
        found += _check_points(stream, settings)
    elif kind != "video":
        dim = str(stream[stream.attrs["primary"]].dims[1])
        labels = [str(label) for label in stream[dim].values]
        values = scan_values(stream[stream.attrs["primary"]].variable, settings.block_mib)
        found += value_findings(values, labels, where, dim)
    return found, (scan.start_s, scan.stop_s)


def _check_points(stream: xr.Dataset, settings: IngestSettings) -> list[Finding]:
    """Check each individual's points along each axis of space."""
    found: list[Finding] = []
    position = stream["position"].variable
    for individual in range(stream.sizes["individual"]):
        for axis, name in enumerate(stream["space"].values):
            labels = [f"{keypoint} {name}" for keypoint in stream["keypoint"].values]
            scan = scan_values(position[:, axis, :, individual], settings.block_mib)
            found += value_findings(scan, labels, stream.attrs["source"], "keypoint")
    return found


def _check_spikes(stream: xr.Dataset, settings: IngestSettings) -> tuple[list[Finding], Span]:
    scan = scan_spikes(stream, settings.block_mib)
    labels = [str(label) for label in stream["unit"].values]
    return spike_findings(scan, labels, stream.attrs["source"]), (scan.start_s, scan.stop_s)


def _check_events(stream: xr.Dataset, settings: IngestSettings) -> tuple[list[Finding], Span]:
    where = stream.attrs["source"]
    scan = scan_times(stream["event_time"].variable, settings.block_mib)
    span = (scan.start_s, scan.stop_s)
    if scan.size == scan.nan:
        what = (
            f"No event: the stream holds {scan.size} time(s), none of them a number."
            if scan.size
            else "No event: the stream is empty."
        )
        return [_finding("empty_stream", "info", what, where)], span
    # Two events at one time are nothing odd.
    scan.repeated = 0
    return order_findings(scan, where, SORTED), span


def _check_intervals(stream: xr.Dataset, settings: IngestSettings) -> tuple[list[Finding], Span]:
    start = scan_times(stream["start_time"].variable, settings.block_mib)
    stop = scan_times(stream["stop_time"].variable, settings.block_mib)
    return interval_findings(stream, start), (start.start_s, stop.stop_s)


_CHECKS: Mapping[str, Check] = {
    "spikes": _check_spikes,
    "events": _check_events,
    "intervals": _check_intervals,
}


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
            what = f"{rising:,} rising but {counts[other]:,} falling edges."
            where = f"{streams[name].attrs['source']}, {streams[other].attrs['source']}"
            findings.append(_finding("edges_disagree", "warning", what, where))
    return findings


def _assumption_findings(
    assumed: Iterable[AssumedEqual], settings: IngestSettings
) -> list[Finding]:
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
            what = (
                f"{differing:,} of {pair.one.shape[0]:,} times differ from those of the first "
                "keypoint, which are used for all."
            )
            findings.append(_finding("clocks_differ", "error", what, pair.where))
    return findings


def _finding(code: str, severity: Severity, what: str, where: str) -> Finding:
    return Finding(code=code, severity=severity, what=what, where=where)
