"""The stage writes its artifact once and finds it again."""

from pathlib import Path

from schemas.contracts.truth import TRUTH
from schemas.entities import RunState
from schemas.settings.simulate import SimulateSettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.workspace import Workspace
from tasks.simulate.task import simulate_session


def test_a_simulation_is_made_once(tmp_path: Path) -> None:
    workspace = WorkspaceSettings(lake=str(tmp_path / "lake"))
    settings = SimulateSettings(
        calcium_units=6, spike_units=2, independent_units=1, feedback_units=1, duration_s=10
    )
    made = simulate_session(workspace, settings)
    assert made.state is RunState.COMPLETE
    assert made.ref is not None
    assert made.ref.kind == "simulation"
    assert not made.reused
    lake = Workspace(workspace).lake
    names = {path.name for path in lake.folder(made.ref).iterdir()}
    assert {"session.nwb", "camera.mp4"} <= names
    TRUTH.check(lake.open_tree(made.ref))
    again = simulate_session(workspace, settings)
    assert again.reused
    assert again.ref == made.ref
