"""How stages ended is told from the catalogue, so the page does not depend on the invocation."""

from datetime import UTC, datetime, timedelta

from schemas.entities import ArtifactRef, RunState, StageOutcome
from tasks.common.lineage import ArtifactStory
from tasks.report.evidence import Evidence, start_of_sitting, tell_endings
from tasks.report.task import describe_identity

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def story(stage: str, started_min: float, seconds: float = 30) -> ArtifactStory:
    started = NOON + timedelta(minutes=started_min)
    return ArtifactStory(
        ref=ArtifactRef(kind=stage, id="0" * 32),
        stage=stage,
        key_figure=f"made by {stage}",
        started=started,
        ended=started + timedelta(seconds=seconds),
    )


def outcome(stage: str, state: RunState, reason: str = "", **more: object) -> StageOutcome:
    return StageOutcome(stage=stage, state=state, reason=reason, **more)  # type: ignore[arg-type]


def test_endings_come_from_the_catalogue_then_from_outcomes() -> None:
    stories = (story("ingest", 0), story("align", 1))
    outcomes = (
        outcome("align", RunState.COMPLETE, seconds=99.0, reused=True),
        outcome("twin", RunState.EMPTY, "no behaviour."),
        outcome("causal", RunState.FAILED, "out of memory."),
    )
    endings = tell_endings(stories, outcomes)
    assert [e.stage for e in endings] == ["ingest", "align", "causal", "twin"]
    assert [e.seconds for e in endings] == [30, 30, None, None]
    assert not any(e.earlier for e in endings)
    evidence = Evidence(endings=endings)
    assert evidence.why_missing("twin").endswith("had nothing to work on: no behaviour.")
    assert evidence.why_missing("causal").endswith("failed: out of memory.")
    assert evidence.why_missing("lnm") == "The stage 'lnm' has not been run for this session."


def test_a_stage_made_in_an_earlier_sitting_was_reused() -> None:
    stories = (story("ingest", -600), story("align", 0), story("causal", 1))
    assert start_of_sitting(stories) == NOON
    assert [e.earlier for e in tell_endings(stories, ())] == [True, False, False]


def test_only_reasons_for_no_result_are_part_of_the_identity() -> None:
    ref = ArtifactRef(kind="lnm", id="1" * 32)
    made = outcome("lnm", RunState.COMPLETE, ref=ref, seconds=1.0)
    again = outcome("lnm", RunState.COMPLETE, ref=ref, seconds=2.0, reused=True)
    assert describe_identity((made,)) == describe_identity((again,)) == ""
    empty = outcome("twin", RunState.EMPTY, "why")
    assert describe_identity((made, empty)) != describe_identity((made,))
    assert describe_identity((empty,)) != describe_identity(
        (outcome("twin", RunState.EMPTY, "other"),)
    )
