"""The catalogue's raw files: which were ingested as what, which are in quarantine and why."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from schemas.entities import ArtifactRef, now
from tasks.common.tables import ArtifactRow, QuarantineRow, RecordingFileRow
from tasks.common.transactions import Transactions

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class KnownRecording:
    """A recording of the catalogue: which version of its session, and how it was found.

    Attributes
    ----------
    identity : hash of its content
    version : from 1, in the order in which the session's versions came
    verdict : "accepted" or "accepted with repairs"
    path : the file it was first read from
    replaces : id of the version before it; None for the first
    """

    ref: ArtifactRef
    session_key: str
    identity: str
    version: int
    verdict: str
    path: str
    replaces: str | None
    key_figure: str
    created: datetime


class RecordingRows(Transactions):
    """Reads and writes raw files and the quarantine."""

    def find_recording_file(self, path: str, size: int, mtime_ns: int) -> str | None:
        """Return the recording that an unchanged file was ingested as, without reading it."""
        with self._reading() as db:
            row = db.get(RecordingFileRow, path)
            if row is None or (row.size, row.mtime_ns) != (size, mtime_ns):
                return None
            return row.recording_id

    def find_recording_bytes(self, byte_sha256: str) -> str | None:
        """Return the recording that a file with these bytes was ingested as."""
        query = select(RecordingFileRow.recording_id).where(
            RecordingFileRow.byte_sha256 == byte_sha256
        )
        with self._reading() as db:
            return db.scalars(query.limit(1)).first()

    def add_recording_file(
        self, path: str, size: int, mtime_ns: int, byte_sha256: str, recording_id: str
    ) -> None:
        """Record where a recording was found and what its bytes were."""
        row = RecordingFileRow(
            path=path,
            size=size,
            mtime_ns=mtime_ns,
            byte_sha256=byte_sha256,
            recording_id=recording_id,
            seen=now(),
        )
        with self._writing() as db:
            self._upsert(db, row)

    def recording_files(self) -> "pd.DataFrame":
        """Return the raw files that were ingested: path, size, mtime_ns, hash, recording."""
        return self._frame(
            select(
                RecordingFileRow.path,
                RecordingFileRow.size,
                RecordingFileRow.mtime_ns,
                RecordingFileRow.byte_sha256,
                RecordingFileRow.recording_id,
            ).order_by(RecordingFileRow.path)
        )

    def add_quarantine(self, byte_sha256: str, path: str, reason: dict[str, Any]) -> None:
        """Record that a file could not be used, and why."""
        row = QuarantineRow(byte_sha256=byte_sha256, path=path, reason=reason, created=now())
        with self._writing() as db:
            self._upsert(db, row)

    def quarantine_reason(self, byte_sha256: str) -> dict[str, Any] | None:
        """Return why a file with these bytes could not be used; None if it never was tried."""
        with self._reading() as db:
            row = db.get(QuarantineRow, byte_sha256)
            return None if row is None else _reason(row)

    def quarantine_reasons(self) -> list[dict[str, Any]]:
        """Return every file that ever was in quarantine, newest first, with what became of it."""
        query = select(QuarantineRow).order_by(QuarantineRow.created.desc())
        with self._reading() as db:
            return [_reason(row) for row in db.scalars(query)]

    def recordings_of(self, session_key: str | None = None) -> list[KnownRecording]:
        """Return the recordings of one session or of all, oldest first."""
        query = select(ArtifactRow).where(ArtifactRow.kind == "recording")
        if session_key is not None:
            query = query.where(ArtifactRow.session_key == session_key)
        with self._reading() as db:
            rows = db.scalars(query.order_by(ArtifactRow.created, ArtifactRow.id)).all()
            return [_known(row) for row in rows if "version" in row.facts]


def newest_recordings(recordings: list[KnownRecording]) -> dict[str, KnownRecording]:
    """Return the newest version of each session, as it was read last."""
    newest: dict[str, KnownRecording] = {}
    for found in recordings:
        before = newest.get(found.session_key)
        if before is None or found.version >= before.version:
            newest[found.session_key] = found
    return newest


def _reason(row: QuarantineRow) -> dict[str, Any]:
    return {**row.reason, "byte_sha256": row.byte_sha256, "path": row.path}


def _known(row: ArtifactRow) -> KnownRecording:
    replaces = row.facts.get("replaces")
    return KnownRecording(
        ref=ArtifactRef(kind=row.kind, id=row.id),
        session_key=str(row.session_key),
        identity=str(row.facts["identity"]),
        version=int(row.facts["version"]),
        verdict=str(row.facts["verdict"]),
        path=str(row.facts["path"]),
        replaces=replaces,
        key_figure=row.key_figure,
        created=row.created,
    )
