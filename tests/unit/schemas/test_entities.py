"""Identities of sessions and artifacts."""

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from schemas.entities import ArtifactRef, QCMetric, Session, Subject, now

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def session(start: datetime = NOON, **changes: str) -> Session:
    """Return a session."""
    known = {"subject_id": "fly80", "session_id": "s1", **changes}
    return Session(
        subject=Subject(subject_id=known["subject_id"], species=known.get("species", "")),
        session_id=known["session_id"],
        start_time=start,
    )


def test_a_session_is_its_subject_id_and_start_in_any_time_zone() -> None:
    tokyo = NOON.astimezone(timezone(timedelta(hours=9)))
    assert session().key == session(tokyo).key == session(species="fly").key
    others = {
        session(NOON + timedelta(microseconds=1)).key,
        session(session_id="s2").key,
        session(subject_id="fly81").key,
        session(subject_id="fly80s", session_id="1").key,
    }
    assert len(others | {session().key}) == 5
    with pytest.raises(ValidationError):
        session(datetime(2026, 3, 1))  # noqa: DTZ001 - a naive time is what is refused


@pytest.mark.parametrize(
    ("subject", "id_", "expected"),
    [
        ("fly80", "s1", "fly80-s1"),
        ("fly 80/../x", "", "fly-80-..-x-20260301"),
        ("Maus.1", "Tag 3", "Maus.1-Tag-3"),
    ],
)
def test_a_sessions_name_is_safe_in_a_path(subject: str, id_: str, expected: str) -> None:
    name = session(subject_id=subject, session_id=id_).name
    assert name == expected
    assert "/" not in name


@pytest.mark.parametrize(("kind", "id_"), [("../x", "0" * 32), ("aligned", "../x"), ("", "")])
def test_a_ref_cannot_leave_the_lake(kind: str, id_: str) -> None:
    with pytest.raises(ValidationError):
        ArtifactRef(kind=kind, id=id_)


def test_a_metric_may_be_not_a_number_and_survives_json() -> None:
    metric = QCMetric(name="skill", value=math.nan, threshold=math.inf)
    back = QCMetric.model_validate_json(metric.model_dump_json())
    assert math.isnan(back.value)
    assert back.threshold == math.inf


def test_now_is_aware() -> None:
    assert now().tzinfo is UTC
