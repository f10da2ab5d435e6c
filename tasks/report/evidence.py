"""All that a page is written from: artifacts, quality figures, runs, how stages ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import xarray as xr

from schemas.entities import Artifact, ArtifactRef, QCMetric, RunState, Session, StageOutcome
from schemas.errors import NotFoundError
from schemas.settings.base import ParamSet
from tasks.common.catalogue import Catalogue
from tasks.common.lake import Lake

STAGES = ("simulate", "ingest", "preprocess", "align", "causal", "twin", "lnm")
STAGE_OF_KIND = {
    "simulation": "simulate",
    "recording": "ingest",
    "streams": "ingest",
    "preprocessed": "preprocess",
    "aligned": "align",
    "causal": "causal",
    "twin": "twin",
    "lnm": "lnm",
}
SAME_SITTING = timedelta(minutes=5)


@dataclass(frozen=True)
class Ending:
    """How a stage ended for this session.

    made : when the run that made its artifact ended
    seconds : how long that run took, by the catalogue
    earlier : whether it was made in an earlier sitting than the newest artifact, then reused
    """

    stage: str
    state: RunState
    key_figure: str = ""
    reason: str = ""
    made: datetime | None = None
    seconds: float | None = None
    earlier: bool = False


@dataclass(frozen=True)
class Evidence:
    """What the sections are written from.

    recording : the file recording.json, empty if the artifact is not there
    trees : lazy trees by artifact kind
    metrics : quality figures by stage, in the order of the stages
    artifacts : the report's parents and all that they were made from, raw first
    runs, facts, param_sets : by artifact id
    """

    session: Session | None = None
    session_name: str = ""
    recording: Mapping[str, Any] = field(default_factory=dict)
    trees: Mapping[str, xr.DataTree] = field(default_factory=dict)
    metrics: tuple[tuple[str, QCMetric], ...] = ()
    endings: tuple[Ending, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    runs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    param_sets: Mapping[str, ParamSet] = field(default_factory=dict)

    def why_missing(self, kind: str) -> str:
        """Return why there is no artifact of a kind, in a sentence."""
        stage = STAGE_OF_KIND[kind]
        ending = next((e for e in self.endings if e.stage == stage), None)
        if ending is None or not ending.reason:
            return f"The stage '{stage}' has not been run for this session."
        verb = "failed" if ending.state is RunState.FAILED else "had nothing to work on"
        return f"The stage '{stage}' {verb}: {ending.reason}"


def gather_evidence(
    lake: Lake,
    catalogue: Catalogue,
    parents: tuple[ArtifactRef, ...],
    outcomes: tuple[StageOutcome, ...],
) -> Evidence:
    """Read what the page needs; arrays stay lazy."""
    artifacts = trace_origins(catalogue, parents)
    by_kind = {parent.kind: parent for parent in parents}
    runs = {a.ref.id: catalogue.run(a.run_id) for a in artifacts}
    key = next((a.session_key for a in artifacts if a.session_key), None)
    recording = by_kind.get("recording")
    return Evidence(
        session=catalogue.session(key) if key else None,
        session_name=catalogue.session_name(key) if key else "",
        recording=lake.read_json(recording, "recording.json") if recording else {},
        trees=open_trees(lake, by_kind),
        metrics=tuple(
            (a.stage, metric) for a in artifacts for metric in catalogue.metrics(a.ref.id)
        ),
        endings=tell_endings(artifacts, runs, outcomes),
        artifacts=artifacts,
        runs=runs,
        facts={a.ref.id: catalogue.facts(a.ref.id) for a in artifacts},
        param_sets={a.ref.id: catalogue.param_set(a.stage, a.param_hash) for a in artifacts},
    )


def trace_origins(catalogue: Catalogue, parents: tuple[ArtifactRef, ...]) -> tuple[Artifact, ...]:
    """Return the parents and everything they come from, each after what it was made from."""
    found: dict[str, Artifact] = {}
    ordered: list[Artifact] = []

    def visit(ref: ArtifactRef) -> None:
        if ref.id in found:
            return
        artifact = catalogue.find(ref.id)
        if artifact is None:
            raise NotFoundError(f"no artifact {ref}.", remedy="Run the flow again to remake it.")
        found[ref.id] = artifact
        for parent in artifact.parents:
            visit(parent)
        ordered.append(artifact)

    for ref in parents:
        visit(ref)
    return tuple(ordered)


def open_trees(lake: Lake, by_kind: Mapping[str, ArtifactRef]) -> dict[str, xr.DataTree]:
    """Open the tree of every artifact that has one."""
    trees = {}
    for kind, ref in by_kind.items():
        if kind != "recording":
            trees[kind] = lake.open_tree(ref)
    return trees


def tell_endings(
    artifacts: tuple[Artifact, ...],
    runs: Mapping[str, Mapping[str, Any]],
    outcomes: tuple[StageOutcome, ...],
) -> tuple[Ending, ...]:
    """Say how each stage ended: from the catalogue where it made something, else its outcome.

    Outcomes also tell seconds and whether an artifact was reused, but of this invocation only:
    the same page would come out differently each time.
    """
    made = {a.stage: a for a in artifacts}
    sitting = start_of_sitting([run for a in artifacts if (run := runs.get(a.ref.id))])
    endings = {stage: _made_ending(a, runs[a.ref.id], sitting) for stage, a in made.items()}
    for outcome in outcomes:
        if outcome.stage not in endings and outcome.stage != "report":
            endings[outcome.stage] = Ending(outcome.stage, outcome.state, reason=outcome.reason)
    known = [endings[stage] for stage in STAGES if stage in endings]
    return (*known, *(e for stage, e in endings.items() if stage not in STAGES))


def _made_ending(artifact: Artifact, run: Mapping[str, Any], sitting: datetime | None) -> Ending:
    ended = run["ended"]
    return Ending(
        artifact.stage,
        RunState.COMPLETE,
        key_figure=artifact.key_figure,
        made=ended,
        seconds=(ended - run["started"]).total_seconds() if ended else None,
        earlier=bool(ended and sitting and ended < sitting),
    )


def start_of_sitting(runs: list[Mapping[str, Any]]) -> datetime | None:
    """Return when the newest uninterrupted series of runs began.

    Stages of one flow follow each other at once, so a run that ended well before the next one
    began belongs to an earlier flow.
    """
    done = sorted((r for r in runs if r["ended"]), key=lambda run: run["ended"], reverse=True)
    start: datetime | None = None
    for run in done:
        if start is not None and run["ended"] < start - SAME_SITTING:
            break
        start = run["started"] if start is None else min(start, run["started"])
    return start


def describe_identity(outcomes: tuple[StageOutcome, ...]) -> str:
    """Return what of the outcomes the page depends on: which stages made nothing, and why."""
    return "\x1f".join(
        f"{o.stage}\x1e{o.state.value}\x1e{o.reason}"
        for o in outcomes
        if o.ref is None and o.stage != "report"
    )
