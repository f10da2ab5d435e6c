"""The preprocess stage at its edge: read the streams, clean them, write them."""

from functools import partial

from schemas.entities import ArtifactRef, StageOutcome
from schemas.settings.preprocess import PreprocessSettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.draft import Draft
from tasks.common.lake import TREE_NAME
from tasks.common.stage import Request, run_stage


def preprocess_session(
    workspace: WorkspaceSettings, streams: ArtifactRef, settings: PreprocessSettings
) -> StageOutcome:
    """Clean each stream of a session in the way of its kind."""
    request = Request(
        kind="preprocessed", stage="preprocess", settings=settings, parents=(streams,)
    )
    return run_stage(workspace, request, partial(_build, streams=streams, settings=settings))


def _build(draft: Draft, streams: ArtifactRef, settings: PreprocessSettings) -> None:
    # Imported where it is needed: a finished stage never gets here, and they take a second.
    from schemas.contracts.preprocessed import PREPROCESSED
    from tasks.common.zarr_trees import open_tree
    from tasks.preprocess.quality import measure_quality, summarise_preprocessing
    from tasks.preprocess.streams import preprocess_streams

    cleaned = preprocess_streams(draft.lake.open_tree(streams, indexes=False), settings)
    draft.write_tree(cleaned, PREPROCESSED)
    # Read back: what was written is cheaper to measure than what would be computed again.
    written = open_tree(draft.path / TREE_NAME, indexes=False)
    draft.metrics.extend(measure_quality(written))
    draft.key_figure = summarise_preprocessing(written)
