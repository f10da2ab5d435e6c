"""Small streams of every kind, as ingest writes them."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

StreamFactory = Callable[..., xr.Dataset]


def columns_stream(
    kind: str,
    values_TC: NDArray[np.generic],
    time_T: NDArray[np.float64],
    *,
    names: list[str] | None = None,
    source: str = "/acquisition/test",
    **attrs: object,
) -> xr.Dataset:
    """Return a stream of named columns over time."""
    primary, dim = {"calcium": ("activity", "unit"), "lfp": ("voltage", "channel")}.get(
        kind, ("value", "channel")
    )
    labels = names or [f"{dim[0]}{n}" for n in range(values_TC.shape[1])]
    return xr.Dataset(
        {primary: (("time", dim), values_TC, {"units": "a.u."})},
        {"time": ("time", time_T, {"units": "s"}), dim: np.array(labels, dtype=object)},
        {"stream_kind": kind, "source": source, "primary": primary, **attrs},
    )


def pose_stream(
    position_TSKI: NDArray[np.floating],
    time_T: NDArray[np.float64],
    confidence_TKI: NDArray[np.floating] | None = None,
    keypoints: list[str] | None = None,
) -> xr.Dataset:
    """Return tracked points in movement's layout."""
    _, space, points, animals = position_TSKI.shape
    dims = ("time", "space", "keypoint", "individual")
    stream = xr.Dataset(
        {"position": (dims, position_TSKI, {"units": "px"})},
        {
            "time": ("time", time_T, {"units": "s"}),
            "space": list("xyz")[:space],
            "keypoint": keypoints or [f"k{n}" for n in range(points)],
            "individual": [f"individual_{n}" for n in range(animals)],
        },
        {"stream_kind": "pose", "source": "/processing/pose", "primary": "position"},
    )
    if confidence_TKI is not None:
        stream["confidence"] = (("time", "keypoint", "individual"), confidence_TKI)
    return stream


def spike_stream(trains: list[NDArray[np.float64]]) -> xr.Dataset:
    """Return sorted units with the given spike times."""
    time = np.concatenate(trains) if trains else np.zeros(0)
    unit = np.repeat(np.arange(len(trains)), [len(t) for t in trains]).astype(np.int32)
    return xr.Dataset(
        {"spike_time": ("spike", time, {"units": "s"}), "unit_index": ("spike", unit)},
        {"unit": np.array([f"unit_{n}" for n in range(len(trains))], dtype=object)},
        {"stream_kind": "spikes", "source": "/units", "primary": "spike_time"},
    )


@pytest.fixture
def make_columns() -> StreamFactory:
    """Return columns_stream."""
    return columns_stream


@pytest.fixture
def make_pose() -> StreamFactory:
    """Return pose_stream."""
    return pose_stream


@pytest.fixture
def make_spikes() -> StreamFactory:
    """Return spike_stream."""
    return spike_stream
