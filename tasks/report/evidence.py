"""All that a page is written from: artifacts, quality figures, runs, how stages ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import networkx as nx
import xarray as xr

from schemas.entities import ArtifactRef, QCMetric, RunState, Session, StageOutcome
from tasks.common.catalogue import Catalogue
from tasks.common.lake import Lake
from tasks.common.lineage import ArtifactStory, Lineage, trace_lineage

STAGES = ("simulate", "ingest", "preprocess", "sync", "align", "causal", "twin", "lnm")
STAGE_OF_KIND = {
    "simulation": "simulate",
    "recording": "ingest",
    "streams": "ingest",
    "preprocessed": "preprocess",
    "sync": "sync",
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
    lineage : the page's own artifact and all that it was made from
    """

    session: Session | None = None
    session_name: str = ""
    recording: Mapping[str, Any] = field(default_factory=dict)
    trees: Mapping[str, xr.DataTree] = field(default_factory=dict)
    endings: tuple[Ending, ...] = ()
    lineage: Lineage | None = None

    @property
    def stories(self) -> tuple[ArtifactStory, ...]:
        """Every artifact below the page, parents before children."""
        return sources(self.lineage) if self.lineage is not None else ()

    @property
    def metrics(self) -> tuple[tuple[str, QCMetric], ...]:
        """All quality figures with the stage that recorded them."""
        return tuple(
            (stage_of(story), metric) for story in self.stories for metric in story.metrics
        )

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
    ref: ArtifactRef,
    parents: tuple[ArtifactRef, ...],
    outcomes: tuple[StageOutcome, ...],
) -> Evidence:
    """Read what the page `ref` needs; arrays stay lazy.

    Raises
    ------
    NotFoundError
        A parent is not in the catalogue.
    """
    by_kind = {parent.kind: parent for parent in parents}
    lineage = trace_page(catalogue, ref, parents)
    artifacts = catalogue.find_all(parent.id for parent in parents)
    key = next((artifact.session_key for artifact in artifacts if artifact.session_key), None)
    by_kind.pop("recording", None)
    # By lineage: a flow hands on what stages returned, and ingest returns the streams.
    recording = next((s.ref for s in sources(lineage) if s.ref.kind == "recording"), None)
    return Evidence(
        session=catalogue.session(key) if key else None,
        session_name=catalogue.session_name(key) if key else "",
        recording=lake.read_json(recording, "recording.json") if recording else {},
        trees={kind: lake.open_tree(parent) for kind, parent in by_kind.items()},
        endings=tell_endings(sources(lineage), outcomes),
        lineage=lineage,
    )


def trace_page(catalogue: Catalogue, ref: ArtifactRef, parents: tuple[ArtifactRef, ...]) -> Lineage:
    """Return the lineage of a page that is being written, so not in the catalogue itself."""
    graph: nx.DiGraph[ArtifactRef] = nx.DiGraph()
    for parent in parents:
        graph = nx.compose(graph, trace_lineage(catalogue, parent).graph)
    graph.add_node(ref, story=ArtifactStory(ref=ref, stage="report", key_figure="this page"))
    graph.add_edges_from((parent, ref) for parent in parents)
    return Lineage(ref, graph)


def sources(lineage: Lineage) -> tuple[ArtifactStory, ...]:
    """Return every artifact of a lineage but its target, parents before children."""
    return tuple(story for story in lineage.stories() if story.ref != lineage.target)


def tell_endings(
    stories: tuple[ArtifactStory, ...], outcomes: tuple[StageOutcome, ...]
) -> tuple[Ending, ...]:
    """Say how each stage ended: from the catalogue where it made something, else its outcome.

    Outcomes also tell seconds and whether an artifact was reused, but of this invocation only:
    the same page would come out differently each time.
    """
    sitting = start_of_sitting(stories)
    # Of two artifacts of one stage the later story counts: ingest makes recording, then streams.
    endings = {stage_of(story): _made_ending(story, sitting) for story in stories if story.listed}
    for outcome in outcomes:
        if outcome.stage not in endings and outcome.stage != "report":
            endings[outcome.stage] = Ending(outcome.stage, outcome.state, reason=outcome.reason)
    known = [endings[stage] for stage in STAGES if stage in endings]
    return (*known, *(e for stage, e in endings.items() if stage not in STAGES))


def stage_of(story: ArtifactStory) -> str:
    """Return the stage that a reader knows an artifact by: one package may make two."""
    return STAGE_OF_KIND.get(story.ref.kind, story.stage)


def _made_ending(story: ArtifactStory, sitting: datetime | None) -> Ending:
    return Ending(
        stage_of(story),
        RunState.COMPLETE,
        key_figure=story.key_figure,
        made=story.ended,
        seconds=story.seconds,
        earlier=bool(story.ended and sitting and story.ended < sitting),
    )


def start_of_sitting(stories: tuple[ArtifactStory, ...]) -> datetime | None:
    """Return when the newest uninterrupted series of runs began.

    Stages of one flow follow each other at once, so a run that ended well before the next one
    began belongs to an earlier flow.
    """
    runs = sorted(((s.ended, s.started) for s in stories if s.ended and s.started), reverse=True)
    start: datetime | None = None
    for ended, started in runs:
        if start is not None and ended < start - SAME_SITTING:
            break
        start = started if start is None else min(start, started)
    return start
