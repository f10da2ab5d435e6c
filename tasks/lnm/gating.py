"""How much of the network to add to the skip: chosen on validation by target and horizon."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.lnm.costs import Costs, losses
from tasks.lnm.masks import Mode
from tasks.lnm.model import Inputs, Prediction
from tasks.lnm.recording import Columns, Floats, Ints
from tasks.lnm.windows import TWO_SIDED, Cut, Mixing, TaskWeights

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
FEWEST_BLOCKS = 4
SURE = 2.0
"""Standard errors that a gain on validation must exceed, as the verdict's 95 % interval asks."""


class GatedPiece(NamedTuple):
    """Some validation windows of one task, each asked value numbered by what shares its gate.

    group_BLV : target * horizons + horizon (targets as in Columns.targets), -1 if not asked
    block_BL : the block of validation time that each sample lies in; windows overlap, blocks
        do not
    """

    cut: Cut
    group_BLV: Ints
    block_BL: Ints


@dataclass(frozen=True)
class GatedCut:
    """Validation windows of one task, in pieces that are cut when they are called for.

    blocks : how many blocks validation time is divided into
    """

    mode: Mode
    blocks: int
    pieces: Sequence[Callable[[], GatedPiece]]


@dataclass
class Choice:
    """The best share of each group of one task, the spread it needs, and the loss with it.

    middle_G : the best share of the network's median; of forecasts only
    """

    share_G: dict[int, float] = field(default_factory=dict)
    spread_G: dict[int, float] = field(default_factory=dict)
    middle_G: dict[int, float] = field(default_factory=dict)
    loss: float = 0.0


def group_asked(
    cut: Cut,
    known_B: Ints,
    columns: Columns,
    judged: Ints,
    horizons: tuple[int, ...],
) -> Ints:
    """Number the asked values by target and, for forecasts, by the horizon they are nearest to.

    judged : numbers of the columns that the gates of their targets are chosen by
    """
    order = {target: i for i, target in enumerate(dict.fromkeys(columns.targets))}
    target_V = np.array([order[target] for target in columns.targets])
    asked_BLV = cut.asked_BLV.numpy()
    step_BL = np.arange(asked_BLV.shape[1]) - known_B[:, None] + 1
    nearest_BL = np.searchsorted(horizons, np.maximum(step_BL, 1))
    bucket_BL = np.minimum(nearest_BL, len(horizons) - 1)
    bucket_BL[np.array(cut.mode_B) != "forecast"] = 0
    group_BLV = target_V * len(horizons) + bucket_BL[..., None]
    judged_V = np.zeros(len(target_V), bool)
    judged_V[judged] = True
    return np.where(asked_BLV & judged_V, group_BLV, -1)


class Measured(NamedTuple):
    """What each share of the network's output costs, by group and block of validation time.

    groups : numbers as in GatedCut
    error_AGC, middle_AGC : (share, group, block) cost of the location, absolute error of the median
        (no groups unless it is a forecast); NaN where a block has none of a group
    missed_AGC : squared errors in units of the variance that the network gives
    """

    groups: Ints
    error_AGC: NDArray[np.float64]
    middle_AGC: NDArray[np.float64]
    missed_AGC: NDArray[np.float64]


@torch.no_grad()
def measure_shares(
    run: Callable[[Inputs], Prediction],
    gated: GatedCut,
    costs: Costs,
    shares: tuple[float, ...] = SHARES,
) -> Measured:
    """Measure what shares of the network's output cost.

    run : gives the network's prediction
    """
    found = [_ask_piece(run, piece()) for piece in gated.pieces]
    joined = _Asked._make(torch.cat(parts) for parts in zip(*found, strict=True))
    base, middle = joined.base, joined.middle_base
    costs = costs.take(joined.column)
    cells = _Cells.of(joined.group.numpy(), joined.block.numpy(), gated.blocks)
    errors, misses, middle_costs = [], [], []
    for share in shares:
        mixed = Prediction(
            base + share * (joined.location - base),
            joined.scale,
            middle + share * (joined.middle - middle),
        )
        error, _ = losses(mixed, joined.z, costs)
        errors.append(cells.mean(error * joined.weight))
        if gated.mode == "forecast":
            middle_costs.append(cells.mean((joined.z - mixed.middle_BLV).abs()))
        misses.append(cells.mean(((joined.z - mixed.location_BLV) / mixed.scale_BLV) ** 2))
    none = np.empty((len(shares), 0, cells.blocks))
    middle_AGC = np.array(middle_costs) if middle_costs else none
    return Measured(cells.groups, np.array(errors), middle_AGC, np.array(misses))


def choose_shares(measured: Measured) -> Choice:
    """Find for each group the share of the network's output that surely costs least.

    Its loss, by which training is stopped, is that of the first half of the validation part with
    the shares that are best there: so the second half has no part in when training stops, and
    its word on the gates (see `least_cost`) is of samples that nothing else was chosen on but
    the skip.
    """
    cost_AGC = measured.error_AGC
    best_G = least_cost(cost_AGC)
    middle_G = least_cost(measured.middle_AGC) if measured.middle_AGC.size else best_G
    choice = take_shares(measured, best_G, middle_G)
    first_AG = _mean_known(cost_AGC[..., : first_half(cost_AGC)])
    if len(best_G) and np.isfinite(first_AG).any():
        choice.loss = float(np.nanmean(first_AG.min(0)))
    return choice


