"""The stage in a lake: artifact written once, truth as a second parent, Empty with a reason."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from schemas.contracts.aligned import ALIGNED
from schemas.contracts.causal import CAUSAL
from schemas.contracts.contract import TreeContract
from schemas.entities import ArtifactRef, RunState
from schemas.settings.align import AlignSettings
from schemas.settings.causal import CausalSettings
from schemas.settings.screening import ScreeningSettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.causal.task import extract_causal_graph
from tasks.common.workspace import Request, Workspace

SETTINGS = CausalSettings(use="all", tau_s=0, theiler_s=0, max_dimension=3, library_samples=3)
Store = Callable[[xr.DataTree, str], ArtifactRef]


@pytest.fixture
def workspace(tmp_path: Path) -> WorkspaceSettings:
    """A fresh lake."""
    return WorkspaceSettings(lake=str(tmp_path / "lake"))


@pytest.fixture
def store(workspace: WorkspaceSettings) -> Store:
    """Return a function that puts a tree into the lake as an artifact of a kind."""

    def put(tree: xr.DataTree, kind: str) -> ArtifactRef:
        contract = ALIGNED if kind == "aligned" else TreeContract(kind)
        request = Request(kind=kind, stage="causal", settings=AlignSettings())
        product = Workspace(workspace).produce(request, lambda d: d.write_tree(tree, contract))
        return product.artifact.ref

    return put


def test_a_graph_is_made_once_and_scored_against_the_truth(
    workspace, store, make_aligned, logistic_network
):
    aligned = store(make_aligned(logistic_network[:300, :3]), "aligned")
    names = [f"calcium/n{i}" for i in range(3)]
    edge = np.eye(3, k=-1, dtype=bool)
    graph = xr.Dataset({"edge": (("effect", "cause"), edge)}, {"effect": names, "cause": names})
    truth = store(xr.DataTree.from_dict({"/graph": graph}), "simulation")
    made = extract_causal_graph(workspace, aligned, SETTINGS, truth)
    assert made.state is RunState.COMPLETE
    assert "of 6 pairs" in made.key_figure
    tree = Workspace(workspace).lake.open_tree(made.ref)
    CAUSAL.check(tree)
    assert tree["truth"].attrs["auroc_ccm"] > 0.7
    assert extract_causal_graph(workspace, aligned, SETTINGS, truth).reused
    few = SETTINGS.model_copy(update={"screening": ScreeningSettings(above=2, surrogates=100)})
    screened = extract_causal_graph(workspace, aligned, few, truth)
    assert screened.state is RunState.COMPLETE
    assert "truth" not in Workspace(workspace).lake.open_tree(screened.ref).children
    threaded = SETTINGS.model_copy(update={"threads": 1, "block": 2})
    assert extract_causal_graph(workspace, aligned, threaded, truth).reused


def test_a_session_without_nodes_ends_empty(workspace, store, make_aligned):
    aligned = store(make_aligned(np.zeros((300, 2))), "aligned")
    outcome = extract_causal_graph(workspace, aligned, SETTINGS)
    assert outcome.state is RunState.EMPTY
    assert "calcium/n0: constant" in outcome.reason
