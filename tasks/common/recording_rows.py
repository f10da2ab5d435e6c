"""The catalogue's raw files: which were ingested as what, which are in quarantine and why."""

from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select

from schemas.entities import now
from tasks.common.tables import QuarantineRow, RecordingFileRow
from tasks.common.transactions import Transactions

if TYPE_CHECKING:
    import pandas as pd


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

    def remove_quarantine(self, byte_sha256: str) -> None:
        """Record that a file is no longer in quarantine."""
        with self._writing() as db:
            db.execute(delete(QuarantineRow).where(QuarantineRow.byte_sha256 == byte_sha256))

    def quarantined(self) -> "pd.DataFrame":
        """Return the files in quarantine, newest first."""
        return self._frame(
            select(
                QuarantineRow.byte_sha256,
                QuarantineRow.path,
                QuarantineRow.reason,
                QuarantineRow.created,
            ).order_by(QuarantineRow.created.desc())
        )
