"""The align stage at its edge: read the cleaned streams, bring them onto one axis, write them."""

from functools import partial

from schemas.entities import ArtifactRef, StageOutcome
from schemas.settings.align import AlignSettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.draft import Draft
from tasks.common.lake import TREE_NAME
from tasks.common.stage import Request, run_stage


def align_session(
    workspace: WorkspaceSettings, preprocessed: ArtifactRef, settings: AlignSettings
) -> StageOutcome:
    """Bring all streams of a session onto one time axis."""
    request = Request(kind="aligned", stage="align", settings=settings, parents=(preprocessed,))
    build = partial(_build, preprocessed=preprocessed, settings=settings)
    return run_stage(workspace, request, build)


def _build(draft: Draft, preprocessed: ArtifactRef, settings: AlignSettings) -> None:
    # Imported where it is needed: a finished stage never gets here, and they take a second.
    from schemas.contracts.aligned import ALIGNED
    from tasks.align.quality import measure_alignment, summarise_alignment
    from tasks.align.streams import align_streams
    from tasks.common.zarr_trees import open_tree

    draft.write_tree(align_streams(draft.lake.open_tree(preprocessed), settings), ALIGNED)
    # Read back: what was written is cheaper to measure than what would be computed again.
    written = open_tree(draft.path / TREE_NAME)
    draft.metrics.extend(measure_alignment(written))
    clock = written.children["clock"].to_dataset(inherit=False)
    draft.fact(
        "time_axis",
        {
            "reference": clock.attrs["reference"],
            "rate_hz": clock.attrs["rate_hz"],
            "range_s": [float(clock["time"][0]), float(clock["time"][-1])],
            "segments": int(clock["segment"].max()) + 1,
        },
    )
    draft.key_figure = summarise_alignment(written)
