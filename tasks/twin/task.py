"""The twin stage at its edge: read the parents, animate, write the virtual animal."""

import json
from functools import partial

from schemas.entities import ArtifactRef, StageOutcome
from schemas.settings.twin import TwinSettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.draft import Draft
from tasks.common.stage import Request, run_stage


def animate_twin(
    workspace: WorkspaceSettings, aligned: ArtifactRef, causal: ArtifactRef, settings: TwinSettings
) -> StageOutcome:
    """Run a virtual animal from an aligned session and its causal graph, and judge it."""
    request = Request(kind="twin", stage="twin", settings=settings, parents=(aligned, causal))
    build = partial(_build, aligned=aligned, causal=causal, settings=settings)
    return run_stage(workspace, request, build)


def _build(draft: Draft, aligned: ArtifactRef, causal: ArtifactRef, settings: TwinSettings) -> None:
    # Imported where it is needed: a finished stage never gets here, and they take seconds.
    from schemas.contracts.twin import TWIN
    from tasks.twin.animate import animate
    from tasks.twin.summary import quality_metrics, summarise_twin

    tree = animate(draft.lake.open_tree(aligned), draft.lake.open_tree(causal), settings)
    draft.write_tree(tree, TWIN)
    draft.metrics.extend(quality_metrics(tree))
    draft.fact("seed", settings.seed)
    draft.fact("split", settings.split.model_dump(mode="json"))
    draft.fact("choice", json.loads(tree.attrs["choice"]))
    draft.key_figure = summarise_twin(tree)
