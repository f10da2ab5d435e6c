"""Finished units of work on disk: a run that was killed goes on where it was."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import zarr
from numpy.typing import NDArray

from tasks.common.zarr_trees import quiet_zarr

Block = Mapping[str, NDArray[np.generic]]


class BlockStore:
    """Blocks by name, each a Zarr group that counts only once it is marked as whole.

    A block is the same to the bit whoever computes it, so a run may mix blocks of an earlier one
    with its own. The folder must belong to one problem: its artifact's id names it.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def fetch(self, name: str, compute: Callable[[], Block]) -> Block:
        """Return the block of that name; compute and keep it if it is not there."""
        if self.path is None:
            return compute()
        with quiet_zarr():
            group = zarr.open_group(self.path, mode="a", path=name, zarr_format=3)
            if group.attrs.get("whole"):
                return {key: np.asarray(array[...]) for key, array in group.arrays()}
            block = compute()
            for key, values in block.items():
                group.create_array(key, data=np.asarray(values), overwrite=True)
            # Written last: a kill before this leaves a block that is computed again.
            group.attrs["whole"] = True
        return block


NO_STORE = BlockStore(None)
