"""The stage at its edge: an artifact once, or empty with the reason."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr

from schemas.contracts.aligned import ALIGNED
from schemas.entities import ArtifactRef, RunState
from schemas.settings.align import AlignSettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.align.task import align_session
from tasks.common.draft import Draft
from tasks.common.lake import TREE_NAME
from tasks.common.workspace import Request, Workspace
from tasks.common.zarr_trees import write_tree

Session = Callable[..., xr.DataTree]


def keep(space: Workspace, tree: xr.DataTree) -> ArtifactRef:
    """Put cleaned streams into the lake as if preprocess had made them."""

    def build(draft: Draft) -> None:
        write_tree(tree, draft.path / TREE_NAME)

    request = Request("preprocessed", "align", AlignSettings(), identity="made by a test")
    return space.produce(request, build).artifact.ref


def test_makes_an_artifact_once(
    make_columns: Callable[..., xr.Dataset], make_session: Session, tmp_path: Path
) -> None:
    time = np.arange(60) / 4
    tree = make_session(
        cells=make_columns("calcium", np.ones((60, 3)), time),
        running=make_columns("motion", np.ones((60, 1)), time + 0.1),
    )
    space = Workspace(WorkspaceSettings(lake=str(tmp_path / "lake")))
    cleaned = keep(space, tree)
    outcome = align_session(space.settings, cleaned, AlignSettings())
    assert outcome.state is RunState.COMPLETE
    assert outcome.ref is not None
    assert outcome.key_figure == "60 samples x 4 columns at 4 Hz"
    ALIGNED.check(space.lake.open_tree(outcome.ref))
    assert align_session(space.settings, cleaned, AlignSettings()).reused


def test_tables_alone_end_empty_with_the_reason(make_session: Session, tmp_path: Path) -> None:
    licks = xr.Dataset(
        {"event_time": ("event", [1.0, 2.0], {"units": "s"})},
        attrs={"stream_kind": "events", "source": "/licks", "primary": "event_time"},
    )
    space = Workspace(WorkspaceSettings(lake=str(tmp_path / "lake")))
    outcome = align_session(space.settings, keep(space, make_session(licks=licks)), AlignSettings())
    assert outcome.state is RunState.EMPTY
    assert "no streams with samples" in outcome.reason
