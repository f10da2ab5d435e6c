"""The catalogue's artifacts: their parents, settings, quality figures and relatives."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import batched
from typing import Any

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import Session as DatabaseSession

from schemas.entities import Artifact, ArtifactRef, QCMetric, RunState, now
from schemas.errors import NotFoundError
from schemas.settings.base import ParamSet
from tasks.common.run_rows import end_run
from tasks.common.tables import ArtifactRow, MetricRow, ParamSetRow, ParentRow, RecordingFileRow
from tasks.common.transactions import Transactions

IDS_A_QUERY = 500
OWN_COLUMNS = tuple(field for field in Artifact.model_fields if field not in {"ref", "parents"})


class ArtifactRows(Transactions):
    """Reads and writes artifacts; an artifact exists when its row does."""

    def find(self, artifact_id: str) -> Artifact | None:
        """Return an artifact by its full id, None if there is no such row."""
        found = self.find_all([artifact_id])
        return found[0] if found else None

    def find_all(self, artifact_ids: Iterable[str]) -> list[Artifact]:
        """Return those of these artifacts (full ids) that there are, oldest first."""
        with self._reading() as db:
            rows = [
                row
                for ids in batched(sorted(set(artifact_ids)), IDS_A_QUERY)
                for row in db.scalars(select(ArtifactRow).where(ArtifactRow.id.in_(ids)))
            ]
            return _with_parents(db, sorted(rows, key=lambda row: (row.created, row.id)))

    def get(self, text: str) -> Artifact:
        """Return the one artifact that an id, its start, or `kind/start` means."""
        kind, _, start = text.rpartition("/")
        query = select(ArtifactRow).where(ArtifactRow.id.startswith(start, autoescape=True))
        if kind:
            query = query.where(ArtifactRow.kind == kind)
        with self._reading() as db:
            rows = db.scalars(query.limit(5)).all()
            if len(rows) == 1:
                return _with_parents(db, rows)[0]
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
            rows = db.scalars(query.limit(1)).all()
            if not rows:
                raise NotFoundError(
                    f"session {session_key} has no '{kind}' artifact.",
                    remedy="Run 'tectum run' on its recording first.",
                )
            return _with_parents(db, rows)[0]

    def artifacts(self) -> list[Artifact]:
        """Return every artifact, oldest first."""
        with self._reading() as db:
            query = select(ArtifactRow).order_by(ArtifactRow.created, ArtifactRow.id)
            return _with_parents(db, db.scalars(query).all())

    def commit_artifact(
        self,
        artifact: Artifact,
        facts: dict[str, Any],
        metrics: Iterable[QCMetric],
        param_set: ParamSet,
    ) -> None:
        """Insert an artifact's row and all that belongs to it in one transaction: the commit."""
        id_ = artifact.ref.id
        with self._writing() as db:
            self._insert_new(db, ParamSetRow(**param_set.model_dump()))
            own = {column: getattr(artifact, column) for column in OWN_COLUMNS}
            db.add(ArtifactRow(id=id_, kind=artifact.ref.kind, facts=facts, **own))
            db.flush()
            db.add_all(
                ParentRow(child_id=id_, position=i, parent_id=parent.id, parent_kind=parent.kind)
                for i, parent in enumerate(artifact.parents)
            )
            # One by one: the order of their ids is the order they were recorded in.
            for metric in metrics:
                db.add(MetricRow(artifact_id=id_, recorded=now(), **metric.model_dump()))
                db.flush()
            end_run(db, artifact.run_id, RunState.COMPLETE, "")

    def forget(self, artifact_id: str) -> None:
        """Delete an artifact's row, its data being gone or damaged.

        Its runs stay on record, and what was made from it still names it as a parent: made
        again, it has the same id.
        """
        with self._writing() as db:
            db.execute(delete(MetricRow).where(MetricRow.artifact_id == artifact_id))
            db.execute(delete(ParentRow).where(ParentRow.child_id == artifact_id))
            db.execute(delete(RecordingFileRow).where(RecordingFileRow.recording_id == artifact_id))
            db.execute(delete(ArtifactRow).where(ArtifactRow.id == artifact_id))

    def children(self, artifact_id: str) -> list[ArtifactRef]:
        """Return the artifacts made directly from this one."""
        query = (
            select(ArtifactRow.kind, ArtifactRow.id)
            .join(ParentRow, ParentRow.child_id == ArtifactRow.id)
            .where(ParentRow.parent_id == artifact_id)
            .order_by(ArtifactRow.created, ArtifactRow.id)
        )
        with self._reading() as db:
            return [ArtifactRef(kind=kind, id=id_) for kind, id_ in db.execute(query)]

    def ancestry(self, artifact_id: str) -> list[tuple[ArtifactRef, ArtifactRef]]:
        """Return (parent, child) for every step from the raw recordings to this artifact."""
        steps = select(ParentRow.child_id, ParentRow.parent_id).where(
            ParentRow.child_id == artifact_id
        )
        found = steps.cte("steps", recursive=True)
        further = select(ParentRow.child_id, ParentRow.parent_id)
        found = found.union(further.join(found, ParentRow.child_id == found.c.parent_id))
        return self._steps(select(found.c.child_id, found.c.parent_id))

    def progeny(self, artifact_id: str) -> list[tuple[ArtifactRef, ArtifactRef]]:
        """Return (parent, child) for every step from this artifact to all made from it."""
        steps = select(ParentRow.child_id, ParentRow.parent_id).where(
            ParentRow.parent_id == artifact_id
        )
        found = steps.cte("steps", recursive=True)
        further = select(ParentRow.child_id, ParentRow.parent_id)
        found = found.union(further.join(found, ParentRow.parent_id == found.c.child_id))
        return self._steps(select(found.c.child_id, found.c.parent_id))

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

    def _steps(self, pairs: Select[tuple[str, str]]) -> list[tuple[ArtifactRef, ArtifactRef]]:
        """Return (child id, parent id) pairs as (parent, child) refs, in a stable order."""
        found = pairs.subquery()
        query = (
            select(ParentRow.parent_kind, ParentRow.parent_id, ArtifactRow.kind, ArtifactRow.id)
            .join(ArtifactRow, ArtifactRow.id == ParentRow.child_id)
            .join(
                found,
                (found.c.child_id == ParentRow.child_id)
                & (found.c.parent_id == ParentRow.parent_id),
            )
            .order_by(ArtifactRow.created, ArtifactRow.id, ParentRow.position)
        )
        with self._reading() as db:
            return [
                (ArtifactRef(kind=row[0], id=row[1]), ArtifactRef(kind=row[2], id=row[3]))
                for row in db.execute(query)
            ]


def _with_parents(db: DatabaseSession, rows: Sequence[ArtifactRow]) -> list[Artifact]:
    """Return rows as artifacts; one more query for the parents of all of them."""
    parents: dict[str, list[ArtifactRef]] = defaultdict(list)
    for ids in batched((row.id for row in rows), IDS_A_QUERY):
        query = select(ParentRow).where(ParentRow.child_id.in_(ids)).order_by(ParentRow.position)
        for parent in db.scalars(query):
            ref = ArtifactRef(kind=parent.parent_kind, id=parent.parent_id)
            parents[parent.child_id].append(ref)
    return [
        Artifact(
            ref=ArtifactRef(kind=row.kind, id=row.id),
            parents=tuple(parents[row.id]),
            **{column: getattr(row, column) for column in OWN_COLUMNS},
        )
        for row in rows
    ]
