"""Lazy arithmetic along time that needs neighbours: each output block reads just its window.

The kernels get the same numbers wherever the blocks of the stored array begin, so a result
does not depend on chunking: chunked equals whole, bit for bit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import dask
import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from numpy.typing import DTypeLike, NDArray

BLOCK_BYTES = 32 * 2**20
"""Most bytes of one window times one block of columns; some of these are in flight at once."""

Kernel = Callable[[NDArray[np.generic]], NDArray[np.generic]]


@dataclass(frozen=True)
class Window:
    """Rows `source` of the input make `size` rows of output through `kernel`.

    kernel : (source rows, ...) -> (size, ...); must not look at anything else
    """

    source: slice
    size: int
    kernel: Kernel


def map_windows(
    values: da.Array, windows: Sequence[Window], dtype: DTypeLike, columns: int | None = None
) -> da.Array:
    """Apply each window's kernel to its rows and join the outputs along the first axis, lazily.

    Parameters
    ----------
    values : (time, ...) dask or NumPy array; blocks of the other axes are worked on separately
    windows : what to read and do for each output block, in order
    columns : number of output columns, where the kernel sees all input columns at once and
        makes others of them

    Returns
    -------
    (sum of sizes, ...) dask array of `dtype`
    """
    values = da.asarray(values)
    if columns is not None:
        values = values.rechunk({1: -1})
    across = values.chunks[1:] if columns is None else ((columns,),)
    used = [window for window in windows if window.size]
    if not used:
        return da.zeros((0, *map(sum, across)), dtype=dtype)
    name = f"windows-{tokenize(values, used, columns)}"
    edges = np.cumsum((0, *values.chunks[0]))
    layer = {}
    for row, window in enumerate(used):
        blocks, task = _plan_window(window, edges)
        for place in np.ndindex(*map(len, across)):
            # One task, in one layer: dask's own slices and joins would be several, each with the
            # graph of everything before it, and the slices would pile up.
            sources = [(values.name, block, *place) for block in blocks]
            layer[name, row, *place] = (task, sources)
    graph = HighLevelGraph.from_collections(name, layer, dependencies=[values])
    chunks = (tuple(window.size for window in used), *across)
    return da.Array(graph, name, chunks, meta=np.empty((0,) * len(chunks), dtype))


def _plan_window(window: Window, edges: NDArray[np.int64]) -> tuple[range, Kernel]:
    """Return the blocks of rows that a window reads, and what makes its output of them."""
    source = window.source
    first = min(int(np.searchsorted(edges, source.start, "right")), len(edges) - 1) - 1
    last = max(int(np.searchsorted(edges, source.stop, "left")), first + 1)
    blocks = range(first, last)
    places = [
        slice(max(source.start - at, 0), source.stop - at) for at in edges[first:last].tolist()
    ]
    return blocks, partial(_run_window, kernel=window.kernel, places=places)


def _run_window(
    blocks: Sequence[NDArray[np.generic]], kernel: Kernel, places: Sequence[slice]
) -> NDArray[np.generic]:
    rows = [block[place] for block, place in zip(blocks, places, strict=True)]
    return kernel(rows[0] if len(rows) == 1 else np.concatenate(rows))


def block_starts(source_start_T: NDArray[np.int64], columns: int, most_rows: int) -> list[int]:
    """Divide output rows into blocks whose windows fit into BLOCK_BYTES.

    Parameters
    ----------
    source_start_T : (output,) first input row that each output row needs, ascending
    columns : columns worked on at once
    most_rows : most output rows of a block

    Returns
    -------
    First output row of each block, and the number of output rows at the end
    """
    size = len(source_start_T)
    most_input = max(BLOCK_BYTES // (8 * max(columns, 1)), 1)
    starts = [0]
    while starts[-1] < size:
        here = starts[-1]
        reach = np.searchsorted(source_start_T, source_start_T[here] + most_input, side="right")
        starts.append(int(min(max(reach, here + 1), here + most_rows, size)))
    return starts


def columns_at_once(values: da.Array) -> int:
    """Return how many columns one block of `values` holds."""
    return int(np.prod([max(sizes) for sizes in da.asarray(values).chunks[1:]], initial=1))


def whole_time(values: da.Array, axis: int = 0) -> da.Array:
    """Rechunk so that one block holds all of `axis`, of few enough columns to fit in memory."""
    array = da.asarray(values)
    if array.ndim == 1 or array.size == 0:
        return array.rechunk(-1)
    layout: dict[int, int | str] = dict.fromkeys(range(array.ndim), "auto")
    layout[axis] = -1
    with dask.config.set({"array.chunk-size": BLOCK_BYTES}):
        return array.rechunk(layout)
