"""Streams at their own rate: each sample as it was, in the slot of its bin, once."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.contracts.aligned import ALIGNED
from schemas.errors import SettingsError
from schemas.settings.align import AlignSettings
from tasks.align.clock import rate_axis
from tasks.align.native import fill_slots
from tasks.align.source import read_source
from tasks.align.streams import align_streams
from tasks.common.matrices import behaviour_matrix
from tasks.common.zarr_trees import open_tree, write_tree

Factory = Callable[..., xr.Dataset]
Session = Callable[..., xr.DataTree]


@settings(max_examples=200, deadline=None)
@example(rate_hz=49.5, start_s=0.0, jitter=0.09375, seed=0)
@given(
    rate_hz=st.floats(2.0, 150.0),
    start_s=st.floats(0.0, 0.3),
    jitter=st.floats(0.0, 0.1),
    seed=st.integers(0, 99),
)
def test_no_sample_is_moved_doubled_or_lost(
    rate_hz: float, start_s: float, jitter: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    count = int(20 * rate_hz)
    time = start_s + (np.arange(count) + jitter * rng.uniform(-1, 1, count)) / rate_hz
    axis = rate_axis(np.array([[0.0, 25.0]]), 10.0)
    slots = fill_slots(read_source(time, 2.5), axis)
    placed = slots.row_TS[slots.row_TS >= 0]
    assert (np.diff(placed) > 0).all()
    assert len(placed) + slots.left_out >= count - 2
    # At most what a bin has more than slots: a whole number of them within 2 %.
    assert slots.left_out <= 0.021 * count + 2
    row, slot = np.nonzero(slots.row_TS >= 0)
    apart = slots.time_TS[row, slot] - (axis.time[row] + slots.offset_S[slot])
    width = axis.bin_s / slots.row_TS.shape[1]
    assert np.abs(apart).max() <= 2.2 * width


def test_a_regular_stream_on_the_edges_of_bins_fills_every_slot() -> None:
    rng = np.random.default_rng(0)
    time = np.arange(3000) / 30 + rng.uniform(-1e-3, 1e-3, 3000)
    slots = fill_slots(read_source(time, 2.5), rate_axis(np.array([[0.0, 100.0]]), 10.0))
    assert slots.row_TS.shape == (1000, 3)
    assert (slots.row_TS[1:-1] >= 0).all()
    assert slots.left_out == 0
    np.testing.assert_allclose(slots.offset_S, [-1 / 30, 0, 1 / 30])


def test_slots_do_not_reach_across_a_gap() -> None:
    time = np.concatenate([np.arange(300) / 30, 20 + np.arange(300) / 30])
    axis = rate_axis(np.array([[0.0, 10.0], [20.0, 30.0]]), 10.0)
    slots = fill_slots(read_source(time, 2.5), axis)
    when = np.nan_to_num(slots.time_TS, nan=-1)
    assert when[axis.segment == 0].max() < 10 <= 20 <= when[axis.segment == 1].max()
    assert (when[axis.segment == 1][1:] >= 20).all()


def test_native_samples_are_the_streams_own_whatever_its_chunks(
    make_columns: Factory, make_session: Session, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    wheel = rng.normal(size=(4000, 2))
    wheel[700:720, 1] = np.nan
    turned = np.full((1200, 1), 90.0)
    tree = make_session(
        cells=make_columns("calcium", rng.normal(size=(400, 3)), np.arange(400) / 10 + 0.05),
        wheel=make_columns("motion", wheel, np.arange(4000) / 100),
        gaze=make_columns("eye", rng.normal(size=(80, 1)), np.arange(80) / 2 + 0.05),
        compass=make_columns("motion", turned, np.arange(1200) / 30, wrap_period=360.0),
    )
    write_tree(tree, tmp_path / "cleaned.zarr")
    kept = AlignSettings(native=("motion", "gaze"))
    for chunk in (None, 333):
        cleaned = open_tree(tmp_path / "cleaned.zarr")
        if chunk:
            cleaned = cleaned.map_over_datasets(
                lambda d, chunk=chunk: d.chunk({"time": chunk}) if "time" in d.dims else d
            )
        write_tree(align_streams(cleaned, kept), tmp_path / f"{chunk}.zarr")
        aligned = open_tree(tmp_path / f"{chunk}.zarr")
        ALIGNED.check(aligned)
        native = aligned["wheel"]["native"]
        assert native.dims == ("time", "slot", "channel")
        flat = native.values.reshape(-1, 2)[: len(wheel)]
        np.testing.assert_array_equal(flat, wheel[: len(flat)].astype(np.float32))
        np.testing.assert_allclose(
            aligned["wheel"]["native_time"].values.ravel()[:3999], np.arange(3999) / 100
        )
    # What is slower than the axis is there only where it was sampled.
    assert np.isfinite(aligned["gaze"]["native"].values).sum() == 80
    behaviour = behaviour_matrix(aligned, native=True)
    assert {"gaze", "compass/c0_cos@-0.03333", "compass/c0_sin@+0"} < {*behaviour["channel"].values}
    wheel_only = behaviour.isel(channel=behaviour["stream"] == "wheel")
    assert wheel_only["channel"].values.tolist()[:2] == ["wheel/c0@-0.045", "wheel/c0@-0.035"]
    assert wheel_only["whole"].values.tolist()[10:20] == ["wheel/c1"] * 10
    own = behaviour["behaviour"].sel(channel="wheel/c0@-0.035")
    np.testing.assert_array_equal(own, wheel[1::10, 0].astype(np.float32))


def test_times_that_the_recording_calls_invalid_stay_out(
    make_columns: Factory, make_session: Session
) -> None:
    broken = xr.Dataset(
        {
            "start_time": ("interval", [1.0], {"units": "s"}),
            "stop_time": ("interval", [2.0], {"units": "s"}),
        },
        attrs={"stream_kind": "intervals", "source": "/invalid_times", "primary": "start_time"},
    )
    wheel = make_columns("motion", np.ones((400, 1)), np.arange(400) / 100)
    settings = AlignSettings(time_axis="rate", native=("wheel",))
    aligned = align_streams(make_session(wheel=wheel, invalid_times=broken), settings)
    stream = aligned["wheel"].to_dataset()
    inside = ((stream["time"] > 1) & (stream["time"] < 2)).values
    assert not np.isfinite(stream["native"].values[inside]).any()
    assert np.isfinite(stream["native"].values[~inside]).mean() > 0.9


def test_a_name_that_is_no_behaviour_is_refused(
    make_columns: Factory, make_session: Session
) -> None:
    activity = np.random.default_rng(0).normal(size=(50, 2))
    tree = make_session(
        cells=make_columns("calcium", activity, np.arange(50) / 10),
        wheel=make_columns("motion", np.ones((500, 1)), np.arange(500) / 100),
    )
    with pytest.raises(SettingsError, match="'cells'") as caught:
        align_streams(tree, AlignSettings(native=("cells", "eye")))
    assert "wheel" in str(caught.value)
