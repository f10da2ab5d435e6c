"""Many sessions on one and on two Dask workers: aligned and written, the same bytes, one run."""

import hashlib

import numpy as np
import pytest
import xarray as xr

SESSIONS, SECONDS = 16, 600.0


def write_cleaned(path, seed):
    """Write a cleaned session: imaged neurons, fast running, as preprocess leaves them."""
    from tasks.common.zarr_trees import write_tree

    rng = np.random.default_rng(seed)
    groups = {"/": xr.Dataset(attrs={"session_name": f"s{seed}"})}
    for name, kind, hz, columns, dim, variable in (
        ("cells", "calcium", 30.0, 300, "unit", "activity"),
        ("running", "motion", 100.0, 4, "channel", "value"),
    ):
        size = int(SECONDS * hz)
        values = rng.standard_normal((size, columns), np.float32)
        groups[f"/{name}"] = xr.Dataset(
            {
                variable: (("time", dim), values, {"units": "1"}),
                "valid": ("time", np.ones(size, bool)),
            },
            {"time": np.arange(size) / hz, dim: [f"{dim}{n}" for n in range(columns)]},
            {"stream_kind": kind, "source": "benchmark", "primary": variable},
        )
        if kind == "calcium":
            groups[f"/{name}"]["keep"] = (dim, np.ones(columns, bool))
            groups[f"/{name}"]["reason"] = (dim, np.array([""] * columns, dtype=object))
    write_tree(xr.DataTree.from_dict(groups), path)


def align_one(cleaned, target):
    """Align a session onto 20 Hz, write it, and return a hash of all that came out."""
    import dask

    from schemas.settings.align import AlignSettings
    from tasks.align.streams import align_streams
    from tasks.common.zarr_trees import open_tree, write_tree

    # One thread a worker: what is compared is workers.
    with dask.config.set(scheduler="synchronous"):
        settings = AlignSettings(time_axis="rate", rate_hz=20.0)
        write_tree(align_streams(open_tree(cleaned), settings), target)
        digest = hashlib.sha256()
        for name in ("cells/activity", "running/value", "clock/segment"):
            digest.update(np.ascontiguousarray(open_tree(target)[name].values).tobytes())
    return digest.hexdigest()


@pytest.mark.slow
def test_two_workers_against_one(benchmark, cost, tmp_path):
    from tasks.common.cluster import local_client

    for n in range(SESSIONS):
        write_cleaned(tmp_path / f"cleaned{n}.zarr", n)

    def align_all(client, tag):
        names = [tmp_path / f"cleaned{n}.zarr" for n in range(SESSIONS)]
        targets = [tmp_path / f"{tag}-{n}.zarr" for n in range(SESSIONS)]
        return client.gather(client.map(align_one, names, targets, pure=False))

    results = {1: [], 2: []}
    made = {}
    for turn in range(2):
        for count in (1, 2):
            with local_client(count) as client:
                align_all(client, f"warm{turn}{count}")
                spent = cost(lambda c=client, t=turn, n=count: align_all(c, f"{t}-{n}"))
                memory = client.run(lambda: __import__("psutil").Process().memory_info().rss / 1e6)
                results[count].append((spent.seconds, max(memory.values())))
                made[count] = spent.result
    assert made[1] == made[2]
    one, two = (min(seconds for seconds, _ in results[count]) for count in (1, 2))
    benchmark.pedantic(lambda: None, rounds=1)
    benchmark.extra_info |= {
        "one_s": one, "two_s": two, "ratio": one / two,
        "worker_MB": max(memory for _, memory in results[2]),
    }  # fmt: skip
    print(f"\nworkers: {benchmark.extra_info}")  # noqa: T201
    assert one / two > 1.7
