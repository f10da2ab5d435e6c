"""The catalogue's runs: which stage ran when, where, and how it ended."""

from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session as DatabaseSession

from schemas.entities import ProcessRun, RunState, now
from schemas.errors import NotFoundError
from tasks.common.tables import EnvironmentRow, RunRow
from tasks.common.transactions import Transactions

DIED = "The process ended before it could say how."


class RunRows(Transactions):
    """Reads and writes runs."""

    def start_run(self, run: ProcessRun, environment: dict[str, Any]) -> None:
        """Record that a stage has begun, on which machine and with which packages.

        Whoever starts a run holds the lock of its artifact, so an earlier run of the same
        artifact that still counts as running has died: it becomes Incomplete.
        """
        with self._writing() as db:
            self._insert_new(db, EnvironmentRow(hash=run.environment_hash, values=environment))
            self._insert_new(db, RunRow(**{**run.model_dump(), "state": run.state.value}))
            db.execute(
                update(RunRow)
                .where(RunRow.artifact_id == run.artifact_id, RunRow.id != run.id)
                .where(RunRow.state == RunState.RUNNING.value)
                .values(state=RunState.INCOMPLETE.value, reason=DIED, ended=now())
            )

    def end_run(self, run_id: str, state: RunState, reason: str = "") -> None:
        """Record how a stage ended."""
        with self._writing() as db:
            end_run(db, run_id, state, reason)

    def run(self, run_id: str) -> dict[str, Any]:
        """Return a run with its environment, as plain values."""
        with self._reading() as db:
            row = db.get(RunRow, run_id)
            if row is None:
                raise NotFoundError(f"no run '{run_id}'.", where=self.where)
            environment = db.get_one(EnvironmentRow, row.environment_hash)
            values = {column.key: getattr(row, column.key) for column in RunRow.__table__.columns}
            return {**values, "environment": environment.values}

    def runs_in(self, state: RunState) -> list[tuple[str, str]]:
        """Return (run id, artifact id) of the runs in a state, oldest first."""
        query = select(RunRow.id, RunRow.artifact_id).where(RunRow.state == state.value)
        with self._reading() as db:
            ordered = query.order_by(RunRow.started, RunRow.id)
            return [(run, artifact) for run, artifact in db.execute(ordered)]

    def empty_reason(self, artifact_id: str) -> str | None:
        """Return why an earlier run for this very artifact ended Empty, None if none did."""
        query = (
            select(RunRow.reason)
            .where(RunRow.artifact_id == artifact_id, RunRow.state == RunState.EMPTY.value)
            .order_by(RunRow.started.desc())
        )
        with self._reading() as db:
            return db.scalars(query.limit(1)).first()


def end_run(db: DatabaseSession, run_id: str, state: RunState, reason: str) -> None:
    """Write how a run ended, within a transaction."""
    db.execute(
        update(RunRow)
        .where(RunRow.id == run_id)
        .values(state=state.value, reason=reason, ended=now())
    )
