"""Fixtures that every test may use: aligned trees of given arrays, real recordings, moto's S3."""

import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from schemas.contracts.aligned import ALIGNED

# Else kEDM, once imported, binds the process and all that it starts to one core.
os.environ["OMP_PROC_BIND"] = "false"

RECORDINGS = Path(__file__).resolve().parents[2] / "shared" / "data"

AlignedFactory = Callable[..., xr.DataTree]


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Folder of the real recordings; skips where it is absent."""
    if not RECORDINGS.is_dir():
        pytest.skip("the real recordings are not beside this checkout")
    return RECORDINGS


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Address of moto's S3 server."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from moto.moto_server.threaded_moto_server import ThreadedMotoServer
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of a new bucket; the environment holds what it takes to reach it."""
    import s3fs

    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{uuid4().hex[:8]}"
    s3fs.S3FileSystem(use_listings_cache=False).mkdir(name)
    return f"s3://{name}"


@pytest.fixture(scope="session")
def make_aligned() -> AlignedFactory:
    """Return a function that builds a valid aligned tree from plain arrays."""
    return aligned_tree


def aligned_tree(
    activity_TN: NDArray[np.floating],
    behaviour_TC: NDArray[np.floating] | None = None,
    *,
    rate_hz: float = 10.0,
    segment_T: NDArray[np.integer] | None = None,
    channels: list[str] | None = None,
) -> xr.DataTree:
    """Build an aligned tree: calcium units n0, n1, ... and a motion stream 'running'."""
    length, units = activity_TN.shape
    segment_T = np.zeros(length, np.int32) if segment_T is None else segment_T.astype(np.int32)
    # A change of segment is a gap: time jumps by 10 s there.
    time_T = np.arange(length) / rate_hz + 10.0 * np.maximum(segment_T, 0)
    time = ("time", time_T, {"units": "s"})
    common = {"source": "made by a test"}
    groups = {
        "/": xr.Dataset(
            attrs={
                "session_key": "0" * 16,
                "session_name": "test",
                "subject_id": "test",
                "session_start_time": "2026-01-01T00:00:00+00:00",
            }
        ),
        "/clock": xr.Dataset(
            {
                "segment": ("time", segment_T),
                "bin_start": ("time", time_T - 0.5 / rate_hz),
                "bin_stop": ("time", time_T + 0.5 / rate_hz),
            },
            {"time": time},
            {"stream_kind": "clock", "rate_hz": rate_hz, "reference": "calcium"},
        ),
        "/calcium": xr.Dataset(
            {
                "activity": (("time", "unit"), activity_TN.astype(np.float32), {"units": "1"}),
                "valid": (("time", "unit"), np.isfinite(activity_TN)),
            },
            {"time": time, "unit": [f"n{i}" for i in range(units)]},
            {**common, "stream_kind": "calcium", "primary": "activity"},
        ),
    }
    if behaviour_TC is not None:
        names = channels or [f"b{i}" for i in range(behaviour_TC.shape[1])]
        groups["/running"] = xr.Dataset(
            {
                "value": (("time", "channel"), behaviour_TC.astype(np.float32), {"units": "cm/s"}),
                "valid": ("time", np.isfinite(behaviour_TC).all(1)),
            },
            {"time": time, "channel": names},
            {**common, "stream_kind": "motion", "primary": "value"},
        )
    tree = xr.DataTree.from_dict(groups)
    ALIGNED.check(tree)
    return tree
