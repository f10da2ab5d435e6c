"""What ingest changes before a stream goes into the lake: order only, never a value.

In the lake `time` is finite and increases from sample to sample, and so do event times and the
spike times of each unit. What stands against it is left out or sorted, and check.py has a finding
for each of these repairs. The raw file is never touched, so nothing is lost.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.common.zarr_trees import default_chunks
from tasks.ingest.lazy_views import packed
from tasks.ingest.scan_spikes import scan_spikes
from tasks.ingest.scan_times import scan_order

Order = Callable[[xr.Dataset, float], NDArray[np.int64] | None]


def repair_streams(streams: xr.DataTree, block_mib: float = 32.0) -> xr.DataTree:
    """Return the tree as dask arrays with every stream's times in order."""
    return _each_stream(streams, partial(repair_stream, block_mib=block_mib))


def pack_integers(streams: xr.DataTree) -> xr.DataTree:
    """Return the tree with scaled integers as the file has them, their scale as attributes.

    Multiplied and divided again they would be the same: four times the memory, and slower.
    """
    return _each_stream(
        streams, lambda one: one.assign({n: packed(v.variable) for n, v in one.data_vars.items()})
    )


def _each_stream(streams: xr.DataTree, change: Callable[[xr.Dataset], xr.Dataset]) -> xr.DataTree:
    """Return the tree with every stream changed; unlike map_over_datasets, nothing is indexed."""
    changed = {
        f"/{name}": change(node.to_dataset(inherit=False))
        for name, node in streams.children.items()
    }
    tree = xr.DataTree.from_dict(changed)
    tree.attrs = streams.attrs
    return tree


def repair_stream(stream: xr.Dataset, block_mib: float = 32.0) -> xr.Dataset:
    """Return one stream as dask arrays with its times in order.

    - sampled streams: samples without a time are left out, of samples at one time the first is
      kept, and where the clock runs backwards the most samples that can stay in order stay;
    - events: those without a time are left out, the others sorted by time, all columns along;
    - spikes: those without a time are left out, the others sorted within their unit;
    - intervals: as they are.
    """
    kind = stream.attrs["stream_kind"]
    dim, order_of = _ORDERS.get(kind, ("time", _order_of_samples))
    order = None if kind == "intervals" else order_of(stream, block_mib)
    chunked = as_dask(stream, block_mib)
    return chunked if order is None else chunked.isel({dim: order})


def as_dask(stream: xr.Dataset, block_mib: float = 32.0) -> xr.Dataset:
    """Return a stream whose unread variables are dask arrays, cut along their first axis only.

    Whole rows: a chunk of an HDF5 file usually spans all columns and is unpacked as a whole. As
    many as whole chunks of the lake have, so that none is put together from two blocks. There are
    no indexes: an index of an hour of sound is gigabytes.
    """
    variables = {
        name: variable.chunk({variable.dims[0]: _rows(variable, block_mib)})
        if variable.ndim and not isinstance(variable._data, np.ndarray)
        else variable.to_base_variable()
        for name, variable in stream.variables.items()
    }
    coords = {name: variables.pop(name) for name in stream.coords}
    return xr.Dataset(variables, xr.Coordinates(coords, indexes={}), stream.attrs)


def _rows(variable: xr.Variable, block_mib: float) -> int:
    row = max(int(np.prod(variable.shape[1:], dtype=np.int64)) * variable.dtype.itemsize, 1)
    rows: int = max(int(block_mib * 2**20) // row, 1)
    lake = default_chunks(variable.shape)[0]
    return rows // lake * lake or rows


def in_order(times: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mark the most samples whose times are finite and increase.

    Samples that repeat a time, or stray from an otherwise increasing clock, are few: they go. If
    the clock was set back in the middle, the longer part stays.

    Parameters
    ----------
    times : (time,) seconds

    Returns
    -------
    (time,) true for the samples to keep
    """
    keep = np.isfinite(times)
    position = np.flatnonzero(keep)
    good = times[position]
    steps = np.diff(good)
    if np.all(steps > 0):
        return keep
    if np.all(steps >= 0):
        keep[position[1:][steps == 0]] = False
        return keep
    kept = np.zeros(len(times), bool)
    kept[position[_longest_increasing(good)]] = True
    return kept


def _longest_increasing(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return positions of a longest strictly increasing subsequence (patience sorting)."""
    tails: list[float] = []
    tail_at: list[int] = []
    before = np.full(len(values), -1, np.int64)
    for index, value in enumerate(values.tolist()):
        pile = bisect_left(tails, value)
        before[index] = tail_at[pile - 1] if pile else -1
        if pile == len(tails):
            tails.append(value)
            tail_at.append(index)
        elif value < tails[pile]:
            # Equal values leave the earlier sample where it is: the first of a repeat stays.
            tails[pile], tail_at[pile] = value, index
    chain = np.empty(len(tails), np.int64)
    index = tail_at[-1]
    for place in range(len(tails) - 1, -1, -1):
        chain[place] = index
        index = int(before[index])
    return chain


def _order_of_samples(stream: xr.Dataset, block_mib: float) -> NDArray[np.int64] | None:
    times = stream["time"].variable
    if scan_order(times, block_mib).in_order:
        return None
    return np.flatnonzero(in_order(times.to_numpy()))


def _order_of_events(stream: xr.Dataset, block_mib: float) -> NDArray[np.int64] | None:
    variable = stream["event_time"].variable
    scan = scan_order(variable, block_mib)
    if scan.absent == scan.reversed.count == 0:
        return None
    times = variable.to_numpy()
    order = np.argsort(times, kind="stable")
    return order[np.isfinite(times[order])]


def _order_of_spikes(stream: xr.Dataset, block_mib: float) -> NDArray[np.int64] | None:
    scan = scan_spikes(stream, block_mib)
    if scan.absent.first.count == scan.unsorted.first.count == 0:
        return None
    times, owner = stream["spike_time"].to_numpy(), stream["unit_index"].to_numpy()
    order = np.lexsort((times, owner))
    return order[np.isfinite(times[order])]


_ORDERS: Mapping[str, tuple[str, Order]] = {
    "spikes": ("spike", _order_of_spikes),
    "events": ("event", _order_of_events),
}
"""Kind of a stream -> the axis that is put in order, and what finds the order; None: it is."""
