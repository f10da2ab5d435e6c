"""Lazy arithmetic along time that needs neighbours: each output block reads just its window.

The kernels get the same numbers wherever the blocks of the stored array begin, so a result
does not depend on chunking: chunked equals whole, bit for bit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import dask
import dask.array as da
import numpy as np
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
    parts = [_one_window(values, window, dtype, across) for window in windows if window.size]
    if not parts:
        return da.zeros((0, *map(sum, across)), dtype=dtype)
    return da.concatenate(parts, axis=0)


def _one_window(
    values: da.Array, window: Window, dtype: DTypeLike, across: tuple[tuple[int, ...], ...]
) -> da.Array:
    rows = values[window.source].rechunk({0: -1})
    return rows.map_blocks(
        window.kernel,
        dtype=dtype,
        chunks=((window.size,), *across),
        meta=np.empty((0,) * values.ndim, dtype),
    )


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
