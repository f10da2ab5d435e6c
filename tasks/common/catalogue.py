"""The catalogue: which sessions, artifacts, runs and quality figures there are."""

from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pandas as pd
from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session as DatabaseSession

from schemas.entities import (
    Artifact,
    ArtifactRef,
    QCMetric,
    RunState,
    Session,
    Subject,
    now,
)
from schemas.errors import NotFoundError
from schemas.settings.base import ParamSet
from tasks.common.database import connect, database_errors
from tasks.common.tables import (
    ArtifactRow,
    EnvironmentRow,
    MetricRow,
    ParamSetRow,
    ParentRow,
    QuarantineRow,
    RecordingFileRow,
    RunRow,
    SessionRow,
    SubjectRow,
    Table,
)


class Catalogue:
    """Reads and writes the catalogue behind a database URL."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = connect(url)

    # --- sessions ---------------------------------------------------------------------------

    def add_session(self, session: Session) -> str:
        """Record a session and its subject, if they are new; return the session's key."""
        with self._writing() as db:
            self._insert_new(
                db, SubjectRow(**session.subject.model_dump()), SubjectRow.subject_id.key
            )
            if db.get(SessionRow, session.key) is None:
                taken = db.scalar(select(SessionRow.key).where(SessionRow.name == session.name))
                name = f"{session.name}-{session.key[:6]}" if taken else session.name
                row = SessionRow(
                    key=session.key,
                    name=name,
                    subject_id=session.subject.subject_id,
                    session_id=session.session_id,
                    start_time=session.start_time,
                    description=session.description,
                )
                self._insert_new(db, row, SessionRow.key.key)
        return session.key

    def session(self, key: str) -> Session:
        """Return the session with this key."""
        with self._reading() as db:
            row = db.get(SessionRow, key)
            if row is None:
                raise NotFoundError(f"no session with key '{key}'.", where=self.url)
            subject = db.get_one(SubjectRow, row.subject_id)
            return Session(
                subject=Subject(
                    **{c: getattr(subject, c) for c in Subject.model_fields},
                ),
                session_id=row.session_id,
                start_time=row.start_time,
                description=row.description,
            )

    def session_name(self, key: str) -> str:
        """Return the unique readable name of a session."""
        with self._reading() as db:
            return db.scalars(select(SessionRow.name).where(SessionRow.key == key)).one()

    def find_session(self, text: str) -> str:
        """Return the key of the one session that a name, key, subject or their start means.

        Raises
        ------
        NotFoundError
            None fits, or several do; lists those.
        """
        with self._reading() as db:
            rows = db.execute(select(SessionRow.key, SessionRow.name, SessionRow.subject_id)).all()
        exact = [row for row in rows if text in row]
        fitting = exact or [row for row in rows if any(str(v).startswith(text) for v in row)]
        if len(fitting) == 1:
            return str(fitting[0].key)
        names = ", ".join(sorted(row.name for row in (fitting or rows))) or "none yet"
        problem = "several sessions fit" if fitting else "no session is called"
        raise NotFoundError(f"{problem} '{text}'.", remedy=f"Sessions: {names}.")

    # --- artifacts --------------------------------------------------------------------------

    def find(self, artifact_id: str) -> Artifact | None:
        """Return an artifact by its full id, None if there is no such row."""
        with self._reading() as db:
            row = db.get(ArtifactRow, artifact_id)
            return None if row is None else self._artifact(db, row)

    def get(self, text: str) -> Artifact:
        """Return the one artifact that an id, its start, or `kind/start` means."""
        kind, _, start = text.rpartition("/")
        query = select(ArtifactRow).where(ArtifactRow.id.startswith(start, autoescape=True))
        if kind:
            query = query.where(ArtifactRow.kind == kind)
        with self._reading() as db:
            rows = db.scalars(query.limit(5)).all()
            if len(rows) == 1:
                return self._artifact(db, rows[0])
        raise NotFoundError(
            f"{'several artifacts fit' if rows else 'there is no artifact'} '{text}'.",
            remedy="Give more of the id; 'tectum sessions' and Catalogue.search list them.",
        )

    def latest(self, session_key: str, kind: str) -> Artifact:
        """Return the newest artifact of a kind for a session."""
        query = (
            select(ArtifactRow)
            .where(ArtifactRow.session_key == session_key, ArtifactRow.kind == kind)
            .order_by(ArtifactRow.created.desc(), ArtifactRow.id)
        )
        with self._reading() as db:
            row = db.scalars(query.limit(1)).first()
            if row is None:
                raise NotFoundError(
                    f"session {session_key} has no '{kind}' artifact.",
                    remedy="Run 'tectum run' on its recording first.",
                )
            return self._artifact(db, row)

    def commit_artifact(
        self,
        artifact: Artifact,
        facts: dict[str, Any],
        metrics: Iterable[QCMetric],
        param_set: ParamSet,
    ) -> None:
        """Insert an artifact's row and all that belongs to it in one transaction: the commit."""
        with self._writing() as db:
            self._insert_new(db, ParamSetRow(**param_set.model_dump()), "stage", "hash")
            row = ArtifactRow(
                id=artifact.ref.id,
                kind=artifact.ref.kind,
                facts=facts,
                **artifact.model_dump(exclude={"ref", "parents"}),
            )
            db.add(row)
            db.flush()
            for position, parent in enumerate(artifact.parents):
                db.add(ParentRow(child_id=artifact.ref.id, parent_id=parent.id, position=position))
            for metric in metrics:
                db.add(
                    MetricRow(artifact_id=artifact.ref.id, recorded=now(), **metric.model_dump())
                )
            _end_run(db, artifact.run_id, RunState.COMPLETE, "")

    def forget(self, artifact_id: str) -> None:
        """Delete an artifact's row; its folder is gone or damaged. Its run stays on record."""
        with self._writing() as db:
            db.execute(delete(MetricRow).where(MetricRow.artifact_id == artifact_id))
            db.execute(delete(ParentRow).where(ParentRow.child_id == artifact_id))
            db.execute(delete(RecordingFileRow).where(RecordingFileRow.recording_id == artifact_id))
            db.execute(delete(ArtifactRow).where(ArtifactRow.id == artifact_id))

    def artifacts(self) -> list[Artifact]:
        """Return every artifact, oldest first."""
        with self._reading() as db:
            rows = db.scalars(select(ArtifactRow).order_by(ArtifactRow.created, ArtifactRow.id))
            return [self._artifact(db, row) for row in rows]

    def children(self, artifact_id: str) -> list[ArtifactRef]:
        """Return the artifacts made directly from this one."""
        query = (
            select(ArtifactRow.kind, ArtifactRow.id)
            .join(ParentRow, ParentRow.child_id == ArtifactRow.id)
            .where(ParentRow.parent_id == artifact_id)
            .order_by(ArtifactRow.created)
        )
        with self._reading() as db:
            return [ArtifactRef(kind=kind, id=id_) for kind, id_ in db.execute(query)]

    def facts(self, artifact_id: str) -> dict[str, Any]:
        """Return what a stage recorded for lineage: seeds, sample ranges, splits."""
        with self._reading() as db:
            return dict(db.get_one(ArtifactRow, artifact_id).facts)

    def metrics(self, artifact_id: str) -> list[QCMetric]:
        """Return the quality figures of an artifact, in the order they were recorded."""
        query = select(MetricRow).where(MetricRow.artifact_id == artifact_id).order_by(MetricRow.id)
        with self._reading() as db:
            return [
                QCMetric(**{c: getattr(row, c) for c in QCMetric.model_fields})
                for row in db.scalars(query)
            ]

    def param_set(self, stage: str, hash_: str) -> ParamSet:
        """Return the settings that an artifact was made with."""
        with self._reading() as db:
            row = db.get_one(ParamSetRow, (stage, hash_))
            return ParamSet(stage=row.stage, values=row.values, hash=row.hash)

    # --- runs -------------------------------------------------------------------------------

    def start_run(self, run: RunRow, environment: EnvironmentRow) -> None:
        """Record that a stage has begun, on which machine and with which packages."""
        with self._writing() as db:
            self._insert_new(db, environment, "hash")
            db.add(run)

    def end_run(self, run_id: str, state: RunState, reason: str = "") -> None:
        """Record how a stage ended."""
        with self._writing() as db:
            _end_run(db, run_id, state, reason)

    def run(self, run_id: str) -> dict[str, Any]:
        """Return a run with its environment, as plain values."""
        with self._reading() as db:
            row = db.get_one(RunRow, run_id)
            environment = db.get_one(EnvironmentRow, row.environment_hash)
            values = {column.key: getattr(row, column.key) for column in RunRow.__table__.columns}
            return {**values, "environment": environment.values}

    def runs_in(self, state: RunState) -> list[tuple[str, str]]:
        """Return (run id, artifact id) of the runs in a state."""
        query = select(RunRow.id, RunRow.artifact_id).where(RunRow.state == state)
        with self._reading() as db:
            return [(run, artifact) for run, artifact in db.execute(query)]

    # --- recording files and quarantine -----------------------------------------------------

    def find_recording_file(self, path: str, size: int, mtime_ns: int) -> str | None:
        """Return the recording that an unchanged file was ingested as, without reading it."""
        with self._reading() as db:
            row = db.get(RecordingFileRow, path)
            same = row is not None and (row.size, row.mtime_ns) == (size, mtime_ns)
            return row.recording_id if row is not None and same else None

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
        with self._writing() as db:
            db.merge(
                RecordingFileRow(
                    path=path,
                    size=size,
                    mtime_ns=mtime_ns,
                    byte_sha256=byte_sha256,
                    recording_id=recording_id,
                    seen=now(),
                )
            )

    def add_quarantine(self, byte_sha256: str, path: str, reason: dict[str, Any]) -> None:
        """Record that a file could not be used, and why."""
        with self._writing() as db:
            db.merge(
                QuarantineRow(byte_sha256=byte_sha256, path=path, reason=reason, created=now())
            )

    def remove_quarantine(self, byte_sha256: str) -> None:
        """Record that a file is no longer in quarantine."""
        with self._writing() as db:
            db.execute(delete(QuarantineRow).where(QuarantineRow.byte_sha256 == byte_sha256))

    def quarantined(self) -> pd.DataFrame:
        """Return the files in quarantine, newest first."""
        return self._frame(
            select(
                QuarantineRow.byte_sha256,
                QuarantineRow.path,
                QuarantineRow.reason,
                QuarantineRow.created,
            ).order_by(QuarantineRow.created.desc())
        )

    # --- queries ----------------------------------------------------------------------------

    def sessions(self) -> pd.DataFrame:
        """Return one row a session: name, subject, species, start, number of artifacts."""
        query = (
            select(
                SessionRow.name,
                SessionRow.subject_id,
                SubjectRow.species,
                SessionRow.session_id,
                SessionRow.start_time,
                func.count(ArtifactRow.id).label("artifacts"),
                func.coalesce(func.sum(ArtifactRow.bytes), 0).label("bytes"),
                SessionRow.key,
            )
            .join(SubjectRow, SubjectRow.subject_id == SessionRow.subject_id)
            .outerjoin(ArtifactRow, ArtifactRow.session_key == SessionRow.key)
            .group_by(SessionRow.key, SubjectRow.subject_id)
            .order_by(SessionRow.start_time)
        )
        return self._frame(query)

    def search(
        self, session: str | None = None, kind: str | None = None, subject: str | None = None
    ) -> pd.DataFrame:
        """Return one row an artifact, newest first: session, kind, id, figure, bytes, created."""
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

    # --- plumbing ---------------------------------------------------------------------------

    @contextmanager
    def _transaction(self, *, writes: bool) -> Generator[DatabaseSession]:
        engine = self._engine.execution_options(writes=writes)
        with (
            database_errors(self.url),
            DatabaseSession(engine, expire_on_commit=False) as db,
            db.begin(),
        ):
            yield db

    def _reading(self) -> AbstractContextManager[DatabaseSession]:
        return self._transaction(writes=False)

    def _writing(self) -> AbstractContextManager[DatabaseSession]:
        return self._transaction(writes=True)

    def _frame(self, query: Select[Any]) -> pd.DataFrame:
        with self._reading() as db:
            result = db.execute(query)
            return pd.DataFrame(result.all(), columns=list(result.keys()))

    def _insert_new(self, db: DatabaseSession, row: Table, *keys: str) -> None:
        """Insert a row unless another process has just inserted the same one."""
        insert = sqlite_insert if self._engine.dialect.name == "sqlite" else postgresql_insert
        columns = {c.key: getattr(row, c.key) for c in row.__table__.columns}
        db.execute(insert(type(row)).values(columns).on_conflict_do_nothing(index_elements=keys))

    def _artifact(self, db: DatabaseSession, row: ArtifactRow) -> Artifact:
        query = (
            select(ArtifactRow.kind, ArtifactRow.id)
            .join(ParentRow, ParentRow.parent_id == ArtifactRow.id)
            .where(ParentRow.child_id == row.id)
            .order_by(ParentRow.position)
        )
        fields = [f for f in Artifact.model_fields if f not in {"ref", "parents"}]
        return Artifact(
            ref=ArtifactRef(kind=row.kind, id=row.id),
            parents=tuple(ArtifactRef(kind=kind, id=id_) for kind, id_ in db.execute(query)),
            **{field: getattr(row, field) for field in fields},
        )


def _end_run(db: DatabaseSession, run_id: str, state: RunState, reason: str) -> None:
    db.execute(
        update(RunRow)
        .where(RunRow.id == run_id)
        .values(state=state.value, reason=reason, ended=now())
    )
