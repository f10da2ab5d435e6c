"""What a Prefect run shows besides its logs: progress, the result table, lineage, the report."""

import time
from typing import cast
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from schemas.entities import ArtifactRef, RunState, StageOutcome
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.lineage import trace_lineage
from tasks.common.lineage_picture import draw_lineage
from tasks.common.workspace import Workspace

UPDATE_EVERY_S = 2.0


class PrefectProgress:
    """Shows progress as Prefect progress artifacts, one a label, updated every two seconds."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[UUID, float]] = {}

    def update(self, label: str, done: float, total: float, note: str = "") -> None:
        """Create or update the progress artifact of `label`."""
        percent = 100.0 * done / total if total else 100.0
        if label not in self._known:
            artifact = cast("UUID", create_progress_artifact(percent, description=label))
            self._known[label] = (artifact, time.monotonic())
            return
        artifact, shown = self._known[label]
        if done >= total or time.monotonic() - shown > UPDATE_EVERY_S:
            text = f"{label}: {note}" if note else label
            update_progress_artifact(artifact, progress=percent, description=text)
            self._known[label] = (artifact, time.monotonic())


def show_outcomes(
    settings: WorkspaceSettings, outcomes: list[StageOutcome], key: str = "session"
) -> None:
    """Show the table of stages, the lineage picture and where the report is."""
    create_table_artifact(table=tabulate_outcomes(outcomes), key=f"{key}-stages")
    report = next((o.ref for o in outcomes if o.stage == "report" and o.ref is not None), None)
    if report is None:
        return
    workspace = Workspace(settings)
    page = workspace.lake.local_folder(report) / "report.html"
    create_link_artifact(page.as_uri(), link_text="Report of this session", key=f"{key}-report")
    create_markdown_artifact(picture_lineage(workspace, report), key=f"{key}-lineage")


def picture_lineage(workspace: Workspace, ref: ArtifactRef) -> str:
    """Return Markdown with the lineage of an artifact as a picture that both UIs show."""
    picture = draw_lineage(trace_lineage(workspace.catalogue, ref))
    return f"# Lineage of {ref}\n\n![lineage]({picture.data_uri})\n"


def tabulate_outcomes(outcomes: list[StageOutcome]) -> list[dict[str, str]]:
    """Return one row a stage: stage, state, artifact, key figure or reason, seconds."""
    return [
        {
            "stage": outcome.stage,
            "state": "reused" if outcome.reused else outcome.state.value,
            "artifact": str(outcome.ref) if outcome.ref else "",
            "key figure": outcome.key_figure or outcome.reason,
            "seconds": f"{outcome.seconds:.1f}",
        }
        for outcome in outcomes
    ]


def final_state(outcomes: list[StageOutcome]) -> State:
    """Return the state a flow run ends in: Failed if a stage failed, with its reason."""
    for outcome in outcomes:
        get_run_logger().info(
            "%s: %s %s", outcome.stage, outcome.state.value, outcome.key_figure or outcome.reason
        )
    failed = [o for o in outcomes if o.state is RunState.FAILED]
    if not failed:
        return Completed(message=f"{len(outcomes)} stages")
    text = "; ".join(f"{outcome.stage}: {outcome.reason}" for outcome in failed)
    if len(failed) == len(outcomes):
        return Failed(message=text)
    return Failed(name="PartialFailure", message=f"{len(failed)} of {len(outcomes)}: {text}")
