"""Small cleaned streams, as preprocess writes them."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

ROOT = xr.Dataset(
    attrs={
        "session_key": "0" * 16,
        "session_name": "test",
        "subject_id": "test",
        "session_start_time": "2026-01-01T00:00:00+00:00",
    }
)


def columns_stream(
    kind: str,
    values_TC: NDArray[np.generic],
    time_T: NDArray[np.float64],
    *,
    set_aside: dict[int, str] | None = None,
    **attrs: object,
) -> xr.Dataset:
    """Return a cleaned stream of columns; valid where finite."""
    primary, dim = {"calcium": ("activity", "unit"), "lfp": ("voltage", "channel")}.get(
        kind, ("value", "channel")
    )
    reasons = set_aside or {}
    columns = range(values_TC.shape[1])
    stream = xr.Dataset(
        {
            primary: (("time", dim), values_TC, {"units": "a.u."}),
            "valid": (("time", dim), np.isfinite(values_TC)),
        },
        {
            "time": ("time", time_T, {"units": "s"}),
            dim: np.array([f"{dim[0]}{n}" for n in columns], dtype=object),
        },
        {"stream_kind": kind, "source": "/test", "primary": primary, **attrs},
    )
    if kind in ("calcium", "lfp"):
        stream["keep"] = (dim, np.array([n not in reasons for n in columns], bool))
        stream["reason"] = (dim, np.array([reasons.get(n, "") for n in columns], dtype=object))
    return stream


def spike_stream(trains: list[NDArray[np.float64]]) -> xr.Dataset:
    """Return assessed units, all kept."""
    count = len(trains)
    return xr.Dataset(
        {
            "spike_time": ("spike", np.concatenate(trains), {"units": "s"}),
            "unit_index": ("spike", np.repeat(np.arange(count), [len(t) for t in trains])),
            "keep": ("unit", np.ones(count, bool)),
            "reason": ("unit", np.array([""] * count, dtype=object)),
        },
        {"unit": np.array([f"unit_{n}" for n in range(count)], dtype=object)},
        {"stream_kind": "spikes", "source": "/units", "primary": "spike_time"},
    )


def session_tree(**streams: xr.Dataset) -> xr.DataTree:
    """Return a tree of the given streams."""
    return xr.DataTree.from_dict({"/": ROOT, **{f"/{n}": d for n, d in streams.items()}})


@pytest.fixture
def make_columns() -> Callable[..., xr.Dataset]:
    """Return columns_stream."""
    return columns_stream


@pytest.fixture
def make_spikes() -> Callable[..., xr.Dataset]:
    """Return spike_stream."""
    return spike_stream


@pytest.fixture
def make_session() -> Callable[..., xr.DataTree]:
    """Return session_tree."""
    return session_tree
