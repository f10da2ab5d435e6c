"""Where Dask computes: threads here, a cluster on this machine, a scheduler elsewhere."""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from schemas.errors import SettingsError

if TYPE_CHECKING:
    from distributed import Client, Worker


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
            n_workers=workers, host="127.0.0.1", dashboard_address=None, threads_per_worker=1
        ) as cluster,
        Client(cluster) as client,
    ):
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


def _present_client() -> "Client | None":
    from distributed import get_client

    try:
        return get_client()
    except ValueError:
        return None
