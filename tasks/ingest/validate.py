"""Checking a recording without ingesting it: what ingest would find, nothing written."""

from collections import Counter
from pathlib import Path

from pydantic import Field

from schemas.entities import Entity, Finding, Severity
from schemas.errors import RecordingError
from schemas.settings.ingest import IngestSettings
from tasks.common.remote import is_url, local_path
from tasks.ingest.guard import survey_guarded
from tasks.ingest.opening import read_recording
from tasks.ingest.recording import ACCEPTED, REPAIRED, check_recording, judge

QUARANTINED = "quarantined"


class Validation(Entity):
    """What a full reading of one recording says about it."""

    path: str
    verdict: str = Field(description=f"{ACCEPTED}, {REPAIRED} or {QUARANTINED}")
    streams: dict[str, str] = Field(default={}, description="name -> kind")
    findings: tuple[Finding, ...] = ()

    def count(self, severity: Severity) -> int:
        """Return how many findings are of one severity."""
        return sum(finding.severity == severity for finding in self.findings)

    @property
    def kinds(self) -> str:
        """The streams in short: "calcium 1, motion 2"."""
        counts = Counter(self.streams.values())
        return ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items()))


def validate_recording(path: str | Path, settings: IngestSettings) -> Validation:
    """Read a recording in full, a block at a time, and judge it as ingest would.

    Never raises for what is wrong with the file: that is the verdict and a finding.
    """
    try:
        file = None if is_url(str(path)) else local_path(str(path))
        if file is not None and file.exists():
            # A hostile file may loop, crash or swell: the first look is in a process of its own.
            survey_guarded(file, settings.safety)
        with read_recording(path, settings) as opened:
            report, findings = check_recording(opened, settings)
            kinds = {n: node.attrs["stream_kind"] for n, node in opened.streams.children.items()}
    except RecordingError as error:
        reason = Finding(
            code="unreadable",
            severity="error",
            what=error.what,
            where=error.where or str(path),
            remedy=error.remedy,
        )
        return Validation(path=str(path), verdict=QUARANTINED, findings=(reason,))
    verdict = judge(report.unreadable, findings)
    told = tuple(Finding(**finding) for finding in findings)
    return Validation(path=str(path), verdict=verdict, streams=kinds, findings=told)
