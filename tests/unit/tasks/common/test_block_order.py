"""Blocks are read in the order of the results, so that a longer array holds no more at once."""

from functools import partial
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from dask.callbacks import Callback

from tasks.common.block_order import OneByOne, rank_tasks
from tasks.common.windows import Window, map_windows
from tasks.common.zarr_trees import write_tree

ROWS, COLUMNS = 6_000, 20


class HeldBytes(Callback):
    """The most bytes of arrays that dask held at once."""

    def __init__(self) -> None:
        super().__init__(posttask=self._look)
        self.most = 0

    def _look(self, key, result, graph, state, worker) -> None:
        held = sum(v.nbytes for v in state["cache"].values() if isinstance(v, np.ndarray))
        self.most = max(self.most, held)


def first_rows(block: np.ndarray, n: int) -> np.ndarray:
    return block[:n]


def filtered(blocks: int) -> xr.Dataset:
    """Return fast values, their mask and slow means, each of windows that overlap."""
    values = da.random.default_rng(0).normal(size=(blocks * ROWS, COLUMNS), chunks=(ROWS, 10))
    size, step = len(values), 2_184
    fast = [
        Window(slice(max(at - 100, 0), min(at + step + 100, size)), n, partial(first_rows, n=n))
        for at in range(0, size, step)
        for n in (min(step, size - at),)
    ]
    smooth = map_windows(values, fast, np.float64)
    # One stored chunk takes these means of the whole array.
    slow = [
        Window(slice(at, min(at + 11_000, size)), 1, lambda block: block.mean(0, keepdims=True))
        for at in range(0, size, 5_500)
    ]
    mean = map_windows(smooth, slow, np.float64)
    return xr.Dataset(
        {
            "value": (("time", "unit"), smooth),
            "valid": (("time", "unit"), da.isfinite(smooth)),
            "mean": (("slow", "unit"), mean),
        }
    )


def masked(blocks: int) -> xr.Dataset:
    """Return values without what their mask tells, and how much of all columns and time it does."""
    values, chance = (
        da.random.default_rng(n).random((blocks * ROWS, COLUMNS), chunks=(ROWS, 10)) for n in (0, 1)
    )
    mask = chance > 0.1
    counted = dask.delayed(np.sum)(mask.any(axis=1))
    return xr.Dataset(
        {
            "value": (("time", "unit"), da.where(mask, values, np.nan)),
            "known": da.from_delayed(counted, (), np.int64),
        }
    )


def summed(columns: int) -> xr.Dataset:
    """Return values, and their sum over the whole of time; many columns of short time."""
    shape = (4 * ROWS, columns * 5)
    values = da.random.default_rng(0).normal(size=shape, chunks=(ROWS, 5))
    sums = values.rechunk({0: -1}).map_blocks(np.cumsum, axis=0, dtype=float).rechunk((ROWS, 5))
    return xr.Dataset({n: (("time", "unit"), v) for n, v in (("value", values), ("sum", sums))})


def held_bytes(dataset: xr.Dataset, path: Path) -> int:
    held = HeldBytes()
    # One thread: which of two is ahead is chance.
    with dask.config.set(scheduler="threads", num_workers=1), held:
        write_tree(xr.DataTree.from_dict({"/lfp": dataset}), path)
    return held.most


@pytest.mark.parametrize("make", [filtered, masked, summed])
def test_a_larger_array_holds_no_more_at_once(make, tmp_path) -> None:
    small, large = (held_bytes(make(size), tmp_path / f"{size}.zarr") for size in (10, 60))
    # Arrays of equal need come by their names, which are chance: half a block or so.
    assert large < 1.5 * small
    assert large < 15 * ROWS * COLUMNS * 8


@pytest.mark.parametrize("axis", [0, 1])
def test_blocks_are_read_as_the_results_need_them(axis: int) -> None:
    read: list[tuple[int, ...]] = []

    def note(key, graph, state) -> None:
        if not graph[key].dependencies:
            read.append(key[1:])

    values = da.ones((40, 40), chunks=(4, 4))
    whole = values.rechunk({axis: -1}).map_blocks(np.cumsum, axis=axis, dtype=float)
    with OneByOne(), Callback(pretask=note):
        whole.rechunk((4, 4)).compute(scheduler="threads", num_workers=1)
    # A line of blocks is whole before the next one is begun.
    lines = [place[1 - axis] for place in read]
    assert lines == sorted(lines)
    assert len(read) == 100


def test_what_needs_little_comes_first() -> None:
    needs = {
        ("x", 0): [], ("x", 1): [], ("y", 0): [], ("all", 0): [("x", 0), ("x", 1)],
        ("sum", 0): [("y", 0)], "end": [("all", 0), ("sum", 0)],
    }  # fmt: skip
    needed_by = {key: [user for user in needs if key in needs[user]] for key in needs}
    rank = rank_tasks(needs, needed_by)
    assert sorted(rank, key=rank.__getitem__) == [
        *(("sum", 0), ("y", 0), ("all", 0), ("x", 0), ("x", 1), "end")
    ]
