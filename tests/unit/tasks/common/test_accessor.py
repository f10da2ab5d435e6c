"""What people ask of a session: a stretch of it, trials, only what is valid. Lazily."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.contracts.aligned import ALIGNED
from schemas.errors import NotFoundError, SettingsError
from tasks.common import accessor  # noqa: F401 - registers the accessor
from tasks.common.trials import cut_trials
from tasks.common.zarr_trees import open_tree, write_tree

TABLES = {
    "/licks": xr.Dataset(
        {"event_time": ("event", [0.0, 5.0, np.nan, 12.0, 400.0], {"units": "s"})},
        attrs={"stream_kind": "events", "source": "/licks", "primary": "event_time"},
    ),
    "/trials": xr.Dataset(
        {
            "start_time": ("interval", [2.0, 8.0], {"units": "s"}),
            "stop_time": ("interval", [4.0, 9.0], {"units": "s"}),
            "go_cue": ("interval", [3.0, np.nan], {"units": "s"}),
        },
        attrs={"stream_kind": "intervals", "source": "/trials", "primary": "start_time"},
    ),
}


@pytest.fixture
def session(make_aligned: Callable[..., xr.DataTree], tmp_path: Path) -> xr.DataTree:
    """20 s at 10 Hz, 3 units of which one is missing for a while, in the lake's chunks."""
    activity_TN = np.arange(600.0).reshape(200, 3)
    activity_TN[100:110, 1] = np.nan
    tree = make_aligned(activity_TN, activity_TN[:, [0, 2]] * 10)
    for name, table in TABLES.items():
        tree[name] = xr.DataTree(table)
    ALIGNED.check(tree)
    write_tree(tree, tmp_path / "data.zarr")
    return open_tree(tmp_path / "data.zarr")


def test_between_keeps_what_happened_then(session: xr.DataTree) -> None:
    part = session.tectum.between(3.0, 8.5)
    time = part["calcium"]["time"].values
    assert (time.min(), time.max(), len(time)) == (3.0, 8.4, 55)
    assert part["clock"].sizes["time"] == part["running"].sizes["time"] == 55
    assert part["licks"]["event_time"].values.tolist() == [5.0]
    assert part["trials"]["start_time"].values.tolist() == [2.0, 8.0]
    assert part["calcium"]["activity"].chunks is not None
    ALIGNED.check(part)


def test_valid_masks_and_keeps_everything_else(session: xr.DataTree) -> None:
    masked = session.tectum.valid()
    np.testing.assert_array_equal(
        np.isfinite(masked["calcium"]["activity"]), session["calcium"]["valid"]
    )
    assert masked["calcium"]["activity"].attrs == session["calcium"]["activity"].attrs
    ALIGNED.check(masked)


def test_trials_of_a_stream_are_its_samples_around_the_event(session: xr.DataTree) -> None:
    cut = session.tectum.trials("licks", before=1.0, after=0.5, stream="calcium")
    assert cut["activity"].dims == ("trial", "time", "unit")
    assert cut["trial"].values.tolist() == [0, 1, 3, 4]
    np.testing.assert_allclose(cut["time"], np.arange(-10, 6) / 10)
    expected = session["calcium"]["activity"].values
    np.testing.assert_array_equal(cut["activity"][1], expected[40:56])
    # Before the start, and long after the end, nothing is known.
    assert np.isnan(cut["activity"][0, :10]).all()
    np.testing.assert_array_equal(cut["activity"][0, 10:], expected[:6])
    assert np.isnan(cut["activity"][3]).all()
    assert not cut["valid"][3].any()
    assert isinstance(cut["activity"].data, da.Array)


