"""Where Dask computes: threads here, a cluster on this machine, a scheduler elsewhere."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from schemas.errors import SettingsError

if TYPE_CHECKING:
    from distributed import Client


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
    from distributed import Client, LocalCluster

    if (present := _present_client()) is not None:
        yield present
    elif where == "local":
        with (
            LocalCluster(host="127.0.0.1", dashboard_address=None, threads_per_worker=1) as cluster,
            Client(cluster) as client,
        ):
            yield client
    elif "://" in where:
        with Client(where) as client:
            yield client
    else:
        raise SettingsError(
            f"'{where}' is no place for Dask to compute.",
            where="dask",
            remedy="Use 'threads', 'local' or a scheduler's address such as tcp://HOST:8786.",
        )


def _present_client() -> "Client | None":
    from distributed import get_client

    try:
        return get_client()
    except ValueError:
        return None