def take_shares(measured: Measured, best_G: Ints, middle_G: Ints) -> Choice:
    """Return the choice of given shares, by their numbers, and the spread that each needs."""
    shares = np.array(SHARES[-len(measured.error_AGC) :])
    numbers = [int(g) for g in measured.groups]
    missed_G = _mean_known(measured.missed_AGC)[best_G, np.arange(len(best_G))]
    return Choice(
        dict(zip(numbers, shares[best_G].tolist(), strict=True)),
        dict(zip(numbers, np.sqrt(missed_G).tolist(), strict=True)),
        dict(zip(numbers, shares[middle_G].tolist(), strict=True)),
    )


class _Asked(NamedTuple):
    """The asked values of some windows, one after another: see GatedPiece, Prediction, Inputs."""

    location: torch.Tensor
    scale: torch.Tensor
    middle: torch.Tensor
    base: torch.Tensor
    middle_base: torch.Tensor
    z: torch.Tensor
    weight: torch.Tensor
    group: torch.Tensor
    column: torch.Tensor
    block: torch.Tensor


def _ask_piece(run: Callable[[Inputs], Prediction], piece: GatedPiece) -> _Asked:
    """Keep only what is asked: a third of the values, and every share looks at all of them."""
    cut = piece.cut
    asked_BLV = torch.from_numpy(piece.group_BLV >= 0)
    parts = [part.cpu() for part in run(cut.inputs)]
    parts += [cut.inputs.base_BLV, cut.inputs.middle_BLV, cut.z_BLV, cut.weight_BLV]
    window, sample, column = asked_BLV.nonzero(as_tuple=True)
    group, block_BL = (torch.from_numpy(a) for a in (piece.group_BLV, piece.block_BL))
    kept = [part[asked_BLV] for part in (*parts, group)]
    return _Asked._make((*kept, column, block_BL[window, sample]))


def least_cost(cost_AGC: NDArray[np.float64]) -> Ints:
    """Return for each group the least share whose gain on the first is as good as the greatest.

    A gain counts if it is there in both halves of validation time and, over all blocks, exceeds
    twice its own standard error. Of those that do, the first within one standard error of the
    greatest is taken (the one-standard-error rule of Breiman et al. 1984): the next hour is never
    quite like validation, and a small share loses little. Blocks are as long as a window, for
    errors within one depend on each other; fewer than four of them tell nothing: 0.

    Parameters
    ----------
    cost_AGC : (share, group, block of time), NaN where a block has none of a group
    """
    gain_AGC = cost_AGC[0] - cost_AGC
    half = first_half(cost_AGC)
    known_AG = np.maximum(np.isfinite(gain_AGC).sum(2), 1)
    gain_AG = np.nan_to_num(_mean_known(gain_AGC))
    filled = np.where(np.isfinite(gain_AGC), gain_AGC - gain_AG[..., None], 0.0)
    spread_AG = np.sqrt((filled**2).sum(2) / np.maximum(known_AG - 1, 1))
    error_AG = spread_AG / np.sqrt(known_AG)
    both_AG = (_mean_known(gain_AGC[..., :half]) > 0) & (_mean_known(gain_AGC[..., half:]) > 0)
    sure_AG = both_AG & (gain_AG > SURE * error_AG)
    sure_AG &= (known_AG >= FEWEST_BLOCKS) | (len(cost_AGC) == 1)
    sure_gain_AG = np.where(sure_AG, gain_AG, 0.0)
    best_G = sure_gain_AG.argmax(0)
    every = np.arange(len(best_G))
    enough_G = sure_gain_AG[best_G, every] - error_AG[best_G, every]
    # The first share, of no gain, counts as sure only where no other is.
    eligible_AG = (sure_AG & (gain_AG >= enough_G)) | (np.arange(len(cost_AGC))[:, None] == best_G)
    return np.asarray(eligible_AG.argmax(0))


def first_half(cost_AGC: NDArray[np.float64]) -> int:
    """Return how many blocks make the first half of the validation part."""
    return max(1, int(cost_AGC.shape[2]) // 2)


def number_blocks(rows: int, window: int) -> Ints:
    """Number validation samples by blocks as long as a window; a short rest joins the last."""
    return np.minimum(np.arange(rows) // window, max(1, rows // window) - 1)


def _mean_known(values_AGC: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return means over blocks; NaN where there is none."""
    known = np.isfinite(values_AGC)
    total, count = np.where(known, values_AGC, 0.0).sum(2), known.sum(2)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def apply_choices(
    spread: TaskWeights, choices: Mapping[Mode, Choice], columns: Columns, horizons: tuple[int, ...]
) -> Mixing:
    """Return the mixing that validation chose; what was never asked there stays linear.

    Spreads become such that squared errors on validation are as large as they say on average.
    """
    order = {target: i for i, target in enumerate(dict.fromkeys(columns.targets))}
    target_V = [order[target] for target in columns.targets]

    def factors(
        name: Literal["share_G", "spread_G", "middle_G"], otherwise: float, mode: Mode
    ) -> Floats:
        found = getattr(choices[mode], name) if mode in choices else {}
        keys = [[t * len(horizons) + h for t in target_V] for h in range(len(horizons))]
        return np.array([[found.get(k, otherwise) for k in row] for row in keys], np.float32)

    def scaled(name: Literal["share_G", "spread_G"], otherwise: float) -> TaskWeights:
        two_sided = {
            task: spread.two_sided[task] * factors(name, otherwise, task)[0] for task in TWO_SIDED
        }
        return TaskWeights(two_sided, spread.forecast_HV * factors(name, otherwise, "forecast"))

    middle_HV = spread.forecast_HV * factors("middle_G", 0.0, "forecast")
    return Mixing(scaled("share_G", 0.0), scaled("spread_G", 1.0), middle_HV)


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
