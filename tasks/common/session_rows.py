"""The catalogue's subjects and sessions."""

from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, cast, func, select

from schemas.entities import Session, Subject
from schemas.errors import NotFoundError
from tasks.common.recording_rows import RecordingRows, newest_recordings
from tasks.common.tables import ArtifactRow, SessionRow, SubjectRow

if TYPE_CHECKING:
    import pandas as pd


class SessionRows(RecordingRows):
    """Reads and writes subjects and sessions."""

    def add_session(self, session: Session) -> str:
        """Record a session and its subject, if they are new; return the session's key."""
        with self._writing() as db:
            self._insert_new(db, SubjectRow(**session.subject.model_dump()))
            for name in (session.name, f"{session.name}-{session.key[:6]}"):
                row = SessionRow(
                    key=session.key,
                    name=name,
                    subject_id=session.subject.subject_id,
                    session_id=session.session_id,
                    start_time=session.start_time,
                    description=session.description,
                )
                # Nothing is inserted if another session has the name: then the longer one.
                self._insert_new(db, row)
        return session.key

    def session(self, key: str) -> Session:
        """Return the session with this key."""
        with self._reading() as db:
            row = db.get(SessionRow, key)
            if row is None:
                raise NotFoundError(f"no session with key '{key}'.", where=self.where)
            subject = db.get_one(SubjectRow, row.subject_id)
            return Session(
                subject=Subject(**{c: getattr(subject, c) for c in Subject.model_fields}),
                session_id=row.session_id,
                start_time=row.start_time,
                description=row.description,
            )

    def session_name(self, key: str) -> str:
        """Return the unique readable name of a session."""
        with self._reading() as db:
            name = db.scalars(select(SessionRow.name).where(SessionRow.key == key)).first()
        if name is None:
            raise NotFoundError(f"no session with key '{key}'.", where=self.where)
        return name

    def find_session(self, text: str) -> str:
        """Return the key of the one session that a name, key, subject or their start means.

        Raises
        ------
        NotFoundError
            None fits, or several do; lists those.
        """
        with self._reading() as db:
            rows = db.execute(select(SessionRow.key, SessionRow.name, SessionRow.subject_id)).all()
        named = [row for row in rows if text in (row.key, row.name)]
        exact = named or [row for row in rows if text == row.subject_id]
        fitting = exact or [row for row in rows if any(str(v).startswith(text) for v in row)]
        if len(fitting) == 1:
            return str(fitting[0].key)
        names = ", ".join(sorted(row.name for row in (fitting or rows))) or "none yet"
        problem = "several sessions fit" if fitting else "no session is called"
        raise NotFoundError(f"{problem} '{text}'.", remedy=f"Sessions: {names}.")

    def sessions(self) -> "pd.DataFrame":
        """Return one row a session: name, subject, species, start, number of artifacts."""
        query = (
            select(
                SessionRow.name,
                SessionRow.subject_id,
                SubjectRow.species,
                SessionRow.session_id,
                SessionRow.start_time,
                func.count(ArtifactRow.id).label("artifacts"),
                # PostgreSQL would sum up to a Decimal.
                cast(func.coalesce(func.sum(ArtifactRow.bytes), 0), BigInteger).label("bytes"),
                SessionRow.key,
            )
            .join(SubjectRow, SubjectRow.subject_id == SessionRow.subject_id)
            .outerjoin(ArtifactRow, ArtifactRow.session_key == SessionRow.key)
            .group_by(SessionRow.key, SubjectRow.subject_id)
            .order_by(SessionRow.start_time, SessionRow.key)
        )
        frame = self._frame(query)
        newest = newest_recordings(self.recordings_of())
        known = [newest.get(key) for key in frame["key"]]
        frame.insert(5, "version", [0 if found is None else found.version for found in known])
        frame.insert(6, "verdict", ["" if found is None else found.verdict for found in known])
        return frame

    def versions(self) -> "pd.DataFrame":
        """Return one row a version of a session's recording, the newest of each session first."""
        import pandas as pd

        rows = [
            {
                "name": self.session_name(found.session_key),
                "version": found.version,
                "verdict": found.verdict,
                "recording": str(found.ref),
                "replaces": (found.replaces or "")[:12],
                "key_figure": found.key_figure,
                "path": found.path,
                "created": pd.Timestamp(found.created),
            }
            for found in self.recordings_of()
        ]
        columns = [
            "name", "version", "verdict", "recording", "replaces", "key_figure", "path", "created",
        ]  # fmt: skip
        frame = pd.DataFrame(rows, columns=columns)
        order = ["name", "version", "created"]
        return frame.sort_values(order, ascending=[True, False, False], ignore_index=True)
