"""What a stage's task does: settings, Dask, artifact, outcome; and the workspace it is told."""

import threading
from pathlib import Path

import dask
import pytest

from schemas.entities import RunState
from schemas.errors import NothingToDoError, SettingsError
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.cluster import dask_client, local_client
from tasks.common.draft import Draft
from tasks.common.environment import (
    describe_environment,
    hash_environment,
    workspace_from_environment,
)
from tasks.common.stage import run_stage


def test_an_outcome_tells_state_ref_and_figure(bench) -> None:
    def build(draft: Draft) -> None:
        draft.key_figure = "3 edges"
        assert dask.config.get("scheduler") == "threads"

    request = bench.request(1)
    outcomes = [run_stage(bench.workspace.settings, request, build) for _ in range(2)]
    assert [outcome.state for outcome in outcomes] == [RunState.COMPLETE] * 2
    assert [outcome.reused for outcome in outcomes] == [False, True]
    assert outcomes[0].ref == outcomes[1].ref == request.ref
    assert outcomes[1].key_figure == "3 edges"


def test_a_stage_that_cannot_be_fed_ends_empty_with_the_reason(bench) -> None:
    def build(draft: Draft) -> None:
        raise NothingToDoError("no neurons.")

    outcome = run_stage(bench.workspace.settings, bench.request(1), build)
    assert (outcome.state, outcome.reason, outcome.ref) == (RunState.EMPTY, "no neurons.", None)


def test_errors_of_a_stage_are_raised(bench) -> None:
    def build(draft: Draft) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_stage(bench.workspace.settings, bench.request(1), build)


def test_a_place_that_is_none_is_refused() -> None:
    with pytest.raises(SettingsError, match="'moon' is no place"), dask_client("moon"):
        pytest.fail("there is no such place")


def test_a_worker_leaves_the_cores_to_the_others(tmp_path: Path) -> None:
    def threads(path: str) -> tuple[int, int, int, float]:
        import numba
        import numpy as np
        import zarr

        from tasks.common.zarr_trees import quiet_zarr

        with quiet_zarr():
            array = zarr.create_array(path, data=np.arange(64.0), chunks=(8,))
            total = float(array[:].sum())
        most = zarr.config.get("codec_pipeline.max_workers")
        pools = [t.name for t in threading.enumerate() if t.name.startswith("zarr_pool")]
        return int(most), numba.get_num_threads(), len(pools), total

    with local_client(1) as client:
        assert client.submit(threads, str(tmp_path / "x.zarr")).result() == (1, 1, 1, 64 * 63 / 2)


def test_the_variables_name_the_workspace(tmp_path: Path, monkeypatch) -> None:
    for name in ("TECTUM_LAKE", "TECTUM_CATALOGUE", "TECTUM_DASK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    assert workspace_from_environment() == WorkspaceSettings()
    monkeypatch.setenv("TECTUM_LAKE", str(tmp_path / "here"))
    monkeypatch.setenv("TECTUM_CATALOGUE", "postgresql://lab/tectum")
    monkeypatch.setenv("TECTUM_DASK", "local")
    found = workspace_from_environment()
    assert (found.lake, found.catalogue, found.dask) == (
        str(tmp_path / "here"),
        "postgresql://lab/tectum",
        "local",
    )


def test_the_environment_is_described_and_hashed() -> None:
    found = describe_environment()
    assert {"tectum", "python", "platform", "machine", "cpus", "packages"} <= found.keys()
    assert len(hash_environment()) == 32
