"""What the lake keeps of a recording beside its streams: identity, origin, findings."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import xarray as xr

from schemas.entities import Session
from schemas.settings.ingest import IngestSettings
from tasks.ingest.check import CheckReport, check_streams
from tasks.ingest.inspector import inspect
from tasks.ingest.opening import OpenedRecording
from tasks.ingest.sidecars import Described, describe_sidecars

ACCEPTED = "accepted"
REPAIRED = "accepted with repairs"


def identify_content(
    opened: OpenedRecording, logical_sha256: str, folder: Path | None, settings: IngestSettings
) -> Described:
    """Return what decides whether two recordings are the same: logical hash and sidecars.

    folder : where files beside the recording are looked for; None if nowhere

    `identity` covers both: the same NWB file with another video is another recording.
    """
    sidecars = describe_sidecars(
        sidecar_paths(opened.streams),
        None if folder is None else folder.resolve(),
        settings.safety.trusted_folders,
    )
    parts = [logical_sha256, *(f"{s['path']}\x1f{s['sha256']}" for s in sidecars)]
    identity = hashlib.sha256("\x1e".join(parts).encode("utf-8", "backslashreplace")).hexdigest()
    return {"identity": identity, "logical_sha256": logical_sha256, "sidecars": sidecars}


def describe_recording(
    opened: OpenedRecording, content: Described, settings: IngestSettings
) -> Described:
    """Read a recording in full and return what there is to know of it, as in recording.json.

    content : what is known of it before: path, bytes, hashes, sidecars

    Keys: path, bytes, byte_sha256, logical_sha256, identity, nwb_version, sidecars, session,
    streams (name -> kind, source, sizes, start_s, stop_s), duration_s, unreadable, findings.
    """
    report, findings = check_recording(opened, settings)
    return {
        **content,
        "nwb_version": opened.nwb_version,
        "session": describe_session(opened.session),
        "streams": _describe_streams(opened.streams, report),
        "duration_s": round(report.duration_s, 6),
        "unreadable": report.unreadable,
        "findings": findings,
    }


def check_recording(
    opened: OpenedRecording, settings: IngestSettings
) -> tuple[CheckReport, list[Described]]:
    """Read a recording in full; return what its streams are like, and all findings in order."""
    report = check_streams(opened.streams, settings, opened.assumed_equal)
    said = inspect(opened.nwbfile, settings.inspector_seconds) if settings.inspector else []
    every = (*opened.findings, *report.findings, *said)
    return report, order_findings(finding.model_dump() for finding in every)


def judge(unreadable: list[str], findings: list[Described]) -> str:
    """Return the verdict on a recording that can be used; others are quarantined.

    unreadable : names of streams and columns that are left out
    """
    return REPAIRED if unreadable or any(f["repair"] for f in findings) else ACCEPTED


def order_findings(findings: Iterable[Described]) -> list[Described]:
    """Return findings without doubles, errors first."""
    rank = {"error": 0, "warning": 1, "info": 2}
    different = {json.dumps(finding, sort_keys=True): finding for finding in findings}
    return sorted(different.values(), key=lambda finding: rank[finding["severity"]])


def describe_session(session: Session) -> Described:
    """Return a session as plain JSON values, with its key and name."""
    return {**session.model_dump(mode="json"), "key": session.key, "name": session.name}


def sidecar_paths(streams: xr.DataTree) -> list[str]:
    """Return the paths of all videos that a recording names."""
    return [
        path
        for node in streams.children.values()
        for path in json.loads(node.attrs.get("external_file", "[]"))
    ]


def key_figure(described: Described) -> str:
    """Return the figure of the result table: "9 streams, 83 units, 1,061 s; 2 findings".

    Findings of no consequence (severity info) are not counted.
    """
    streams = {n: s for n, s in described["streams"].items() if n not in described["unreadable"]}
    neurons = sum(
        s["sizes"].get("unit", 0) for s in streams.values() if s["kind"] in ("spikes", "calcium")
    )
    serious = sum(finding["severity"] != "info" for finding in described["findings"])
    parts = [
        _counted(len(streams), "stream"),
        *([_counted(neurons, "unit")] if neurons else []),
        f"{described['duration_s']:,.0f} s",
    ]
    return ", ".join(parts) + (f"; {_counted(serious, 'finding')}" if serious else "")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _describe_streams(streams: xr.DataTree, report: CheckReport) -> Described:
    return {
        name: {
            "kind": node.attrs["stream_kind"],
            "source": node.attrs["source"],
            "sizes": {str(dim): int(size) for dim, size in node.sizes.items()},
            "start_s": _finite(report.spans.get(name, (0.0, 0.0))[0]),
            "stop_s": _finite(report.spans.get(name, (0.0, 0.0))[1]),
        }
        for name, node in streams.children.items()
    }


def _finite(value: float) -> float | None:
    """Return a number that JSON can hold."""
    return float(value) if abs(value) < float("inf") else None
