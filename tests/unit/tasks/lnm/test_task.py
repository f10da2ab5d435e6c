"""The stage at its edge: an artifact that loads again, made once, or Empty with a reason."""

import numpy as np
import pytest

from schemas.contracts.aligned import ALIGNED
from schemas.contracts.lnm import LNM
from schemas.entities import RunState
from schemas.settings.align import AlignSettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.workspace import Request, Workspace
from tasks.lnm.data.reading import read_recording
from tasks.lnm.network.trained import load_model
from tasks.lnm.queries.query import decode
from tasks.lnm.task import train_lnm


@pytest.fixture
def workspace(tmp_path):
    return Workspace(WorkspaceSettings(lake=str(tmp_path / "lake")))


def keep_aligned(workspace, tree):
    """Put an aligned tree into the lake as if its stage had made it."""
    request = Request(kind="aligned", stage="align", settings=AlignSettings(), parents=())
    built = workspace.produce(request, lambda draft: draft.write_tree(tree, ALIGNED))
    return built.artifact.ref


def test_makes_a_model_once_that_loads_again(workspace, make_aligned, quick):
    rng = np.random.default_rng(0)
    slow_T = np.convolve(rng.standard_normal(619), np.ones(20) / 4, "valid")
    units_TN = slow_T[:, None] + 0.3 * rng.standard_normal((600, 4))
    tree = make_aligned(units_TN, slow_T[:, None])
    aligned = keep_aligned(workspace, tree)
    settings = quick.model_copy(update={"steps": 10})
    outcome = train_lnm(workspace.settings, aligned, settings)
    assert outcome.state is RunState.COMPLETE
    assert outcome.key_figure.startswith("decode R2 ")
    written = workspace.lake.open_tree(outcome.ref)
    LNM.check(written)
    model = load_model(workspace.lake.folder(outcome.ref))
    answered = decode(model, read_recording(tree), t0=50.0)
    assert np.corrcoef(answered["mean"].values[:, 0], slow_T[500:])[0, 1] > 0.8
    curves = workspace.lake.root / "tensorboard" / outcome.ref.id
    assert list(curves.glob("events.out.tfevents.*"))
    again = train_lnm(workspace.settings, aligned, settings)
    assert again.reused
    assert again.ref == outcome.ref


def test_a_session_that_is_too_short_ends_empty_with_the_reason(workspace, make_aligned, quick):
    aligned = keep_aligned(workspace, make_aligned(np.random.default_rng(0).random((12, 2))))
    outcome = train_lnm(workspace.settings, aligned, quick)
    assert outcome.state is RunState.EMPTY
    assert "no window" in outcome.reason
