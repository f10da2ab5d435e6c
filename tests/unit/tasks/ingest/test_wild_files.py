"""Files that pynwb itself would not write, as labs have them."""

from collections.abc import Callable

import h5py
import numpy as np
import pynwb
import pytest
import xarray as xr
from pynwb.image import ImageSeries

from tasks.ingest.opening import read_recording


def edit(path, change: Callable[[h5py.File], None]) -> None:
    """Make a file that pynwb itself would not write."""
    with h5py.File(path, "r+") as file:
        change(file)


def series_file(new_file, save, **clock):
    nwbfile = new_file()
    nwbfile.add_acquisition(pynwb.TimeSeries(name="x", data=np.arange(5.0), unit="V", **clock))
    return save(nwbfile)


@pytest.mark.parametrize("rate", [[4.0], [[4.0]], [4.0, 4.0], np.float32(4.0)])
@pytest.mark.parametrize("start", [np.array([2.0]), np.float32(2.0)])
def test_rate_and_starting_time_may_be_arrays(new_file, save, rate, start):
    path = series_file(new_file, save, rate=1.0, starting_time=9.0)

    def change(file):
        attrs = dict(file["acquisition/x/starting_time"].attrs)
        del file["acquisition/x/starting_time"]
        file["acquisition/x/starting_time"] = start
        file["acquisition/x/starting_time"].attrs.update({**attrs, "rate": np.asarray(rate)})

    edit(path, change)
    with xr.open_datatree(path, engine="nwb") as tree:
        assert tree["x/time"].values.tolist() == [2.0, 2.25, 2.5, 2.75, 3.0]


@pytest.mark.parametrize("rate", [0.0, -1.0, np.nan, [1.0, 2.0]])
def test_a_series_whose_rate_is_none_is_left_out_by_name(new_file, save, rate):
    path = series_file(new_file, save, rate=1.0)
    edit(path, lambda f: f["acquisition/x/starting_time"].attrs.update({"rate": rate}))
    with read_recording(path) as recording:
        (finding,) = [f for f in recording.findings if f.code == "no_clock"]
        assert (finding.where, finding.severity) == ("acquisition/x", "error")
        assert finding.value.endswith("Hz")
        assert not recording.streams.children


def test_timestamps_win_where_a_rate_is_given_too(new_file, save):
    path = series_file(new_file, save, timestamps=np.arange(5.0) * 3)

    def change(file):
        start = file["acquisition/x"].create_dataset("starting_time", data=0.0)
        start.attrs.update({"rate": 100.0, "unit": "seconds"})

    edit(path, change)
    with xr.open_datatree(path, engine="nwb") as tree:
        assert tree["x/time"].values.tolist() == [0.0, 3.0, 6.0, 9.0, 12.0]


def test_a_mask_of_images_is_shown_by_the_engine_and_left_by_ingest(new_file, save):
    nwbfile = new_file()
    for name in ("camera", "mask"):
        data = np.random.default_rng(0).random((4, 3, 2))
        nwbfile.add_acquisition(ImageSeries(name=name, data=data, unit="n.a.", rate=9.0))
    path = save(nwbfile)

    def change(file):
        file["acquisition/mask"].attrs["neurodata_type"] = "ImageMaskSeries"
        file["acquisition/mask/masked_imageseries"] = h5py.SoftLink("/acquisition/camera")

    edit(path, change)
    with xr.open_datatree(path, engine="nwb") as tree:
        assert set(tree.children) == {"camera", "mask"}
    with read_recording(path) as recording:
        assert set(recording.streams.children) == {"camera"}
        assert "acquisition/mask" in {f.where for f in recording.findings}
