"""Artifacts open in xarray by name, lazily, with nothing but xarray imported."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from schemas.contracts.aligned import ALIGNED
from schemas.errors import NotFoundError
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.backend import TectumBackend
from tasks.common.workspace import Workspace


@pytest.fixture
def aligned(bench, make_aligned, monkeypatch):
    """Return the ref of an aligned tree of session fly80, in the lake that the variables name."""
    key = bench.add_session("fly80")
    activity_TN = np.arange(600.0).reshape(200, 3)
    request = bench.request(1, session_key=key)
    tree = make_aligned(activity_TN, activity_TN[:, :2])
    product = bench.workspace.produce(request, lambda draft: draft.write_tree(tree, ALIGNED))
    settings = bench.workspace.settings
    monkeypatch.setenv("TECTUM_LAKE", settings.lake)
    monkeypatch.setenv("TECTUM_CATALOGUE", settings.catalogue)
    return product.artifact.ref


def test_every_form_of_the_name_opens_the_same_tree(bench, aligned) -> None:
    session = bench.workspace.catalogue.search()["session"][0]
    expected = bench.workspace.lake.open_tree(aligned).load()
    for name in (f"{session}/aligned", "fly80/aligned", aligned.id, aligned.id[:8], str(aligned)):
        tree = xr.open_datatree(f"tectum:{name}", engine="tectum")
        xr.testing.assert_identical(tree.load(), expected)


def test_the_engine_is_guessed_and_groups_open_alone(aligned) -> None:
    assert xr.open_datatree("tectum:fly80/aligned").children.keys() == {
        "clock", "calcium", "running",
    }  # fmt: skip
    calcium = xr.open_dataset("tectum:fly80/aligned", engine="tectum", group="calcium", chunks={})
    assert calcium["activity"].shape == (200, 3)
    assert calcium["activity"].chunks is not None
    raw = xr.open_dataset("tectum:fly80/aligned", group="clock", decode_cf=False)
    assert raw["segment"].dtype == "int32"
    assert set(xr.open_groups("tectum:fly80/aligned")) == {"/", "/clock", "/calcium", "/running"}


def test_opening_reads_no_chunk_of_a_data_variable(bench, aligned) -> None:
    """With every chunk of every data variable gone, opening works and only reading tells."""
    store = bench.workspace.lake.tree_path(aligned)
    for group, names in {"calcium": ["activity", "valid"], "running": ["value", "valid"]}.items():
        for name in names:
            shutil.rmtree(store / group / name / "c")
    for chunks in (None, {}):
        tree = xr.open_datatree("tectum:fly80/aligned", engine="tectum", chunks=chunks)
        assert tree["calcium"].ds["activity"].shape == (200, 3)
        assert list(tree["calcium"].ds["unit"].values) == ["n0", "n1", "n2"]
    assert np.isnan(tree["calcium"].ds["activity"].values).all()


def test_a_lake_given_by_hand_needs_no_variables(tmp_path: Path, make_aligned, monkeypatch) -> None:
    for name in ("TECTUM_LAKE", "TECTUM_CATALOGUE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFoundError, match=r"there is no lake.*TECTUM_LAKE"):
        xr.open_datatree("tectum:fly80/aligned", engine="tectum")
    assert not list(tmp_path.iterdir()), "looking for a lake must not make one"
    workspace = Workspace(WorkspaceSettings(lake=str(tmp_path / "lake")))
    with pytest.raises(NotFoundError, match="no session is called 'fly80'"):
        xr.open_datatree("tectum:fly80/aligned", engine="tectum", lake=tmp_path / "lake")
    with pytest.raises(NotFoundError, match=r"'fly80' is no artifact.*tectum:SESSION/KIND"):
        xr.open_datatree("tectum:fly80", engine="tectum", lake=workspace.lake.root)
    workspace.catalogue.close()


def test_an_artifact_without_arrays_says_so(bench, aligned) -> None:
    ref = bench.make(7, "recording").artifact.ref
    with pytest.raises(NotFoundError, match="no data of artifact recording"):
        xr.open_datatree(f"tectum:{ref}", engine="tectum")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tectum:fly80/aligned", True),
        ("/home/someone/tectum:fly80/aligned", True),
        ("recording.nwb", False),
        ("nottectum:fly80", False),
        (3, False),
    ],
)
def test_guessing(name: object, expected: bool) -> None:
    assert TectumBackend().guess_can_open(name) == expected


def test_a_pattern_opens_a_branch_for_each_session(bench, aligned, make_aligned) -> None:
    key = bench.add_session("fly81")
    tree = make_aligned(np.ones((50, 4)))
    request = bench.request(2, session_key=key)
    bench.workspace.produce(request, lambda draft: draft.write_tree(tree, ALIGNED))
    both = xr.open_datatree("tectum:fly8*/aligned", engine="tectum", chunks={})
    names = sorted(bench.workspace.catalogue.search()["session"])
    assert sorted(both.children) == names
    assert both[names[1]]["calcium"]["activity"].shape == (50, 4)
    assert both[names[0]]["calcium"]["activity"].chunks is not None
    assert both.tectum.between(0, 1)[names[0]]["clock"].sizes["time"] == 10
    with pytest.raises(NotFoundError, match="names 2 sessions"):
        xr.open_dataset("tectum:fly8*/aligned", engine="tectum", group="clock")
    with pytest.raises(NotFoundError, match=r"no session like 'rat\*' has 'aligned'"):
        xr.open_datatree("tectum:rat*/aligned", engine="tectum")
