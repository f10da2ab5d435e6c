"""The stage at its edge: an artifact once, in the catalogue with its quality."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr

from schemas.contracts.preprocessed import PREPROCESSED
from schemas.contracts.streams import STREAMS
from schemas.entities import ArtifactRef, RunState
from schemas.settings.preprocess import PreprocessSettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.draft import Draft
from tasks.common.workspace import Request, Workspace
from tasks.preprocess.task import preprocess_session

ROOT = {
    "session_key": "0" * 16,
    "session_name": "test",
    "subject_id": "test",
    "session_start_time": "2026-01-01T00:00:00+00:00",
}


def keep(space: Workspace, tree: xr.DataTree) -> ArtifactRef:
    """Put streams into the lake as if ingest had made them."""

    def build(draft: Draft) -> None:
        draft.write_tree(tree, STREAMS)

    request = Request("streams", "preprocess", PreprocessSettings(), identity="made by a test")
    return space.produce(request, build).artifact.ref


def test_makes_an_artifact_once(make_columns: Callable[..., xr.Dataset], tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(60, 3)) + 50
    values[:, 2] = 1.0
    cells = make_columns("calcium", values, np.arange(60.0), source="/ophys/Fluorescence/a")
    space = Workspace(WorkspaceSettings(lake=str(tmp_path / "lake")))
    streams = keep(space, xr.DataTree.from_dict({"/": xr.Dataset(attrs=ROOT), "/cells": cells}))
    outcome = preprocess_session(space.settings, streams, PreprocessSettings())
    assert outcome.state is RunState.COMPLETE
    assert outcome.ref is not None
    assert outcome.key_figure == "2 of 3 units kept, 1 stream"
    PREPROCESSED.check(space.lake.open_tree(outcome.ref))
    assert preprocess_session(space.settings, streams, PreprocessSettings()).reused
