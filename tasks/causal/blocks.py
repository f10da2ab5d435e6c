"""Blocks, the units of work: on disk once finished, spread over Dask's workers where there are any.

A block is the same to the bit whoever computes it with the same kernels. So a run may mix blocks of
an earlier one that was killed with its own, and those of workers with those done here.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import zarr
from numpy.typing import NDArray

from tasks.causal.engine import Backend
from tasks.causal.spread import map_on_workers
from tasks.common.cluster import present_workers
from tasks.common.progress import track
from tasks.common.zarr_trees import quiet_zarr

Block = Mapping[str, NDArray[np.generic]]


class BlockStore:
    """Blocks by name, each a Zarr group that counts only once it is marked as whole.

    The folder must belong to one problem: its artifact's id names it.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def find(self, name: str) -> zarr.Group | None:
        """Return the block of that name as it is stored; None if it is not there, or not whole."""
        if self.path is None or not (self.path / name).is_dir():
            return None
        with quiet_zarr():
            group = zarr.open_group(self.path, mode="a", path=name, zarr_format=3)
        return group if group.attrs.get("whole") else None

    def keep(self, name: str, block: Block) -> None:
        """Store a finished block."""
        if self.path is None:
            return
        with quiet_zarr():
            group = zarr.open_group(self.path, mode="a", path=name, zarr_format=3)
            for key, values in block.items():
                group.create_array(key, data=np.asarray(values), overwrite=True)
            # Written last: a kill before this leaves a block that is computed again.
            group.attrs["whole"] = True

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Give a folder for files of a run: the store's own, or one that is gone afterwards."""
        if self.path is not None:
            self.path.mkdir(parents=True, exist_ok=True)
            yield self.path
        else:
            with TemporaryDirectory(prefix="tectum-") as made:
                yield Path(made)


NO_STORE = BlockStore(None)


def fetch_blocks(
    store: BlockStore,
    label: str,
    parts: Sequence[range],
    work: Callable[[range], Block],
    backend: Backend,
) -> Iterator[Block]:
    """Yield the blocks of all parts in order: those in the store, and those that are computed now.

    Parameters
    ----------
    label : of the progress; with backend and part it names a block in the store
    work : computes the block of one part; a function of a module (or a partial one), since workers
        may do it
    """
    names = [f"{label.replace(' ', '-')}-{backend}-{p.start}-{p.stop}" for p in parts]
    stored = [store.find(name) for name in names]
    waiting = [part for part, found in zip(parts, stored, strict=True) if found is None]
    with store.folder() as folder:
        computed = _compute(waiting, work, backend, folder / "arrays-of-workers")
        for at, name in enumerate(track(names, label)):
            if (found := stored[at]) is not None:
                yield {key: np.asarray(array[...]) for key, array in found.arrays()}
                continue
            block = next(computed)
            store.keep(name, block)
            yield block


def _compute(
    parts: Sequence[range], work: Callable[[range], Block], backend: Backend, file: Path
) -> Iterator[Block]:
    # One block at a time on a GPU: each plans with all of its memory.
    needs = {"GPU": 1.0} if backend == "gpu" else {}
    workers = present_workers(needs) if len(parts) > 1 else None
    return map(work, parts) if workers is None else map_on_workers(workers, work, parts, file)


def divide(count: int, size: int) -> list[range]:
    """Return 0 to `count` in parts of `size`, the last one shorter."""
    return [range(start, min(start + size, count)) for start in range(0, count, size)]
