"""The stage at its edge: an artifact from two parents, reused, or Empty with a reason."""

import pytest

from schemas.contracts.aligned import ALIGNED
from schemas.contracts.twin import TWIN
from schemas.entities import RunState
from schemas.settings.causal import CausalSettings
from schemas.settings.twin import TwinSettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.lake import TREE_NAME
from tasks.common.workspace import Request, Workspace
from tasks.common.zarr_trees import write_tree
from tasks.twin.task import animate_twin

QUICK = TwinSettings(
    rules=("step",),
    delay_choices=(1,),
    neighbour_choices=(8,),
    theta_choices=(3.0,),
    validation_starts=4,
    n_samples=2,
)


@pytest.fixture
def workspace(tmp_path):
    return Workspace(WorkspaceSettings(lake=str(tmp_path / "lake")))


def _keep(workspace, kind, tree, parents=()):
    """Put a tree into the lake as if its stage had made it."""
    request = Request(kind=kind, stage="twin", settings=CausalSettings(), parents=parents)

    def build(draft):
        if kind == "aligned":
            draft.write_tree(tree, ALIGNED)
        else:
            write_tree(tree, draft.path / TREE_NAME)

    return workspace.produce(request, build).artifact.ref


def test_makes_an_artifact_once(workspace, lorenz_animal):
    aligned = _keep(workspace, "aligned", lorenz_animal[0])
    causal = _keep(workspace, "causal", lorenz_animal[1], (aligned,))
    outcome = animate_twin(workspace.settings, aligned, causal, QUICK)
    assert outcome.state is RunState.COMPLETE
    assert outcome.key_figure.startswith("1 behaviour from 2 neurons; C2ST AUC")
    TWIN.check(workspace.lake.open_tree(outcome.ref))
    again = animate_twin(workspace.settings, aligned, causal, QUICK)
    assert again.reused
    assert again.ref == outcome.ref


def test_a_session_without_drivers_ends_empty_with_the_reason(
    workspace, lorenz_animal, make_causal
):
    aligned = _keep(workspace, "aligned", lorenz_animal[0])
    graph = make_causal(["calcium/n0"], ["running"], [])
    causal = _keep(workspace, "causal", graph, (aligned,))
    outcome = animate_twin(workspace.settings, aligned, causal, QUICK)
    assert outcome.state is RunState.EMPTY
    assert "No neuron drives" in outcome.reason
