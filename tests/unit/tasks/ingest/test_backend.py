"""xarray opens NWB files by engine "nwb"."""

import pickle

import numpy as np
import pytest
import xarray as xr

from schemas.errors import NotFoundError
from tasks.ingest.backend import NwbBackend


@pytest.fixture
def rich_path(rich_file, save):
    return save(rich_file(), "rich.nwb")


def test_a_tree_opens_lazily_with_times_as_index(rich_path):
    with xr.open_datatree(rich_path, engine="nwb") as tree:
        assert tree.attrs["subject_id"] == "m1"
        part = tree["speed"].to_dataset().sel(time=slice(1, 2))
        assert part["value"].shape == (5, 1)
        assert not tree["lfp/voltage"].variable._in_memory


def test_a_stream_opens_as_dask_arrays(rich_path):
    with xr.open_dataset(rich_path, engine="nwb", group="df_over_f", chunks={}) as stream:
        assert stream["activity"].chunks is not None
        assert stream.attrs["stream_kind"] == "calcium"
        assert stream.attrs["species"] == "Mus musculus"
        assert np.isfinite(stream["activity"].mean().compute())


def test_without_a_group_the_names_are_listed(rich_path):
    with pytest.raises(NotFoundError, match="df_over_f"):
        xr.open_dataset(rich_path, engine="nwb")


def test_indexing_agrees_with_numpy(rich_path):
    with xr.open_datatree(rich_path, engine="nwb") as lazy:
        for name in ("df_over_f/activity", "lfp/voltage", "position/position", "analog/value"):
            whole = lazy[name].values
            with xr.open_datatree(rich_path, engine="nwb") as again:
                array = again[name].variable
                np.testing.assert_array_equal(array[::-3].values, whole[::-3])
                np.testing.assert_array_equal(array[5].values, whole[5])
                np.testing.assert_array_equal(array[:, [1, 0]].values, whole[:, [1, 0]])
                np.testing.assert_array_equal(array[[7, 2, 2], 1].values, whole[[7, 2, 2], 1])
                np.testing.assert_array_equal(array[-4:-1, -1].values, whole[-4:-1, -1])


def test_a_pickled_stream_reads_in_another_process(rich_path):
    with xr.open_datatree(rich_path, engine="nwb", chunks={}) as tree:
        units = tree["units"].to_dataset()
        again = pickle.loads(pickle.dumps(units))  # noqa: S301
        xr.testing.assert_equal(again.compute(), units.compute())


def test_only_nwb_files_in_hdf5_are_claimed(rich_path, tmp_path):
    backend = NwbBackend()
    (tmp_path / "text.nwb").write_text("no")
    assert backend.guess_can_open(rich_path)
    assert not backend.guess_can_open(tmp_path / "text.nwb")
    assert not backend.guess_can_open(b"bytes")
