"""The stages of one session in order: what each needs, and what happens when one cannot run.

The same chain runs inside a Prefect flow, where every stage is a task run (flows/prefect_tasks.py),
and from the command line without any server: only the way in which a stage is called differs.
"""

import logging
from collections.abc import Callable
from typing import Any

from schemas.entities import ArtifactRef, RunState, StageOutcome
from schemas.errors import TectumError
from schemas.settings.pipeline import PipelineSettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.align.task import align_session, synchronise_session
from tasks.causal.task import extract_causal_graph
from tasks.common.workspace import Workspace
from tasks.ingest.task import ingest_recording
from tasks.lnm.task import train_lnm
from tasks.preprocess.task import preprocess_session
from tasks.report.task import write_report
from tasks.twin.task import animate_twin

log = logging.getLogger("tectum")

Task = Callable[..., StageOutcome]
"""The function of a stage's task.py: a workspace, what the stage needs, its settings."""


def call_directly(task: Task, *args: Any) -> StageOutcome:
    """Call the function itself: no server, no Prefect run."""
    return task(*args)


class Chain:
    """Runs stages one after the other and keeps how each ended.

    Attributes
    ----------
    outcomes : one a stage, in the order they ran
    """

    def __init__(
        self,
        workspace: WorkspaceSettings,
        call: Callable[..., StageOutcome] = call_directly,
        announce: Callable[[str], None] = log.info,
    ) -> None:
        self.workspace = workspace
        self.outcomes: list[StageOutcome] = []
        self._call = call
        self._announce = announce
        # Of each stage that could not be fed: the stage that began it.
        self._first: dict[str, StageOutcome] = {}

    def run(
        self, stage: str, task: Task, needs: dict[str, StageOutcome], *args: Any
    ) -> StageOutcome:
        """Run one stage on what others made; `needs` comes first in the task's arguments."""
        missing = [name for name, outcome in needs.items() if outcome.ref is None]
        if missing:
            before = needs[missing[0]]
            first = self._first[stage] = self._first.get(before.stage, before)
            # The reason itself only right after the stage that gave it.
            told = f": {first.reason}" if first is before else "."
            verb = "failed" if first.state is RunState.FAILED else "ended Empty"
            reason = f"needs {' and '.join(missing)}, but {first.stage} {verb}{told}"
            outcome = StageOutcome(stage=stage, state=RunState.EMPTY, reason=reason)
        else:
            self._announce(stage)
            refs = [outcome.ref for outcome in needs.values()]
            outcome = self._attempt(stage, task, *refs, *args)
        self.outcomes.append(outcome)
        return outcome

    def _attempt(self, stage: str, task: Task, *args: Any) -> StageOutcome:
        """Call a task; a failure ends this stage, not the session."""
        try:
            return self._call(task, self.workspace, *args)
        except TectumError as error:
            log.error("%s failed: %s", stage, error)
            reason = str(error)
        except Exception as error:
            log.exception("%s failed", stage)
            reason = f"{type(error).__name__}: {error}"
        return StageOutcome(stage=stage, state=RunState.FAILED, reason=reason)


def process_recording(chain: Chain, recording: str, settings: PipelineSettings) -> StageOutcome:
    """Take one NWB file through every stage; return how the report ended."""
    ingested = chain.run("ingest", ingest_recording, {}, recording, settings.ingest)
    return process_streams(chain, ingested, settings)


def process_streams(
    chain: Chain, ingested: StageOutcome, settings: PipelineSettings
) -> StageOutcome:
    """Take ingested streams through the rest of the stages."""
    preprocessed = chain.run(
        "preprocess", preprocess_session, {"ingested streams": ingested}, settings.preprocess
    )
    cleaned = {"preprocessed streams": preprocessed}
    synced = chain.run("sync", synchronise_session, cleaned, settings.align.sync)
    # A session with one clock has nothing to synchronise; but where it has several and their
    # relation could not be worked out, aligning would put streams at wrong times.
    needs = {**cleaned, "related clocks": synced} if synced.state is RunState.FAILED else cleaned
    aligned = chain.run("align", align_session, needs, settings.align, synced.ref)
    on_axis = {"aligned streams": aligned}
    truth = find_ancestor(chain.workspace, ingested.ref, "simulation")
    causal = chain.run("causal", extract_causal_graph, on_axis, settings.causal, truth)
    chain.run("twin", animate_twin, {**on_axis, "the causal graph": causal}, settings.twin)
    chain.run("lnm", train_lnm, on_axis, settings.lnm)
    return report_session(chain, settings)


def report_session(chain: Chain, settings: PipelineSettings) -> StageOutcome:
    """Write the page of a session from all that its stages made."""
    made = [outcome.ref for outcome in chain.outcomes if outcome.ref is not None]
    if not made:
        return chain.outcomes[-1]
    recording = find_ancestor(chain.workspace, made[0], "recording")
    parents = tuple(ref for ref in (recording, *made) if ref is not None)
    outcomes = tuple(chain.outcomes)
    return chain.run("report", write_report, {}, parents, outcomes, settings.report)


def find_ancestor(
    settings: WorkspaceSettings, ref: ArtifactRef | None, kind: str
) -> ArtifactRef | None:
    """Return the nearest artifact of a kind that `ref` was made from, None if there is none."""
    catalogue = Workspace(settings).catalogue
    waiting = [ref] if ref is not None else []
    while waiting:
        artifact = catalogue.find(waiting.pop(0).id)
        for parent in artifact.parents if artifact is not None else ():
            if parent.kind == kind:
                return parent
            waiting.append(parent)
    return None
