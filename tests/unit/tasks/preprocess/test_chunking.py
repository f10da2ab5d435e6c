"""Chunked equals whole, bit for bit, for every kind of stream."""

from collections.abc import Callable

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.settings.preprocess import PreprocessSettings
from tasks.common import windows
from tasks.preprocess.streams import CLEANERS

Factory = Callable[..., xr.Dataset]
EVERYTHING = {
    "calcium": {"deconvolve": True},
    "lfp": {"notch": "50"},
    "motion": {"wheel_radius_cm": 5.0},
    "eye": {"gaze_distance": 10.0},
}
FIXTURES = (HealthCheck.function_scoped_fixture,)


def streams(make_columns: Factory, make_pose: Factory) -> dict[str, xr.Dataset]:
    rng = np.random.default_rng(3)
    gap = np.arange(240) // 100
    time = np.arange(240) / 30 + gap * 5.0
    fast = np.arange(2400) / 2500 + (np.arange(2400) // 900) * 1.0
    values = rng.normal(size=(240, 3)).cumsum(0)
    values[rng.random((240, 3)) < 0.05] = np.nan
    voltage = rng.normal(size=(2400, 10)).astype(np.float32)
    voltage[100:103, 2] = np.nan
    return {
        "fluorescence": make_columns(
            "calcium", values + 100, time, source="/processing/ophys/Fluorescence"
        ),
        "lfp": make_columns("lfp", voltage, fast),
        "pupil": make_columns("eye", values, time, names=["pupil_area", "x", "y"]),
        "running": make_columns("motion", values, time),
        "heading": make_columns("motion", values, time, wrap_period=2 * np.pi),
        "sound": make_columns("audio", rng.normal(size=(2400, 2)), fast),
        "calls": make_columns("audio", rng.normal(size=(30_000, 1)), np.arange(30_000) / 60_000),
        "hum": make_columns("lfp", voltage + np.sin(np.arange(2400) / 8)[:, None] * 20, fast),
        "wheel": make_columns("motion", np.abs(values) % 6, time, wrap_period=2 * np.pi),
        "accelerometer": make_columns("motion", values, time, names=["x", "y", "z"]),
        "gaze": make_columns("eye", values, time, names=["pupil_area", "x", "y"]),
        "analog": make_columns("signal", values, time),
        "pose": make_pose(
            rng.normal(size=(240, 2, 3, 2)), time, rng.random((240, 3, 2)), ["nose", "tail", "hip"]
        ),
    }


@pytest.mark.parametrize(
    "name",
    [
        *("fluorescence", "lfp", "pupil", "running", "heading", "sound", "analog", "pose"),
        *("calls", "hum", "wheel", "accelerometer", "gaze"),
    ],
)
@settings(max_examples=2, deadline=None, suppress_health_check=FIXTURES)
@given(rows=st.integers(1, 300), columns=st.integers(1, 4), block=st.sampled_from([3_000, 2**25]))
def test_chunked_equals_whole(
    name: str, make_columns: Factory, make_pose: Factory, rows: int, columns: int, block: int
) -> None:
    stream = streams(make_columns, make_pose)[name]
    clean = CLEANERS[stream.attrs["stream_kind"]]
    chunks = {d: min(n, rows if d == "time" else columns) for d, n in stream.sizes.items()}
    # No less than 50 blocks of time, or the smallest draws take minutes.
    chunks["time"] = max(chunks["time"], stream.sizes["time"] // 50)
    with pytest.MonkeyPatch.context() as patch, dask.config.set(scheduler="synchronous"):
        chosen = PreprocessSettings.model_validate(EVERYTHING)
        whole = clean(name, stream, chosen).compute()
        patch.setattr(windows, "BLOCK_BYTES", block)
        chunked = clean(name, stream.chunk(chunks), chosen).compute()
    xr.testing.assert_identical(whole, chunked)
