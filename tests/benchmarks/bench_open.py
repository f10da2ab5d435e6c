"""Opening a session of 100,000 units by its name: time, and that no chunk of data is read."""

import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr

from schemas.contracts.contract import TreeContract
from schemas.entities import Session, Subject, now
from schemas.settings.base import StageSettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.workspace import Request, Workspace

UNITS, SAMPLES = 100_000, 1_000


@pytest.mark.slow
@pytest.mark.parametrize("chunks", [None, {}], ids=["indexed", "dask"])
def test_opening_many_units(benchmark, tmp_path, monkeypatch, chunks):
    space = Workspace(WorkspaceSettings(lake=str(tmp_path / "lake")))
    subject = Subject(subject_id="fish")
    key = space.catalogue.add_session(Session(subject=subject, session_id="", start_time=now()))
    activity = da.zeros((SAMPLES, UNITS), chunks=(SAMPLES, 5_000), dtype="f4")
    cells = xr.Dataset(
        {"activity": (("time", "unit"), activity), "valid": ("time", np.ones(SAMPLES, bool))},
        {"time": np.arange(SAMPLES) / 2, "unit": [f"roi_{n}" for n in range(UNITS)]},
        {"stream_kind": "calcium", "primary": "activity"},
    )
    cells["activity"].encoding["chunks"] = (SAMPLES, 5_000)
    tree = xr.DataTree.from_dict({"/cells": cells})
    request = Request("aligned", "align", StageSettings(), session_key=key)
    space.produce(request, lambda draft: draft.write_tree(tree, TreeContract("aligned")))
    read = []
    get = zarr.storage.LocalStore.get

    async def counted(self, name, *rest, **more):
        read.append(name)
        return await get(self, name, *rest, **more)

    def open_it():
        return xr.open_datatree(
            "tectum:fish*/aligned", engine="tectum", chunks=chunks, lake=space.lake.root
        )

    with monkeypatch.context() as patch:
        patch.setattr(zarr.storage.LocalStore, "get", counted)
        (opened,) = open_it().children.values()
    assert opened["cells"]["activity"].shape == (SAMPLES, UNITS)
    assert not [name for name in read if "activity/c" in name or "valid/c" in name]
    benchmark.pedantic(open_it, rounds=10, warmup_rounds=2)
    benchmark.extra_info |= {"chunks_of_coordinates": sum("/c/" in name for name in read)}
    print(f"\n{chunks}: {benchmark.stats.stats.median:.3f} s")  # noqa: T201
    assert benchmark.stats.stats.min < 0.2
