"""Trees come back from the lake as they went in: values, dtypes, scales, attributes, chunks."""

import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr

from schemas.contracts.contract import TreeContract
from tasks.common.draft import Draft
from tasks.common.zarr_trees import default_chunks, open_tree, quiet_zarr, write_tree

ANYTHING = TreeContract("anything")


def test_a_tree_comes_back_identical(tmp_path) -> None:
    first = xr.Dataset(
        {
            "value": (
                ("time", "unit"),
                np.random.default_rng(0).normal(size=(50, 3)),
                {"units": "V"},
            ),
            "count": (("time",), np.arange(50, dtype="u2")),
            "valid": (("time",), np.arange(50) % 2 == 0),
            "scalar": ((), 3.5),
            "empty": (("time", "none"), np.zeros((50, 0), "f4")),
        },
        {"time": ("time", np.arange(50) / 7, {"units": "s"}), "unit": ["a", "ü", "long name"]},
        {"stream_kind": "signal"},
    )
    tree = xr.DataTree.from_dict(
        {"/": xr.Dataset(attrs={"a": 1}), "/x": first, "/y": first[["count"]]}
    )
    write_tree(tree, tmp_path / "data.zarr")
    back = open_tree(tmp_path / "data.zarr")
    xr.testing.assert_identical(back.load(), tree)
    assert zarr.open_group(tmp_path / "data.zarr", mode="r").metadata.zarr_format == 3


def test_a_dask_array_larger_than_a_chunk_is_written_in_the_lakes_chunks(tmp_path) -> None:
    values = da.random.default_rng(0).normal(size=(20_000, 70), chunks=(777, 70)).astype("f4")
    tree = xr.DataTree.from_dict({"/x": xr.Dataset({"value": (("time", "unit"), values)})})
    write_tree(tree, tmp_path / "data.zarr")
    back = open_tree(tmp_path / "data.zarr")["x/value"]
    assert back.chunks == ((6000, 6000, 6000, 2000), (50, 20))
    np.testing.assert_array_equal(back.values, values.compute())


def test_integers_with_a_scale_stay_integers(tmp_path) -> None:
    voltage = xr.Dataset({"voltage": (("time",), np.array([0.0, 0.195, -0.39]))})
    voltage["voltage"].encoding = {"dtype": "int16", "scale_factor": 0.195, "zlib": True}
    write_tree(xr.DataTree.from_dict({"/lfp": voltage}), tmp_path / "data.zarr")
    raw = zarr.open_group(tmp_path / "data.zarr", mode="r")["lfp/voltage"]
    assert raw.dtype == np.int16
    np.testing.assert_allclose(open_tree(tmp_path / "data.zarr")["lfp/voltage"], voltage["voltage"])


@pytest.mark.parametrize("chunks", [None, {"time": 2}])
def test_nan_never_becomes_a_number(tmp_path, chunks: dict[str, int] | None) -> None:
    voltage = xr.Dataset({"voltage": (("time",), np.array([0.0, np.nan, -0.39]))})
    voltage = voltage if chunks is None else voltage.chunk(chunks)
    voltage["voltage"].encoding = {"dtype": "int16", "scale_factor": 0.195}
    with pytest.raises(ValueError, match="NaN or infinity in a variable"):
        write_tree(xr.DataTree.from_dict({"/lfp": voltage}), tmp_path / "bad.zarr")
    voltage["voltage"].encoding["_FillValue"] = -32768
    write_tree(xr.DataTree.from_dict({"/lfp": voltage}), tmp_path / "data.zarr")
    back = open_tree(tmp_path / "data.zarr")["lfp/voltage"]
    np.testing.assert_allclose(back, voltage["voltage"])


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((), ()),
        ((10,), (10,)),
        ((0,), (1,)),
        ((10**7,), (300_000,)),
        ((100, 3), (100, 3)),
        ((10**6, 3), (100_000, 3)),
        ((10**6, 400), (6_000, 50)),
        ((10**6, 2, 12, 1), (12_500, 2, 12, 1)),
    ],
)
def test_default_chunks(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert default_chunks(shape) == expected


def test_a_stage_writes_a_tree_and_the_next_opens_it(bench) -> None:
    def build(draft: Draft) -> None:
        numbers = xr.Dataset({"value": ("time", np.arange(5.0))})
        draft.write_tree(xr.DataTree.from_dict({"/a": numbers}), ANYTHING)

    ref = bench.workspace.produce(bench.request(1), build).artifact.ref
    tree = bench.workspace.lake.open_tree(ref)
    assert tree["a/value"].chunks is not None
    np.testing.assert_array_equal(tree["a/value"], np.arange(5.0))


def test_only_the_lakes_own_arrays_use_the_synchronous_pipeline(tmp_path) -> None:
    # Zarr's usual one copies each chunk in the one thread that waits for all.
    usual = zarr.config.get("codec_pipeline.path")
    write_tree(
        xr.DataTree.from_dict({"/": xr.Dataset({"x": ("t", np.arange(5.0))})}), tmp_path / "a"
    )
    assert zarr.config.get("codec_pipeline.path") == usual
    with quiet_zarr():
        lake = zarr.open_array(tmp_path / "a" / "x")
    other = zarr.open_array(tmp_path / "a" / "x")
    assert type(lake.async_array.codec_pipeline).__name__ == "FusedCodecPipeline"
    assert type(other.async_array.codec_pipeline).__name__ == usual.rpartition(".")[2]
