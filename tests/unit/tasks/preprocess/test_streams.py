"""A whole session of streams."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr

from schemas.contracts.preprocessed import PREPROCESSED
from schemas.contracts.streams import STREAMS
from schemas.settings.preprocess import PreprocessSettings
from tasks.common.zarr_trees import open_tree, write_tree
from tasks.preprocess.quality import measure_quality, summarise_preprocessing
from tasks.preprocess.streams import preprocess_streams

Factory = Callable[..., xr.Dataset]
ROOT = xr.Dataset(
    attrs={
        "session_key": "0" * 16,
        "session_name": "test",
        "subject_id": "test",
        "session_start_time": "2026-01-01T00:00:00+00:00",
    }
)


def session(make_columns: Factory, make_pose: Factory, make_spikes: Factory) -> xr.DataTree:
    rng = np.random.default_rng(0)
    time = np.arange(300) / 30
    cells = rng.normal(size=(300, 4)) + 100
    trials = xr.Dataset(
        {
            "start_time": ("interval", [0.0], {"units": "s"}),
            "stop_time": ("interval", [9.0], {"units": "s"}),
        },
        attrs={"stream_kind": "intervals", "source": "/trials", "primary": "start_time"},
    )
    return xr.DataTree.from_dict(
        {
            "/": ROOT,
            "/units": make_spikes([np.sort(rng.uniform(0, 10, 50)) for _ in range(2)]),
            "/fluorescence": make_columns("calcium", cells, time, source="/Fluorescence/Roi"),
            "/neuropil": make_columns("calcium", cells, time, source="/Fluorescence/Neuropil"),
            "/lfp": make_columns("lfp", rng.normal(size=(5000, 9)), np.arange(5000) / 1000),
            "/pupil": make_columns("eye", rng.normal(size=(300, 1)), time, names=["pupil"]),
            "/running": make_columns("motion", rng.normal(size=(300, 1)), time),
            "/pose": make_pose(rng.normal(size=(300, 2, 2, 1)), time),
            "/sound": make_columns("audio", rng.normal(size=(8000, 1)), np.arange(8000) / 8000),
            "/analog": make_columns("signal", rng.integers(0, 9, (300, 1)), time),
            "/trials": trials,
        }
    )


def test_every_kind_keeps_its_contract_through_the_lake(
    make_columns: Factory, make_pose: Factory, make_spikes: Factory, tmp_path: Path
) -> None:
    streams = session(make_columns, make_pose, make_spikes)
    STREAMS.check(streams)
    write_tree(streams, tmp_path / "streams.zarr")
    cleaned = preprocess_streams(open_tree(tmp_path / "streams.zarr"), PreprocessSettings())
    PREPROCESSED.check(cleaned)
    write_tree(cleaned, tmp_path / "cleaned.zarr")
    written = open_tree(tmp_path / "cleaned.zarr")
    PREPROCESSED.check(written)
    assert set(written.children) == set(streams.children)
    for name, node in written.children.items():
        primary = node[node.attrs["primary"]]
        if "valid" in node and primary.dims[-1] != "individual":
            assert np.isfinite(primary.where(node["valid"], 0.0)).all(), name
    assert summarise_preprocessing(written) == "15 of 19 units kept, 10 streams"
    assert {m.name for m in measure_quality(written)} >= {
        "valid_fraction:pupil",
        "kept_fraction:units",
    }


def test_the_same_cells_are_used_once(
    make_columns: Factory, make_pose: Factory, make_spikes: Factory
) -> None:
    streams = session(make_columns, make_pose, make_spikes)
    cleaned = preprocess_streams(streams, PreprocessSettings())
    assert cleaned["fluorescence"]["keep"].all()
    assert not cleaned["neuropil"]["keep"].any()
    assert set(cleaned["neuropil"]["reason"].values) == {"the same cells as in 'fluorescence'"}
