"""What a stage does not change is not written twice; what it changes always is."""

import errno
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tasks.common.storage import sync_folder
from tasks.common.zarr_trees import open_tree, write_tree


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """A tree with floats, scaled integers with a fill value, flags, text and a coordinate."""
    rng = np.random.default_rng(0)
    dataset = xr.Dataset(
        {
            "value": (("time", "unit"), rng.normal(size=(50, 3)).astype("f4"), {"units": "V"}),
            "scaled": (("time",), np.r_[np.nan, np.arange(49) * 0.25]),
            "valid": (("time",), np.arange(50) % 3 > 0),
            "place": (("unit",), np.array(["V1", "a longer name", "ü"], dtype=object)),
        },
        {"time": ("time", np.arange(50.0)), "area": ("unit", [1, 2, 3])},
    )
    dataset["scaled"].encoding = {"dtype": "int16", "scale_factor": 0.25, "_FillValue": -9}
    write_tree(xr.DataTree.from_dict({"/x": dataset}), tmp_path / "first.zarr")
    return tmp_path / "first.zarr"


def shares_files(first: Path, second: Path) -> bool:
    chunks = [path for path in (first / "c").rglob("*") if path.is_file()]
    return all(p.samefile(second / p.relative_to(first)) for p in chunks)


def test_unchanged_variables_share_their_files(first: Path, tmp_path: Path) -> None:
    opened = open_tree(first)
    dataset = opened["x"].to_dataset().rename_vars(value="raw").assign_attrs(new=1)
    dataset["raw"].attrs = {"units": "mV", "gain": np.float32(2.5)}
    write_tree(xr.DataTree.from_dict({"/y": dataset}), tmp_path / "second.zarr")
    back = open_tree(tmp_path / "second.zarr")
    xr.testing.assert_identical(back["y"].to_dataset().load(), dataset.load())
    for old, new in (("value", "raw"), ("scaled", "scaled"), ("valid", "valid")):
        assert shares_files(first / "x" / old, tmp_path / "second.zarr" / "y" / new)
    # A link of a link is a link.
    write_tree(open_tree(tmp_path / "second.zarr"), tmp_path / "third.zarr")
    assert shares_files(first / "x/value", tmp_path / "third.zarr/y/raw")


def test_whatever_changes_is_written(first: Path, tmp_path: Path) -> None:
    x = open_tree(first)["x"].to_dataset()
    changed = {
        "value": x["value"] * 1.0,
        "scaled": x["scaled"][::-1],
        "valid": x["valid"].isel(time=slice(0, 49)),
        "coded": x["scaled"].copy(),
    }
    changed["coded"].encoding = {**x["scaled"].encoding, "scale_factor": 0.125}
    for name, array in changed.items():
        target = tmp_path / f"{name}.zarr"
        write_tree(xr.DataTree.from_dict({"/": array.to_dataset(name=name)}), target)
        back = open_tree(target)[name]
        np.testing.assert_array_equal(back.values, array.values)
        source = first / "x" / ("scaled" if name == "coded" else name)
        assert not shares_files(source, target / name)


def test_without_hard_links_files_are_copied(
    first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: str, target: str) -> None:
        raise OSError(errno.EXDEV, "another file system", source)

    monkeypatch.setattr("tasks.common.zarr_links.hard_link", refuse)
    write_tree(open_tree(first), tmp_path / "second.zarr")
    assert not shares_files(first / "x/value", tmp_path / "second.zarr/x/value")
    xr.testing.assert_identical(
        open_tree(tmp_path / "second.zarr")["x"].to_dataset().load(),
        open_tree(first)["x"].to_dataset().load(),
    )


def test_what_is_linked_is_not_flushed_again(first: Path, tmp_path: Path, monkeypatch) -> None:
    write_tree(open_tree(first), tmp_path / "second.zarr")
    (tmp_path / "second.zarr" / "new").write_text("new")
    flushed: list[Path] = []
    monkeypatch.setattr("tasks.common.storage.sync_path", flushed.append)
    sync_folder(tmp_path / "second.zarr")
    names = {path.relative_to(tmp_path / "second.zarr").as_posix() for path in flushed}
    assert {".", "new", "x", "x/value/c", "x/value/zarr.json"} <= names
    assert not any(
        path.name.isdigit() and path.is_file() for path in flushed if "value" in str(path)
    )
