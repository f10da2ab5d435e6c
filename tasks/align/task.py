"""The align stage at its edge: relate the clocks, bring the cleaned streams onto one axis."""

from functools import partial

from schemas.entities import ArtifactRef, StageOutcome
from schemas.errors import NothingToDoError
from schemas.settings.align import AlignSettings
from schemas.settings.sync import SyncSettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.draft import Draft
from tasks.common.lake import TREE_NAME
from tasks.common.stage import Request, run_stage


def synchronise_session(
    workspace: WorkspaceSettings, preprocessed: ArtifactRef, settings: SyncSettings
) -> StageOutcome:
    """Relate the clocks of a session's devices to its own; empty where there is only one."""
    request = Request(kind="sync", stage="align", settings=settings, parents=(preprocessed,))
    build = partial(_build_sync, preprocessed=preprocessed, settings=settings)
    return run_stage(workspace, request, build).model_copy(update={"stage": "sync"})


def _build_sync(draft: Draft, preprocessed: ArtifactRef, settings: SyncSettings) -> None:
    # As below: imported where it is needed.
    from schemas.contracts.sync import SYNC
    from tasks.align.sync_tree import measure_sync, summarise_sync, synchronise_clocks

    clocks = synchronise_clocks(draft.lake.open_tree(preprocessed), settings)
    if clocks is None:
        raise NothingToDoError(
            "no stream is on a clock of its own: neither the file nor the setting "
            "align.sync.pairs names shared pulses."
        )
    from tasks.align.sync_picture import draw_sync

    draft.write_tree(clocks, SYNC)
    (draft.path / "sync.svg").write_text(draw_sync(clocks), encoding="utf-8")
    draft.metrics.extend(measure_sync(clocks))
    draft.fact("clocks", {name: node.attrs["verdict"] for name, node in clocks.children.items()})
    draft.key_figure = summarise_sync(clocks)


def align_session(
    workspace: WorkspaceSettings,
    preprocessed: ArtifactRef,
    settings: AlignSettings,
    sync: ArtifactRef | None = None,
) -> StageOutcome:
    """Bring all streams of a session onto one clock (by `sync`, if given) and one time axis."""
    parents = (preprocessed,) if sync is None else (preprocessed, sync)
    request = Request(kind="aligned", stage="align", settings=settings, parents=parents)
    build = partial(_build, preprocessed=preprocessed, settings=settings, sync=sync)
    return run_stage(workspace, request, build)


def _build(
    draft: Draft, preprocessed: ArtifactRef, settings: AlignSettings, sync: ArtifactRef | None
) -> None:
    # Imported where it is needed: a finished stage never gets here, and they take a second.
    from schemas.contracts.aligned import ALIGNED
    from tasks.align.quality import measure_alignment, summarise_alignment
    from tasks.align.streams import align_streams
    from tasks.common.zarr_trees import open_tree

    streams = draft.lake.open_tree(preprocessed)
    if sync is not None:
        from tasks.align.sync_apply import put_on_session_clock

        streams = put_on_session_clock(streams, draft.lake.open_tree(sync))
    draft.write_tree(align_streams(streams, settings), ALIGNED)
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
