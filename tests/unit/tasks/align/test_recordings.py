"""Real recordings, from the NWB file to the aligned tree."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from schemas.contracts.aligned import ALIGNED
from schemas.settings.align import AlignSettings
from tasks.align.streams import align_streams
from tasks.common.matrices import behaviour_matrix, neural_matrix

pytestmark = pytest.mark.shared
ROOT = xr.Dataset(
    attrs={
        "session_key": "0" * 16,
        "session_name": "test",
        "subject_id": "test",
        "session_start_time": "2026-01-01T00:00:00+00:00",
    }
)


def read_series(path: Path, place: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the data as columns and the timestamps of a series of an NWB file."""
    with h5py.File(path) as file:
        group = file[place]
        data = group["data"][:] * group["data"].attrs["conversion"]
        return data.reshape(len(data), -1), group["timestamps"][:]


def cleaned(kind: str, values: np.ndarray, time: np.ndarray) -> xr.Dataset:
    """Return a cleaned stream, everything valid and kept."""
    primary, dim = ("activity", "unit") if kind == "calcium" else ("value", "channel")
    names = np.array([f"c{n}" for n in range(values.shape[1])], dtype=object)
    stream = xr.Dataset(
        {
            primary: (("time", dim), values, {"units": "1"}),
            "valid": (("time",), np.ones(len(time), bool)),
        },
        {"time": ("time", time, {"units": "s"}), dim: names},
        {"stream_kind": kind, "source": "/test", "primary": primary},
    )
    if kind == "calcium":
        stream["keep"] = (dim, np.ones(values.shape[1], bool))
        stream["reason"] = (dim, np.array([""] * values.shape[1], dtype=object))
    return stream


@pytest.mark.parametrize("mouse", [24, 26, 29])
def test_every_sample_of_every_window_is_the_original(recordings: Path, mouse: int) -> None:
    path = recordings / f"nwb_converted/mouse_v1_park_mrcuts{mouse}.nwb"
    activity, time = read_series(path, "processing/ophys/DfOverF/RoiResponseSeries")
    running, running_time = read_series(
        path, "processing/behavior/BehavioralTimeSeries/running_speed"
    )
    tree = xr.DataTree.from_dict(
        {
            "/": ROOT,
            "/cells": cleaned("calcium", activity, time).chunk({"time": 1000, "unit": 7}),
            "/running": cleaned("motion", running, running_time),
        }
    )
    aligned = align_streams(tree, AlignSettings())
    ALIGNED.check(aligned)
    np.testing.assert_array_equal(aligned["clock"]["time"], time)
    np.testing.assert_array_equal(neural_matrix(aligned)["activity"], activity.astype(np.float32))
    behaviour = behaviour_matrix(aligned)["behaviour"].values
    np.testing.assert_array_equal(behaviour, running.astype(np.float32))
    segment = aligned["clock"]["segment"].values
    assert np.bincount(segment).tolist() == [49] * 128


@pytest.mark.parametrize("rate", [5.0, 10.0, 40.0])
def test_no_sample_between_the_windows_is_made_up(recordings: Path, rate: float) -> None:
    path = recordings / "nwb_converted/mouse_v1_park_mrcuts24.nwb"
    activity, time = read_series(path, "processing/ophys/DfOverF/RoiResponseSeries")
    tree = xr.DataTree.from_dict({"/": ROOT, "/cells": cleaned("calcium", activity, time)})
    span = xr.Dataset(coords={"time": ("time", np.arange(0, 646, 1 / rate), {"units": "s"})})
    span["value"] = (("time", "channel"), np.ones((span.sizes["time"], 1)), {"units": "1"})
    span["valid"] = ("time", np.ones(span.sizes["time"], bool))
    span = span.assign_coords(channel=np.array(["tick"], dtype=object))
    span.attrs = {"stream_kind": "signal", "source": "/test", "primary": "value"}
    tree["span"] = xr.DataTree(span)
    settings = AlignSettings(time_axis="stream", reference="span")
    aligned = align_streams(tree, settings)
    valid = aligned["cells"]["valid"].values
    clock = aligned["clock"].to_dataset()
    starts, stops = time[::49], time[48::49]
    holder = np.searchsorted(starts, clock["bin_stop"].values, side="right") - 1
    touches = (holder >= 0) & (clock["bin_start"].values <= stops[np.maximum(holder, 0)])
    assert not valid[~touches].any()
    inside = (holder >= 0) & (clock["time"].values <= stops[np.maximum(holder, 0)])
    inside &= clock["time"].values >= starts[np.maximum(holder, 0)]
    assert valid[inside].mean() > 0.95
    # Every value lies between the lowest and the highest of its own window.
    values = neural_matrix(aligned)["activity"].values
    windows = activity.reshape(128, 49, -1)
    low, high = windows.min(1)[holder[valid]], windows.max(1)[holder[valid]]
    assert ((values[valid] >= low - 1e-5) & (values[valid] <= high + 1e-5)).all()


def test_a_repeated_camera_time_does_not_break_the_rat(recordings: Path) -> None:
    path = recordings / "nwb_converted/rat_linear_track.nwb"
    head, time = read_series(path, "processing/behavior/Position/head")
    assert (np.diff(time) == 0).sum() == 1
    tree = xr.DataTree.from_dict({"/": ROOT, "/head": cleaned("motion", head, time)})
    aligned = align_streams(tree, AlignSettings(time_axis="rate"))
    ALIGNED.check(aligned)
    assert float(aligned["head"]["valid"].mean()) > 0.999
