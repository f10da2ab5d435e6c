"""All full-length checks of a recording's streams."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from schemas.contracts.streams import BY_KIND
from schemas.entities import Finding
from schemas.errors import RecordingError
from schemas.settings.ingest import IngestSettings
from tasks.common.progress import track
from tasks.ingest.clock_findings import Span, clock_findings
from tasks.ingest.damage import damage_told, unreadable
from tasks.ingest.lazy import lazy_variable
from tasks.ingest.objects import AssumedEqual
from tasks.ingest.scan_spikes import scan_spikes, spike_findings
from tasks.ingest.scan_tables import duration_findings, interval_findings
from tasks.ingest.scan_times import Odd, blocks, scan_times
from tasks.ingest.scan_values import angle_findings, scan_values, value_findings
from tasks.ingest.time_findings import order_findings, place, shape_findings

LEFT_OUT: Mapping[str, str] = {
    "timestamps_nan": "They are left out.",
    "timestamps_infinite": "They are left out.",
    "timestamps_repeated": "The first of them stays, the others are left out.",
    "timestamps_reversed": "As few samples as possible are left out to put the rest in order.",
}
SORTED: Mapping[str, str] = {
    **dict.fromkeys(LEFT_OUT, "They are left out."),
    "timestamps_reversed": "The events are sorted, with all their columns.",
}
"""Code of a finding -> what ingest does about the samples of a stream, and about events."""

Check = Callable[[xr.Dataset, IngestSettings], tuple[list[Finding], Span]]


@dataclass
class CheckReport:
    """What a full reading of a recording found.

    Attributes
    ----------
    findings : what is odd
    spans : stream name -> first and last time in seconds
    unreadable : streams, and "stream/column", whose values the file does not give back
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
        for column, error in _unreadable_columns(stream, settings).items():
            stream = stream.drop_vars(column)
            report.unreadable.append(f"{name}/{column}")
            report.findings.append(unreadable("column", error, stream.attrs["source"]))
        try:
            # Whatever a stream breaks, its neighbours are checked.
            with damage_told(stream.attrs["source"]):
                findings, span = _CHECKS.get(stream.attrs["stream_kind"], _check_sampled)(
                    stream, settings
                )
        except RecordingError as error:
            findings = [unreadable("stream", error, stream.attrs["source"])]
            report.unreadable.append(name)
        else:
            report.spans[name] = span
        report.findings += findings
    by_source = {streams[name].attrs["source"]: span for name, span in report.spans.items()}
    report.findings += clock_findings(by_source)
    report.findings += _edge_findings(streams)
    report.findings += _assumption_findings(assumed, settings)
    return report


def without_unreadable(streams: xr.DataTree, unreadable: Iterable[str]) -> xr.DataTree:
    """Return the tree without the streams and columns that the file does not give back."""
    streams = streams.copy()
    for name in unreadable:
        stream, _, column = name.partition("/")
        if not column:
            del streams[stream]
        elif (node := streams.children.get(stream)) is not None:
            node.dataset = node.to_dataset(inherit=False).drop_vars(column)
    return streams


def _unreadable_columns(stream: xr.Dataset, settings: IngestSettings) -> dict[str, RecordingError]:
    """Read what a stream can do without; return what the file does not give back, with reasons."""
    contract = BY_KIND[stream.attrs["stream_kind"]]
    needed = {n for n, v in {**contract.variables, **contract.coords}.items() if not v.optional}
    found: dict[str, RecordingError] = {}
    for name, variable in stream.variables.items():
        if name in needed or not variable.ndim:
            continue
        try:
            for _ in blocks(variable, settings.block_mib):
                pass
        except RecordingError as error:
            found[str(name)] = error
    return found


def _check_sampled(stream: xr.Dataset, settings: IngestSettings) -> tuple[list[Finding], Span]:
    where, kind = stream.attrs["source"], stream.attrs["stream_kind"]
    scan = scan_times(stream["time"].variable, settings.block_mib)
    span = (scan.start_s, scan.stop_s)
    if scan.size == scan.absent:
        return [_empty(scan.size, "sample", where)], span
    found = order_findings(scan, where, LEFT_OUT)
    found += shape_findings(scan, kind, where)
    if kind == "pose":
        found += _check_points(stream, settings)
    elif kind != "video":
        dim = str(stream[stream.attrs["primary"]].dims[1])
        labels = [str(label) for label in stream[dim].values]
        values = scan_values(stream[stream.attrs["primary"]].variable, settings.block_mib)
        found += value_findings(values, labels, where, dim, stream["time"].variable)
        found += angle_findings(values, stream.attrs.get("wrap_period"), where)
    return found, span


