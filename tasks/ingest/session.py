"""Who was recorded, and when, as an NWB file tells it."""

from datetime import UTC, datetime
from typing import Any

from schemas.entities import Session, Subject
from tasks.ingest.objects import Container, ReadContext


def read_session(nwbfile: Container, context: ReadContext) -> Session:
    """Return the session of an NWB file; what is missing is "" and a finding."""
    subject = nwbfile.subject
    if subject is None or not _text(subject, "subject_id"):
        context.note(
            "no_subject",
            "warning",
            "The file does not say which animal was recorded.",
            "general/subject",
            "Give it a subject_id; sessions of unnamed animals cannot be told apart by animal.",
        )
    return Session(
        subject=Subject(**{name: _text(subject, name) for name in Subject.model_fields}),
        session_id=_text(nwbfile, "session_id"),
        start_time=_aware(nwbfile.session_start_time, context),
        description=_text(nwbfile, "session_description"),
    )


def session_attrs(session: Session, nwbfile: Container) -> dict[str, str]:
    """Return the root attributes of a tree of streams."""
    reference = nwbfile.timestamps_reference_time or nwbfile.session_start_time
    subject = session.subject
    return {
        "session_key": session.key,
        "session_name": session.name,
        "session_id": session.session_id,
        "session_start_time": session.start_time.isoformat(),
        "timestamps_reference_time": reference.isoformat(),
        "description": session.description,
        "subject_id": subject.subject_id,
        "species": subject.species,
        "sex": subject.sex,
        "age": subject.age,
        "genotype": subject.genotype,
        "subject_description": subject.description,
        "institution": _text(nwbfile, "institution"),
        "lab": _text(nwbfile, "lab"),
        "identifier": _text(nwbfile, "identifier"),
    }


def _text(holder: Any, name: str) -> str:
    value = getattr(holder, name, None)
    text = "" if value is None else str(value).strip()
    # Bytes that are no text, and terminal codes, would break databases and screens.
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


def _aware(start: datetime, context: ReadContext) -> datetime:
    if start.tzinfo is not None:
        return start
    context.note(
        "naive_start_time",
        "warning",
        f"The start time {start.isoformat()} has no time zone; UTC is assumed.",
        "session_start_time",
    )
    return start.replace(tzinfo=UTC)
