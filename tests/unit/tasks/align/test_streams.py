"""A whole session on one axis."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from schemas.contracts.aligned import ALIGNED
from schemas.errors import NothingToDoError
from schemas.settings.align import AlignSettings
from tasks.align.quality import measure_alignment, summarise_alignment
from tasks.align.streams import align_streams
from tasks.common.matrices import behaviour_matrix, neural_matrix, unit_places
from tasks.common.zarr_trees import open_tree, write_tree

Factory = Callable[..., xr.Dataset]
Session = Callable[..., xr.DataTree]


def pose_stream(time: np.ndarray) -> xr.Dataset:
    dims = ("time", "space", "keypoint", "individual")
    heading = xr.DataArray(
        np.full((len(time), 1), np.pi / 2),
        dims=("time", "individual"),
        attrs={"derived_from": "body axis"},
    )
    return xr.Dataset(
        {
            "position": (dims, np.ones((len(time), 2, 2, 1)), {"units": "px"}),
            "valid": (("time", "keypoint", "individual"), np.ones((len(time), 2, 1), bool)),
            "speed": (("time", "individual"), np.ones((len(time), 1))),
            "heading": heading,
        },
        {
            "time": ("time", time, {"units": "s"}),
            "space": ["x", "y"],
            "keypoint": ["nose", "tail"],
            "individual": ["mouse"],
        },
        {"stream_kind": "pose", "source": "/pose", "primary": "position"},
    )


def test_all_kinds_share_the_axis_through_the_lake(
    make_columns: Factory, make_spikes: Factory, make_session: Session, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    time, fast = np.arange(200) / 10, np.arange(2000) / 100
    trials = xr.Dataset(
        {
            "start_time": ("interval", [0.0], {"units": "s"}),
            "stop_time": ("interval", [9.0], {"units": "s"}),
        },
        attrs={"stream_kind": "intervals", "source": "/trials", "primary": "start_time"},
    )
    tree = make_session(
        cells=make_columns("calcium", rng.normal(size=(200, 3)), time, set_aside={1: "constant"}),
        units=make_spikes([np.sort(rng.uniform(0, 20, 50))]),
        lfp=make_columns("lfp", rng.normal(size=(2000, 2)), fast),
        running=make_columns("motion", rng.normal(size=(2000, 1)), fast),
        compass=make_columns("motion", rng.uniform(0, 360, (200, 1)), time, wrap_period=360.0),
        elsewhere=make_columns("eye", rng.normal(size=(100, 1)), time[:100] + 1e4),
        pose=pose_stream(time + 0.05),
        neuropil=make_columns("calcium", np.ones((200, 1)), time, set_aside={0: "neuropil"}),
        trials=trials,
    )
    write_tree(tree, tmp_path / "cleaned.zarr")
    write_tree(
        align_streams(open_tree(tmp_path / "cleaned.zarr"), AlignSettings()), tmp_path / "out.zarr"
    )
    aligned = open_tree(tmp_path / "out.zarr")
    ALIGNED.check(aligned)
    neurons, behaviour = neural_matrix(aligned), behaviour_matrix(aligned)
    assert set(neurons["unit"].values) == {
        "cells/u0", "cells/u2", "units/unit_0", "lfp/c0", "lfp/c1",
    }  # fmt: skip
    assert {"running", "compass/c0_cos", "pose/nose_x", "pose/speed", "pose/heading_sin"} <= set(
        behaviour["channel"].values
    )
    assert json.loads(aligned["cells"].attrs["excluded"]) == {"u1": "constant"}
    assert json.loads(aligned.attrs["left_out"]) == {"neuropil": "all set aside: neuropil"}
    metrics = {m.name: m for m in measure_alignment(aligned)}
    assert metrics["valid_fraction:elsewhere"].value == 0
    assert metrics["valid_fraction:elsewhere"].verdict == "warn"
    assert metrics["valid_fraction:cells"].verdict == "pass"
    assert summarise_alignment(aligned) == "200 samples x 16 columns at 10 Hz"
    assert aligned["lfp"].attrs["resampling"] == "band_limited"


def test_angles_are_averaged_on_the_circle(make_columns: Factory, make_session: Session) -> None:
    north = np.tile([359.0, 1.0], 500)[:, None]
    compass = make_columns("motion", north, np.arange(1000) / 100, wrap_period=360.0)
    settings = AlignSettings(time_axis="rate", rate_hz=5)
    value = align_streams(make_session(compass=compass), settings)["compass"]["value"].values
    angle = np.rad2deg(np.arctan2(value[:, 1], value[:, 0]))
    assert np.nanmax(np.abs(angle)) < 1.0


def test_segment_is_negative_where_no_stream_is_valid(
    make_columns: Factory, make_session: Session
) -> None:
    values = np.ones((30, 2))
    values[10:12] = np.nan
    time = np.arange(30.0) + (np.arange(30) >= 20) * 50
    aligned = align_streams(make_session(c=make_columns("calcium", values, time)), AlignSettings())
    segment = aligned["clock"]["segment"].values
    assert segment.tolist() == [0] * 10 + [-1] * 2 + [0] * 8 + [1] * 10


def test_invalid_times_are_masked_in_every_stream(
    make_columns: Factory, make_spikes: Factory, make_session: Session
) -> None:
    invalid = xr.Dataset(
        {
            "start_time": ("interval", [4.9], {"units": "s"}),
            "stop_time": ("interval", [7.2], {"units": "s"}),
        },
        attrs={"stream_kind": "intervals", "source": "/invalid_times", "primary": "start_time"},
    )
    cells = make_columns("calcium", np.ones((20, 1)), np.arange(20.0))
    units = make_spikes([np.arange(0, 20, 0.5)])
    tree = make_session(cells=cells, units=units, invalid_times=invalid)
    aligned = align_streams(tree, AlignSettings())
    for name in ("cells", "units"):
        lost = ~aligned[name]["valid"].values.reshape(20, -1).all(1)
        assert np.flatnonzero(lost).tolist() == [5, 6, 7]
    assert aligned["units"]["counts"].values[5:8].sum() == 0


def test_a_session_without_usable_streams_is_nothing_to_do(
    make_columns: Factory, make_session: Session
) -> None:
    aside = make_columns("calcium", np.ones((20, 1)), np.arange(20.0), set_aside={0: "constant"})
    with pytest.raises(NothingToDoError):
        align_streams(make_session(cells=aside), AlignSettings())


def test_an_unchanged_stream_is_linked_not_written_again(
    make_columns: Factory, make_session: Session, tmp_path: Path
) -> None:
    cells = make_columns("calcium", np.ones((200, 3), np.float32), np.arange(200) / 10)
    cells["valid"] = ("time", np.ones(200, bool))
    write_tree(make_session(cells=cells), tmp_path / "cleaned.zarr")
    aligned = align_streams(open_tree(tmp_path / "cleaned.zarr"), AlignSettings())
    write_tree(aligned, tmp_path / "out.zarr")
    chunk = Path("cells/activity/c/0/0")
    assert (tmp_path / "out.zarr" / chunk).samefile(tmp_path / "cleaned.zarr" / chunk)
    back = open_tree(tmp_path / "out.zarr")["cells"]
    assert back["valid"].dims == ("time",)
    assert back["activity"].attrs["ancillary_variables"] == "valid age"
    np.testing.assert_array_equal(back["activity"], np.ones((200, 3)))


def test_frames_of_a_video_and_overrides(make_columns: Factory, make_session: Session) -> None:
    time = np.arange(100) / 20
    camera = make_columns("video", np.arange(100.0)[:, None], time)
    camera["frame_index"] = ("time", np.arange(100) + 7)
    lever = make_columns("signal", (np.arange(100) % 20 > 9)[:, None], time)
    tree = make_session(camera=camera, lever=lever)
    settings = AlignSettings(time_axis="rate", rate_hz=4, by_stream={"camera": "nearest"})
    aligned = align_streams(tree, settings)
    nearest = np.abs(aligned["camera"]["time"].values[:, None] - time).argmin(1)
    np.testing.assert_array_equal(aligned["camera"]["frame_index"].values, nearest + 7)
    np.testing.assert_array_equal(aligned["camera"]["value"].values[:, 0], nearest)
    assert aligned["lever"].attrs["resampling"] == "previous"
    assert set(np.unique(aligned["lever"]["value"])) == {0.0, 1.0}
    (done,) = json.loads(aligned["camera"].attrs["provenance"])
    assert done["parameters"]["method"] == "nearest"
    assert done["parameters"]["to_hz"] == 4.0


def test_units_that_are_kept_take_their_places_along(
    make_columns: Factory, make_spikes: Factory, make_session: Session
) -> None:
    rng, time = np.random.default_rng(0), np.arange(200) / 10
    place = np.arange(6.0).reshape(3, 2)
    told = {
        "region": ("unit", ["V1", "V2", "V1"]),
        "position": (("unit", "space"), place, {"units": "um"}),
    }
    cells = make_columns("calcium", rng.normal(size=(200, 3)), time, set_aside={1: "constant"})
    trains = make_spikes([np.sort(rng.uniform(0, 20, 40)) for _ in range(3)])
    aligned = align_streams(
        make_session(cells=cells.assign_coords(told), units=trains.assign_coords(told)),
        AlignSettings(),
    )
    ALIGNED.check(aligned)
    np.testing.assert_array_equal(aligned["cells/position"], place[[0, 2]])
    assert aligned["cells/position"].attrs["units"] == "um"
    found = unit_places(aligned, ["units/unit_1", "nobody", "cells/u2"])
    assert found["region"].values.tolist() == ["V2", "", "V1"]
    np.testing.assert_array_equal(found["position"][[0, 2], :2], place[[1, 2]])
    assert np.isnan(found["position"][1]).all()
    assert np.isnan(found["position"][:, 2]).all()