def _check_points(stream: xr.Dataset, settings: IngestSettings) -> list[Finding]:
    """Check each individual's points along each axis of space."""
    found: list[Finding] = []
    position = stream["position"].variable
    where, times = stream.attrs["source"], stream["time"].variable
    for individual in range(stream.sizes["individual"]):
        for axis, name in enumerate(stream["space"].values):
            labels = [f"{keypoint} {name}" for keypoint in stream["keypoint"].values]
            scan = scan_values(position[:, axis, :, individual], settings.block_mib)
            found += value_findings(scan, labels, where, "keypoint", times)
    return found


def _check_spikes(stream: xr.Dataset, settings: IngestSettings) -> tuple[list[Finding], Span]:
    scan = scan_spikes(stream, settings.block_mib)
    labels = [str(label) for label in stream["unit"].values]
    return spike_findings(scan, labels, stream.attrs["source"]), (scan.start_s, scan.stop_s)


def _check_events(stream: xr.Dataset, settings: IngestSettings) -> tuple[list[Finding], Span]:
    where = stream.attrs["source"]
    scan = scan_times(stream["event_time"].variable, settings.block_mib)
    span = (scan.start_s, scan.stop_s)
    if scan.size == scan.absent:
        return [_empty(scan.size, "event", where)], span
    # Two events at one time are nothing odd.
    scan.repeated.count = 0
    return [*order_findings(scan, where, SORTED), *duration_findings(stream)], span


def _check_intervals(stream: xr.Dataset, settings: IngestSettings) -> tuple[list[Finding], Span]:
    start = scan_times(stream["start_time"].variable, settings.block_mib)
    stop = scan_times(stream["stop_time"].variable, settings.block_mib)
    return interval_findings(stream), (start.start_s, stop.stop_s)


def _empty(size: int, noun: str, where: str) -> Finding:
    """Return the finding of a stream without a single time, such as one NaN for nothing."""
    held = f"the stream holds {size} time(s), none of them a number" if size else "it is empty"
    return Finding(
        code="empty_stream",
        severity="info",
        what=f"No {noun}: {held}.",
        where=where,
        sample=0 if size else None,
        value="NaN" if size else "",
        repair="The NaN that stands for nothing is left out." if size else "",
    )


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
            findings.append(
                Finding(
                    code="edges_disagree",
                    severity="warning",
                    what=f"{rising:,} rising but {counts[other]:,} falling edges.",
                    where=f"{streams[name].attrs['source']}, {streams[other].attrs['source']}",
                    remedy="One edge lies outside the recording, or was missed.",
                    sample=min(rising, counts[other]),
                    value=f"{rising - counts[other]:+,} edges",
                )
            )
    return findings


def _assumption_findings(
    assumed: Iterable[AssumedEqual], settings: IngestSettings
) -> list[Finding]:
    """Compare time axes in full that were taken for one when the file was opened."""
    findings: list[Finding] = []
    for pair in assumed:
        differing = _differences(pair, settings.block_mib)
        if differing.count:
            what = (
                f"{differing.count:,} of {pair.one.shape[0]:,} times differ from those of the "
                "first keypoint, which are used for all."
            )
            finding = Finding(
                code="clocks_differ",
                severity="error",
                what=what,
                where=pair.where,
                remedy="Write the file again with one clock for all points.",
                value=f"{differing.value:+.6f} s",
            )
            findings.append(place(finding, differing))
    return findings


def _differences(pair: AssumedEqual, block_mib: float) -> Odd:
    """Return where two time axes differ."""
    odd, offset = Odd(), 0
    first, second = (lazy_variable(("time",), axis) for axis in (pair.one, pair.other))
    both = zip(blocks(first, block_mib), blocks(second, block_mib, first), strict=True)
    for one, other in both:
        differs = ~np.isclose(one, other, 0, 0, equal_nan=True)
        odd.add(differs, np.arange(offset, offset + len(one)), other, one - other)
        offset += len(one)
    return odd
