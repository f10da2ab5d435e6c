"""Who was recorded, what was made from it, and by which run."""

import hashlib
import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

StreamKind = Literal[
    "spikes", "calcium", "lfp",
    "eye", "pose", "video", "audio", "motion",
    "events", "intervals", "signal",
]  # fmt: skip
"""What a stream holds. `signal` is a continuous series whose meaning the file does not tell."""

Severity = Literal["info", "warning", "error"]

NEURAL_KINDS: frozenset[StreamKind] = frozenset({"spikes", "calcium", "lfp"})
BEHAVIOUR_KINDS: frozenset[StreamKind] = frozenset({"eye", "pose", "video", "audio", "motion"})
TABLE_KINDS: frozenset[StreamKind] = frozenset({"events", "intervals"})


class Entity(BaseModel):
    """A frozen record that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Subject(Entity):
    """The animal."""

    subject_id: str
    species: str = ""
    sex: str = ""
    age: str = Field(default="", description="ISO 8601 duration, as NWB writes it")
    genotype: str = ""
    description: str = ""


class Session(Entity):
    """One visit of a subject: subject, session id and start time, never a file name."""

    subject: Subject
    session_id: str
    start_time: AwareDatetime
    description: str = ""

    @property
    def key(self) -> str:
        """Stable identity, 16 hexadecimal digits."""
        start = self.start_time.astimezone(UTC).isoformat()
        text = "\x1f".join((self.subject.subject_id, self.session_id, start))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def name(self) -> str:
        """A readable name for file paths and `tectum:NAME/aligned`; not an identity."""
        parts = [self.subject.subject_id, self.session_id or f"{self.start_time:%Y%m%d}"]
        name = re.sub(r"[^A-Za-z0-9.-]+", "-", "_".join(p for p in parts if p)).strip("-.")
        return name or "session"


class ArtifactRef(Entity):
    """What tasks pass to each other in place of arrays."""

    kind: str = Field(pattern=r"^[a-z][a-z_]*$")
    id: str = Field(pattern=r"^[0-9a-f]{32}$")

    def __str__(self) -> str:
        return f"{self.kind}/{self.id[:12]}"


class RunState(StrEnum):
    """The states of a ProcessRun."""

    WAITING = "Waiting"
    RUNNING = "Running"
    COMPLETE = "Complete"
    INCOMPLETE = "Incomplete"
    EMPTY = "Empty"
    FAILED = "Failed"


class ProcessRun(Entity):
    """One execution of a stage, for one artifact."""

    id: str
    stage: str
    artifact_id: str
    session_key: str | None
    state: RunState = RunState.RUNNING
    reason: str = ""
    started: AwareDatetime
    ended: AwareDatetime | None = None
    environment_hash: str
    flow_run: str = Field(default="", description="name or id of the Prefect flow run")


class QCMetric(Entity):
    """One measured quality of an artifact, with the bar it was held to; NaN if not measurable."""

    # As text: JSON has no NaN, and null would not come back as a number.
    model_config = ConfigDict(ser_json_inf_nan="strings")

    name: str
    value: float
    threshold: float | None = None
    verdict: Literal["pass", "warn", "fail", "info"] = "info"
    note: str = ""


class Finding(Entity):
    """Something noticed about a recording: what, where, how bad, what to do."""

    code: str = Field(pattern=r"^[a-z][a-z_]*$")
    severity: Severity
    what: str
    where: str = Field(description="object path in the file, several parted by commas")
    remedy: str = Field(default="", description="what the reader can do about it")
    sample: int | None = Field(default=None, description="row of the first sample concerned")
    time_s: float | None = Field(
        default=None, allow_inf_nan=False, description="when that sample was, if it has a time"
    )
    value: str = Field(default="", description="the value that is odd, as text")
    repair: str = Field(
        default="", description="what ingest does about it in the lake; the raw file stays as it is"
    )

    def place(self) -> str:
        """Return object, sample, time and value: "acquisition/x, sample 1,200 at 12 s: nan"."""
        parts = [self.where]
        if self.sample is not None:
            at = "" if self.time_s is None else f" at {self.time_s:.10g} s"
            parts.append(f"sample {self.sample:,}{at}")
        return ", ".join(parts) + (f": {self.value}" if self.value else "")


class Artifact(Entity):
    """An immutable result in the lake, as its catalogue row tells it."""

    ref: ArtifactRef
    stage: str
    session_key: str | None
    uri: str
    digest: str
    bytes: int
    created: AwareDatetime
    fingerprint: str
    param_hash: str
    parents: tuple[ArtifactRef, ...]
    key_figure: str = ""
    run_id: str


class StageOutcome(Entity):
    """How a stage ended for one session; what flows collect and print."""

    stage: str
    state: RunState
    ref: ArtifactRef | None = None
    reused: bool = False
    seconds: float = 0.0
    key_figure: str = ""
    reason: str = Field(default="", description="why the stage ended Empty or Failed")


def now() -> datetime:
    """Return the present, aware and in UTC."""
    return datetime.now(UTC)
