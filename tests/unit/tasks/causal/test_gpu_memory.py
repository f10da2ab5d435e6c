"""What a GPU's block holds at once is no more than was planned for it."""

import os
from typing import Any
from weakref import finalize

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

if not torch.cuda.is_available():
    # Read when the kernels are defined, so before their import.
    os.environ["TRITON_INTERPRET"] = "1"

from tasks.causal.draws import NO_DRAWS, LibraryDraws
from tasks.causal.kernels import gpu
from tasks.causal.kernels.gpu import GpuEngine
from tasks.causal.kernels.gpu_memory import LANES, SUMS_BYTES, DeviceBlocks, DeviceShape
from tests.unit.tasks.causal.problems import mapped, noisy_walks


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all tensors that PyTorch's operators make, while they are there."""

    def __init__(self) -> None:
        super().__init__()
        self.live: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        found = func(*args, **(kwargs or {}))
        for made in found if isinstance(found, tuple | list) else [found]:
            storage = made.untyped_storage() if isinstance(made, torch.Tensor) else None
            if storage is not None and storage._cdata not in self.live:
                self.live[storage._cdata] = storage.nbytes()
                finalize(storage, self.live.pop, storage._cdata, 0)
        self.peak = max(self.peak, sum(self.live.values()))
        return found


def planned(shape: DeviceShape, libraries: int) -> int:
    """Return what `plan_device` reckons with for so many libraries and all tiles of targets."""
    pairs = libraries * shape.tiles * LANES * shape.draws
    return libraries * shape.library_bytes + shape.tiles * shape.tile_bytes + pairs * SUMS_BYTES


@pytest.mark.parametrize(
    ("nodes", "samples", "dimension", "draws"),
    [
        (900, 50, 2, NO_DRAWS),
        (300, 50, 2, LibraryDraws((15,) * 12, seed=1)),  # sums of many targets and libraries
        (6, 200, 5, LibraryDraws((10,) * 60, seed=1)),  # lists too short: searched anew
    ],
)
def test_a_block_holds_no_more_than_planned(monkeypatch, nodes, samples, dimension, draws):
    libraries = 2
    monkeypatch.setattr(gpu, "plan_device", lambda *_: DeviceBlocks(libraries, tiles=10**6))
    engine = GpuEngine(mapped(noisy_walks(nodes, samples), dimension, libraries=libraries))
    with LiveBytes() as counted:
        skill_DBM = engine.skills(range(libraries), draws)
    assert np.isfinite(skill_DBM).any()
    assert 0 < counted.peak <= planned(engine._shape(draws), libraries)
