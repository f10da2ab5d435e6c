"""The catalogue's tables, the same on SQLite and PostgreSQL."""

import math
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    MetaData,
    TypeDecorator,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMING = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time: SQLite would hand it back without its zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store in UTC."""
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class FloatOrNan(TypeDecorator[float]):
    """A number that may be NaN, kept as NULL: SQLite cannot tell the two apart."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:
        """Store NaN as NULL."""
        return None if value is None or math.isnan(value) else value

    def process_result_value(self, value: float | None, dialect: Dialect) -> float:
        """Return NULL as NaN."""
        return math.nan if value is None else value


class Table(DeclarativeBase):
    """Base of all tables; constraint names are fixed so that migrations can name them."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads this attribute
        dict[str, Any]: JSON,
        datetime: UtcDateTime(),
    }


class SubjectRow(Table):
    """An animal."""

    __tablename__ = "subject"
    subject_id: Mapped[str] = mapped_column(primary_key=True)
    species: Mapped[str]
    sex: Mapped[str]
    age: Mapped[str]
    genotype: Mapped[str]
    description: Mapped[str]


class SessionRow(Table):
    """One visit of an animal."""

    __tablename__ = "session"
    key: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    subject_id: Mapped[str] = mapped_column(ForeignKey("subject.subject_id"), index=True)
    session_id: Mapped[str]
    start_time: Mapped[datetime]
    description: Mapped[str]


class ParamSetRow(Table):
    """The settings of a stage that decide its result."""

    __tablename__ = "param_set"
    stage: Mapped[str] = mapped_column(primary_key=True)
    hash: Mapped[str] = mapped_column(primary_key=True)
    values: Mapped[dict[str, Any]]


class EnvironmentRow(Table):
    """A machine and the packages installed on it."""

    __tablename__ = "environment"
    hash: Mapped[str] = mapped_column(primary_key=True)
    values: Mapped[dict[str, Any]]


class RunRow(Table):
    """One execution of a stage."""

    __tablename__ = "process_run"
    id: Mapped[str] = mapped_column(primary_key=True)
    stage: Mapped[str]
    artifact_id: Mapped[str] = mapped_column(index=True)
    session_key: Mapped[str | None] = mapped_column(ForeignKey("session.key"))
    state: Mapped[str] = mapped_column(index=True)
    reason: Mapped[str]
    started: Mapped[datetime]
    ended: Mapped[datetime | None]
    environment_hash: Mapped[str] = mapped_column(ForeignKey("environment.hash"))
    flow_run: Mapped[str]


class ArtifactRow(Table):
    """An artifact; it exists when this row does."""

    __tablename__ = "artifact"
    __table_args__ = (
        ForeignKeyConstraint(["stage", "param_hash"], ["param_set.stage", "param_set.hash"]),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(index=True)
    stage: Mapped[str]
    param_hash: Mapped[str]
    fingerprint: Mapped[str]
    session_key: Mapped[str | None] = mapped_column(ForeignKey("session.key"), index=True)
    uri: Mapped[str]
    digest: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger)
    created: Mapped[datetime] = mapped_column(index=True)
    key_figure: Mapped[str]
    facts: Mapped[dict[str, Any]]
    run_id: Mapped[str] = mapped_column(ForeignKey("process_run.id"))


class ParentRow(Table):
    """An artifact was made from another."""

    __tablename__ = "artifact_parent"
    child_id: Mapped[str] = mapped_column(ForeignKey("artifact.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    # No foreign key: a parent whose data was lost is forgotten until it is made again, under the
    # same id; what was made from it stays and still names it.
    parent_id: Mapped[str] = mapped_column(index=True)
    parent_kind: Mapped[str]


class MetricRow(Table):
    """A quality figure of an artifact; never overwritten, so the history stays."""

    __tablename__ = "qc_metric"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    artifact_id: Mapped[str] = mapped_column(ForeignKey("artifact.id"), index=True)
    name: Mapped[str]
    value: Mapped[float] = mapped_column(FloatOrNan, nullable=True)
    threshold: Mapped[float | None] = mapped_column(Double)
    verdict: Mapped[str]
    note: Mapped[str]
    recorded: Mapped[datetime]


class RecordingFileRow(Table):
    """A file that was ingested: where it was, what its bytes were, which recording it holds."""

    __tablename__ = "recording_file"
    path: Mapped[str] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    byte_sha256: Mapped[str] = mapped_column(index=True)
    recording_id: Mapped[str] = mapped_column(ForeignKey("artifact.id"))
    seen: Mapped[datetime]


class QuarantineRow(Table):
    """A file that could not be ingested, and why."""

    __tablename__ = "quarantine"
    byte_sha256: Mapped[str] = mapped_column(primary_key=True)
    path: Mapped[str]
    reason: Mapped[dict[str, Any]]
    created: Mapped[datetime]
