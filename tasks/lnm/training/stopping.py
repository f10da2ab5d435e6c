"""What stops the training: the loss on validation windows, each target with its best share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.lnm.data.masks import Mode
from tasks.lnm.data.recording import Columns, Ints
from tasks.lnm.network.costs import Costs, losses
from tasks.lnm.network.model import Inputs, Prediction
from tasks.lnm.network.windows import Cut
from tasks.lnm.scores.gains import first_half, mean_known
from tasks.lnm.training.gating import SHARES


class AskedPiece(NamedTuple):
    """Some validation windows of one task, each asked value numbered by target and horizon.

    group_BLV : target * horizons + horizon (targets as in Columns.targets), -1 if not asked
    block_BL : the block of validation time that each sample lies in; windows overlap, blocks
        do not
    """

    cut: Cut
    group_BLV: Ints
    block_BL: Ints


@dataclass(frozen=True)
class AskedCut:
    """Validation windows of one task, in pieces that are cut when they are called for.

    blocks : how many blocks validation time is divided into
    """

    mode: Mode
    blocks: int
    pieces: Sequence[Callable[[], AskedPiece]]


def group_asked(cut: Cut, known_B: Ints, columns: Columns, horizons: tuple[int, ...]) -> Ints:
    """Number the asked values by target and, for forecasts, by the horizon they are nearest to."""
    order = {target: i for i, target in enumerate(dict.fromkeys(columns.targets))}
    target_V = np.array([order[target] for target in columns.targets])
    if cut.inputs.asked_A is not None:
        target_V = target_V[cut.inputs.asked_A.numpy()]
    asked_BLV = cut.asked_BLV.numpy()
    step_BL = np.arange(asked_BLV.shape[1]) - known_B[:, None] + 1
    nearest_BL = np.searchsorted(horizons, np.maximum(step_BL, 1))
    bucket_BL = np.minimum(nearest_BL, len(horizons) - 1)
    bucket_BL[np.array(cut.mode_B) != "forecast"] = 0
    group_BLV = target_V * len(horizons) + bucket_BL[..., None]
    return np.where(asked_BLV, group_BLV, -1)


@torch.no_grad()
def measure_loss(
    run: Callable[[Inputs], Prediction],
    asked: AskedCut,
    costs: Costs,
    shares: tuple[float, ...] = SHARES,
) -> float:
    """Return the mean loss over targets and horizons, each with the share that is best for it.

    Of the first half of the validation part alone: so the second half has no part in when training
    stops, and its word on the gates (see `gating.least_cost`) is of samples that nothing else was
    chosen on but the skip.

    run : gives the network's prediction
    """
    found = [_ask_piece(run, piece()) for piece in asked.pieces]
    joined = _Asked._make(torch.cat(parts) for parts in zip(*found, strict=True))
    costs = costs.take(joined.column)
    cells = _Cells.of(joined.group.numpy(), joined.block.numpy(), asked.blocks)
    errors = []
    for share in shares:
        location = joined.base + share * (joined.location - joined.base)
        error, _ = losses(Prediction(location, joined.scale, location), joined.z, costs)
        errors.append(cells.mean(error * joined.weight))
    error_AGC = np.array(errors)
    first_AG = mean_known(error_AGC[..., : first_half(error_AGC)])
    return float(np.nanmean(first_AG.min(0))) if np.isfinite(first_AG).any() else 0.0


class _Asked(NamedTuple):
    """The asked values of some windows, one after another: see AskedPiece, Prediction, Inputs."""

    location: torch.Tensor
    scale: torch.Tensor
    base: torch.Tensor
    z: torch.Tensor
    weight: torch.Tensor
    group: torch.Tensor
    column: torch.Tensor
    block: torch.Tensor


def _ask_piece(run: Callable[[Inputs], Prediction], piece: AskedPiece) -> _Asked:
    """Keep only what is asked: a third of the values, and every share looks at all of them."""
    cut = piece.cut
    asked_BLV = torch.from_numpy(piece.group_BLV >= 0)
    location, scale, _ = run(cut.inputs)
    window, sample, column = asked_BLV.nonzero(as_tuple=True)
    group, block_BL = (torch.from_numpy(a) for a in (piece.group_BLV, piece.block_BL))
    base_BLV = cut.inputs.base_BLV
    if (judged := cut.inputs.asked_A) is not None:
        base_BLV, column = base_BLV[..., judged], judged[column]
    parts = (location.cpu(), scale.cpu(), base_BLV, cut.z_BLV, cut.weight_BLV, group)
    kept = [part[asked_BLV] for part in parts]
    return _Asked._make((*kept, column, block_BL[window, sample]))


@dataclass(frozen=True)
class _Cells:
    """The group and block of time of each asked value.

    cell : groups * blocks of them, one number a value
    """

    groups: Ints
    blocks: int
    cell: Ints

    @classmethod
    def of(cls, group: Ints, block: Ints, blocks: int) -> "_Cells":
        groups, of_group = np.unique(group, return_inverse=True)
        return cls(groups, blocks, of_group * blocks + block)

    def mean(self, error: torch.Tensor) -> NDArray[np.float64]:
        """Return (group, block) mean errors; NaN where a block has none of a group."""
        cells = len(self.groups) * self.blocks
        total = np.bincount(self.cell, error.numpy(), minlength=cells)
        count = np.bincount(self.cell, minlength=cells).astype(float)
        count[count == 0] = np.nan
        return np.asarray((total / count).reshape(len(self.groups), self.blocks))
