"""Every family of NWB objects becomes the stream it should, with the file's values, unread."""

from pathlib import Path

import h5py
import numpy as np
import pynwb
import pytest
import xarray as xr

from schemas.contracts.streams import STREAMS
from schemas.settings.ingest import IngestSettings
from tasks.ingest.opening import read_recording

KINDS = {
    "analog": "signal",
    "area": "eye",
    "camera": "video",
    "compass_direction": "motion",
    "df_over_f": "calcium",
    "gaze": "eye",
    "invalid_times": "intervals",
    "lfp": "lfp",
    "licks": "events",
    "microphone": "audio",
    "position": "pose",
    "rewards": "events",
    "speed": "motion",
    "trials": "intervals",
    "units": "spikes",
}


@pytest.fixture
def rich_path(rich_file, save) -> Path:
    return save(rich_file(), "rich.nwb")


def codes(opened) -> set[str]:
    return {finding.code for finding in opened.findings}


def test_every_family_becomes_a_stream_of_its_kind(rich_path):
    with read_recording(rich_path) as opened:
        kinds = {name: node.attrs["stream_kind"] for name, node in opened.streams.children.items()}
        assert kinds == KINDS
        STREAMS.check(opened.streams)
        assert opened.streams.attrs["session_name"] == "m1-s1"
        assert codes(opened) == {"video_missing", "left_in_file"}


def test_values_are_those_of_pynwb(rich_path):
    with read_recording(rich_path) as opened, pynwb.NWBHDF5IO(rich_path, "r") as io:
        streams, nwbfile = opened.streams, io.read()
        calcium = nwbfile.processing["ophys"]["DfOverF"]["RoiResponseSeries"]
        np.testing.assert_allclose(streams["df_over_f/activity"], calcium.data[:] * 0.5 + 3)
        np.testing.assert_allclose(streams["df_over_f/time"], 2 + np.arange(50) / 5)
        lfp = nwbfile.acquisition["lfp"]
        volts = lfp.data[:] * 1e-6 * np.array([1.0, 2.0]) + 0.001
        np.testing.assert_allclose(streams["lfp/voltage"], volts, rtol=1e-6)
        np.testing.assert_array_equal(
            streams["analog/value"], nwbfile.acquisition["analog"].data[:].reshape(100, 6)
        )
        for keypoint in ("left", "right"):
            series = nwbfile.processing["behavior"]["Position"][keypoint]
            found = streams["position/position"].sel(keypoint=keypoint)[..., 0]
            np.testing.assert_array_equal(found, series.data[:])


def test_units_are_flat_and_named_by_their_labels(rich_path):
    with read_recording(rich_path) as opened, pynwb.NWBHDF5IO(rich_path, "r") as io:
        units = opened.streams["units"].to_dataset()
        table = io.read().units
        assert units["unit"].values.tolist() == ["cell0", "cell1", "cell2"]
        assert units["depth"].values.tolist() == [0.0, 10.0, 20.0]
        for unit in range(3):
            own = units["spike_time"].values[units["unit_index"].values == unit]
            np.testing.assert_array_equal(own, table["spike_times"][unit])


def test_columns_take_the_rows_of_their_region(rich_path):
    with read_recording(rich_path) as opened:
        assert opened.streams["df_over_f/unit"].values.tolist() == ["roi_3", "roi_1"]
        assert opened.streams["lfp/channel"].values.tolist() == ["electrode_2", "electrode_0"]


def test_integers_keep_the_encoding_that_stores_them_as_they_are(rich_path, tmp_path):
    with read_recording(rich_path) as opened:
        activity = opened.streams["df_over_f/activity"]
        assert activity.encoding == {
            "dtype": np.dtype(np.int16), "scale_factor": 0.5, "add_offset": 3.0
        }  # fmt: skip
        assert opened.streams["lfp/voltage"].encoding == {}, "gains differ between channels"


def test_opening_reads_no_samples(rich_path, monkeypatch):
    read: list[str] = []
    real = h5py.Dataset.__getitem__

    def counting(self, args, new_dtype=None):
        read.append(self.name)
        return real(self, args) if new_dtype is None else real(self, args, new_dtype)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", counting)
    with read_recording(rich_path) as opened:
        samples = [
            name
            for name in read
            if name.endswith(("/data", "/timestamps", "/spike_times", "/start_time", "/timestamp"))
        ]
        # Position's two points have a clock each: three of its samples are compared.
        assert {name.split("/")[-2] for name in samples} <= {"left", "right"}
        assert not [name for name in samples if name.endswith("/data")]
        before = len(read)
        part = opened.streams["speed/value"][3:5]
        assert len(read) == before
        assert part.shape == (2, 1)
        assert np.isfinite(part.values).all()
        assert len(read) == before + 1


def test_settings_override_the_kind_and_leave_objects_out(rich_path):
    settings = IngestSettings(
        kinds={"acquisition/ana*": "motion", "*/speed": "signal"},
        leave_out=("acquisition/microphone", "units"),
    )
    with read_recording(rich_path, settings) as opened:
        assert opened.streams["analog"].attrs["stream_kind"] == "motion"
        assert opened.streams["speed"].attrs["stream_kind"] == "signal"
        assert "microphone" not in opened.streams.children
        assert "units" not in opened.streams.children
        assert sum(f.code == "left_out" for f in opened.findings) == 2


def test_a_heading_says_by_which_period_it_wraps(rich_path):
    with read_recording(rich_path) as opened:
        assert opened.streams["compass_direction"].attrs["wrap_period"] == pytest.approx(2 * np.pi)


def test_streams_of_one_name_get_their_containers_name(new_file, save):
    nwbfile = new_file()
    for name in ("left", "right"):
        module = nwbfile.create_processing_module(name, "one side")
        module.add(pynwb.TimeSeries(name="sensor", data=[1.0, 2.0], unit="V", rate=1.0))
    with read_recording(save(nwbfile)) as opened:
        assert set(opened.streams.children) == {"left_sensor", "right_sensor"}


def test_what_is_not_understood_is_listed_by_name(new_file, save):
    nwbfile = new_file()
    nwbfile.add_acquisition(
        pynwb.TimeSeries(name="movie", data=np.zeros((3, 80, 80)), unit="V", rate=1.0)
    )
    nwbfile.add_scratch(np.arange(3), name="notes", description="scratch")
    with read_recording(save(nwbfile)) as opened:
        where = {finding.where: finding.code for finding in opened.findings}
        assert where == {"acquisition/movie": "too_many_columns", "scratch/notes": "left_in_file"}
        assert not opened.streams.children


def test_sample_rates_turn_frame_numbers_into_seconds(new_file, save):
    nwbfile = new_file()
    nwbfile.add_acquisition(
        pynwb.TimeSeries(name="track", data=np.zeros(200), unit="px", timestamps=np.arange(200.0))
    )
    settings = IngestSettings(sample_rates_hz={"acquisition/track": 50.0})
    with read_recording(save(nwbfile), settings) as opened:
        np.testing.assert_allclose(opened.streams["track/time"], np.arange(200) / 50)


def test_an_in_memory_file_is_read_too(rich_file):
    from tasks.ingest.lazy import FileArrays
    from tasks.ingest.objects import ReadContext
    from tasks.ingest.streams import read_streams

    context = ReadContext(IngestSettings(), FileArrays())
    tree = read_streams(rich_file(), context)
    assert {n: node.attrs["stream_kind"] for n, node in tree.children.items()} == KINDS
    assert isinstance(tree, xr.DataTree)