def test_trials_of_the_matrices_and_other_columns(session: xr.DataTree) -> None:
    cut = session.tectum.trials("trials/go_cue", 0.2, 0.2)
    assert dict(cut.sizes) == {"trial": 1, "time": 5, "unit": 3, "channel": 2}
    assert cut["unit"].values.tolist() == ["calcium/n0", "calcium/n1", "calcium/n2"]
    np.testing.assert_array_equal(cut["behaviour"][0, :, 0], np.arange(28, 33) * 30)
    with pytest.raises(NotFoundError, match=r"It has: .*go_cue"):
        session.tectum.trials("trials/reward", 1, 1)
    with pytest.raises(NotFoundError, match="There are: licks, trials"):
        session.tectum.trials("sniffs", 1, 1)
    with pytest.raises(SettingsError, match="no sample lies between"):
        session.tectum.trials("licks", -3, 1)


def test_many_sessions_are_asked_at_once(session: xr.DataTree) -> None:
    many = xr.DataTree.from_dict({"a": session, "b": session})
    cut = many.tectum.trials("licks", 0.5, 0.5, stream="running")
    assert cut["b"]["value"].shape == (4, 11, 2)
    assert many.tectum.between(0, 1)["a/clock"].sizes["time"] == 10


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-2, 22), min_size=0, max_size=12),
    st.integers(1, 60),
    st.integers(1, 3),
    st.integers(0, 30),
    st.integers(0, 30),
)
def test_chunked_trials_equal_an_obvious_loop(
    events: list[float], rows: int, columns: int, before: int, after: int
) -> None:
    # A pause of 3 s in the middle: no trial reaches across it.
    time = np.arange(150) / 10 + 3.0 * (np.arange(150) >= 70)
    values = np.random.default_rng(0).normal(size=(150, 3))
    stream = xr.Dataset(
        {
            "value": (("time", "channel"), da.from_array(values, (rows, columns))),
            "valid": (("time",), da.ones(150, chunks=rows, dtype=bool)),
        },
        {"time": time},
    )
    cut = cut_trials(stream, np.array(events), before / 10, after / 10).compute()
    for trial, event in enumerate(events):
        for place, lag in enumerate(np.arange(-before, after + 1) / 10):
            near = int(np.abs(time - (event + lag)).argmin())
            there = abs(time[near] - event - lag) <= 0.06
            assert cut["valid"].values[trial, place] == there
            found = cut["value"].values[trial, place]
            if not there:
                assert np.isnan(found).all()
            elif abs(abs(time[near] - event - lag) - 0.05) > 1e-6:
                np.testing.assert_array_equal(found, values[near])


def test_opening_and_cutting_read_no_data(
    session: xr.DataTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Count what is read from the store: times, names and tables, never a stream's values."""
    read: list[str] = []
    get = zarr.storage.LocalStore.get

    async def counted(self: object, key: str, *rest: object, **more: object) -> object:
        read.append(key)
        return await get(self, key, *rest, **more)

    monkeypatch.setattr(zarr.storage.LocalStore, "get", counted)
    # A name of its own: Dask must not know it already.
    opened = xr.open_datatree(tmp_path / "data.zarr", engine="zarr", chunks={})
    cut = opened.tectum.trials("licks", 1, 1, stream="calcium")
    lazily = xr.open_datatree(tmp_path / "data.zarr", engine="zarr")
    assert lazily.tectum.trials("licks", 1, 1).sizes["trial"] == 4
    chunks = {key.split("/c/")[0] for key in read if "/c/" in key}
    assert not {c for c in chunks if c.endswith(("activity", "value", "valid", "segment"))}
    cut.load()
    assert any("calcium/activity/c/" in key for key in read)


def test_nobody_needs_to_import_tectum(tmp_path: Path, session: xr.DataTree) -> None:
    code = (
        "import xarray as xr; "
        "'tectum' in xr.backends.list_engines(); "
        f"tree = xr.open_datatree({str(tmp_path / 'data.zarr')!r}, engine='zarr'); "
        "print(tree.tectum.between(0, 1)['clock'].sizes['time'])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True
    )
    assert done.stdout.strip() == "10", done.stderr
