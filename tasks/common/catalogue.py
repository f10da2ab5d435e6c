"""The catalogue: which sessions, artifacts, runs and quality figures there are."""

from typing import TYPE_CHECKING

from sqlalchemy import select

from tasks.common.artifact_rows import ArtifactRows
from tasks.common.recording_rows import RecordingRows
from tasks.common.run_rows import RunRows
from tasks.common.session_rows import SessionRows
from tasks.common.tables import ArtifactRow, SessionRow

if TYPE_CHECKING:
    import pandas as pd


class Catalogue(SessionRows, ArtifactRows, RunRows, RecordingRows):
    """Reads and writes the catalogue behind a database URL."""

    def search(
        self, session: str | None = None, kind: str | None = None, subject: str | None = None
    ) -> "pd.DataFrame":
        """Return one row an artifact, newest first: session, kind, id, figure, bytes, created.

        Parameters
        ----------
        session : name, key or subject of one session, or their start
        kind : kind of artifact, e.g. 'aligned'
        subject : id of a subject
        """
        query = (
            select(
                SessionRow.name.label("session"),
                SessionRow.subject_id.label("subject"),
                ArtifactRow.kind,
                ArtifactRow.id,
                ArtifactRow.key_figure,
                ArtifactRow.bytes,
                ArtifactRow.created,
                ArtifactRow.param_hash,
            )
            .outerjoin(SessionRow, SessionRow.key == ArtifactRow.session_key)
            .order_by(ArtifactRow.created.desc(), ArtifactRow.id)
        )
        if session is not None:
            query = query.where(ArtifactRow.session_key == self.find_session(session))
        if kind is not None:
            query = query.where(ArtifactRow.kind == kind)
        if subject is not None:
            query = query.where(SessionRow.subject_id == subject)
        return self._frame(query)
