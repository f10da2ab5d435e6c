"""How a stage's task runs: workspace, Dask, artifact, outcome."""

from schemas.entities import ArtifactRef, RunState, StageOutcome
from schemas.errors import NothingToDoError
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.cluster import dask_client
from tasks.common.draft import Draft
from tasks.common.workspace import Build, Request, Workspace

__all__ = ["Request", "run_stage", "settle_artifact"]


def run_stage(settings: WorkspaceSettings, request: Request, build: Build) -> StageOutcome:
    """Make (or find) the artifact of a stage and say how it went.

    A stage that its input cannot feed ends as Empty with the reason; errors are raised.
    """
    return settle_artifact(Workspace(settings), request, build)


def settle_artifact(workspace: Workspace, request: Request, build: Build) -> StageOutcome:
    """Do the work of `run_stage` in a workspace that is open already."""

    def build_on_dask(draft: Draft) -> None:
        with dask_client(workspace.settings.dask):
            build(draft)

    try:
        product = workspace.produce(request, build_on_dask)
    except NothingToDoError as error:
        return StageOutcome(stage=request.stage, state=RunState.EMPTY, reason=str(error))
    return StageOutcome(
        stage=request.stage,
        state=RunState.COMPLETE,
        ref=ArtifactRef(kind=product.artifact.ref.kind, id=product.artifact.ref.id),
        reused=product.reused,
        seconds=product.seconds,
        key_figure=product.artifact.key_figure,
    )
