"""Where Dask computes: threads here, a cluster on this machine, a scheduler elsewhere."""

import os
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas.errors import SettingsError

if TYPE_CHECKING:
    from distributed import Client, Worker


_THIS_MACHINE = "127.0.0.1"


@contextmanager
def dask_client(where: str) -> Generator["Client | None"]:
    """Make `where` the place that Dask collections compute in, for the length of the block.

    Parameters
    ----------
    where : 'threads', 'local' (processes on this machine, bound to 127.0.0.1), or the address of
        a scheduler such as 'tcp://10.0.0.5:8786'
    """
    if where == "threads":
        import dask

        with dask.config.set(scheduler="threads"):
            yield None
        return
    # Imported where it is needed: distributed takes a good part of a second to import.
    from distributed import Client

    if (present := _present_client()) is not None:
        yield present
    elif where == "local":
        with local_client() as client:
            yield client
    elif "://" in where:
        with Client(where) as client:
            _share_cores(client)
            yield client
    else:
        raise SettingsError(
            f"'{where}' is no place for Dask to compute.",
            where="dask",
            remedy="Use 'threads', 'local' or a scheduler's address such as tcp://HOST:8786.",
        )


@contextmanager
def local_client(workers: int | None = None) -> Generator["Client"]:
    """Start processes on this machine, as many as it has cores if not told, one thread each."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=workers, threads_per_worker=1, host=_THIS_MACHINE,
            # Any free port. Without an address it is 8787, and a second cluster on this machine
            # warns that it is taken.
            dashboard_address=f"{_THIS_MACHINE}:0",
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        _share_cores(client)
        yield client


def _share_cores(client: "Client") -> None:
    """Let the libraries of each worker take no more threads than the worker has."""
    from distributed import WorkerPlugin

    class Share(WorkerPlugin):
        name = "tectum-share"

        def setup(self, worker: "Worker") -> None:
            limit_threads(worker.state.nthreads)

    client.register_plugin(Share())


def limit_threads(count: int) -> None:
    """Let what this process computes with beside Dask take `count` threads.

    Each worker would take all cores otherwise: ten workers, a hundred threads, and one worker is
    no measure of what two do. BLAS and OpenMP are told by Dask before they start.
    """
    import zarr

    zarr.config.set({"codec_pipeline.max_workers": count, "threading.max_workers": count})
    if "numba" in sys.modules:
        import numba

        numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))
    else:
        os.environ["NUMBA_NUM_THREADS"] = str(count)


@dataclass(frozen=True)
class Workers:
    """Workers of a cluster that have what a task needs.

    threads : of all of them; here : how many are on this machine
    needs : Dask's resources that a task takes while it runs
    """

    client: "Client"
    addresses: tuple[str, ...]
    threads: int
    here: int
    needs: Mapping[str, float]


def present_workers(needs: Mapping[str, float] | None = None) -> Workers | None:
    """Return the workers that this process may give tasks to; None if there are none.

    None inside a Dask task too: it would hold its worker while it waits for others.
    """
    if "distributed" not in sys.modules or _inside_task():
        return None
    client, needs = _present_client(), needs or {}
    if client is None:
        return None
    from distributed.utils import get_ip

    found = {
        address: worker
        for address, worker in client.scheduler_info(n_workers=-1)["workers"].items()
        if all(worker["resources"].get(name, 0) >= amount for name, amount in needs.items())
    }
    here = sum(worker["host"] in (_THIS_MACHINE, get_ip()) for worker in found.values())
    threads = sum(worker["nthreads"] for worker in found.values())
    return Workers(client, tuple(found), threads, here, needs) if found else None


def available_threads() -> int:
    """Return how many threads a computation may take: all cores.

    One inside a Dask task: its worker runs as many tasks at once as it was told to.
    """
    return 1 if "distributed" in sys.modules and _inside_task() else len(os.sched_getaffinity(0))


def _inside_task() -> bool:
    from distributed import get_worker

    try:
        get_worker()
    except ValueError:
        return False
    return True


def _present_client() -> "Client | None":
    from distributed import get_client

    try:
        return get_client()
    except ValueError:
        return None
