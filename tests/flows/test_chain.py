"""The chain goes on where a stage fails or cannot be fed, and says why."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flows.chain import Chain
from flows.prefect_tasks import as_prefect_task
from schemas.entities import ArtifactRef, RunState, StageOutcome
from schemas.errors import RecordingError
from schemas.settings.workspace import WorkspaceSettings

REF = ArtifactRef(kind="streams", id="a" * 32)


def make_streams(workspace: WorkspaceSettings, *parents: ArtifactRef) -> StageOutcome:
    return StageOutcome(stage="ingest", state=RunState.COMPLETE, ref=REF, key_figure="1 stream")


def find_nothing(workspace: WorkspaceSettings, *parents: ArtifactRef) -> StageOutcome:
    return StageOutcome(stage="causal", state=RunState.EMPTY, reason="there are no neurons.")


def refuse(workspace: WorkspaceSettings, *parents: ArtifactRef) -> StageOutcome:
    raise RecordingError("is no NWB file.", where="a.nwb", remedy="Convert it.")


def break_down(workspace: WorkspaceSettings, *parents: ArtifactRef) -> StageOutcome:
    raise ZeroDivisionError("a bug")


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return Chain(WorkspaceSettings(lake=str(tmp_path)))


def test_parents_come_first_and_outcomes_are_kept(chain: Chain) -> None:
    made = chain.run("ingest", make_streams, {})
    again = chain.run("align", make_streams, {"streams": made})
    assert again.ref == REF
    assert [outcome.stage for outcome in chain.outcomes] == ["ingest", "ingest"]


@pytest.mark.parametrize(
    ("broken", "word"),
    [(refuse, "is no NWB file"), (break_down, "ZeroDivisionError: a bug")],
)
def test_a_failure_ends_its_stage_and_names_itself(chain: Chain, broken: Any, word: str) -> None:
    outcome = chain.run("ingest", broken, {})
    assert outcome.state is RunState.FAILED
    assert word in outcome.reason
    after = chain.run("align", make_streams, {"ingested streams": outcome})
    assert after.state is RunState.EMPTY
    assert "needs ingested streams, but ingest failed: " in after.reason
    assert word in after.reason
    later = chain.run("causal", make_streams, {"aligned streams": after})
    assert later.reason == "needs aligned streams, but ingest failed."
    assert chain.run("other", make_streams, {}).state is RunState.COMPLETE


def test_what_needs_an_empty_stage_says_so(chain: Chain) -> None:
    empty = chain.run("causal", find_nothing, {})
    after = chain.run("twin", make_streams, {"the causal graph": empty})
    assert after.state is RunState.EMPTY
    assert after.reason.startswith("needs the causal graph, but causal ended Empty: ")
    assert "there are no neurons" in after.reason


def test_a_flow_runs_the_same_function_as_a_prefect_task(tmp_path: Path) -> None:
    task = as_prefect_task(make_streams)
    assert task.name == "make-streams"
    assert task.fn is make_streams
    assert as_prefect_task(make_streams) is task, "one task a function, not one a call"
    assert task.fn(WorkspaceSettings(lake=str(tmp_path))).ref == REF


def test_a_finished_session_is_recognised_without_heavy_libraries() -> None:
    """Each of these takes a large part of the second that a second run may take to start."""
    code = (
        "import sys, flows.cli, flows.local; "
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {
        "prefect", "torch", "numba", "pandas", "xarray", "zarr", "dask", "scipy", "networkx",
        "h5py", "numpy", "pynwb", "fsspec", "aiohttp",
    }  # fmt: skip
    assert "schemas" in loaded
    assert heavy.isdisjoint(loaded)
