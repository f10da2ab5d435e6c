"""How much of the network to add to the skip: chosen on validation by target and horizon."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.lnm.masks import Mode
from tasks.lnm.model import Heads, Inputs, Prediction, losses
from tasks.lnm.recording import Bools, Columns, Floats, Ints
from tasks.lnm.skip import shift_back
from tasks.lnm.windows import TWO_SIDED, Cut, Material, Mixing, TaskWeights

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
LEAST_SPREAD = 0.03
FEWEST_BLOCKS = 4
SURE = 2.0
"""Standard errors that a gain on validation must exceed, as the verdict's 95 % interval asks."""


@dataclass(frozen=True)
class GatedCut:
    """Validation windows of one task, each asked value numbered by what shares its gate.

    group_BLV : target * horizons + horizon (targets as in Columns.targets), -1 if not asked
    block_BL : the block of validation time that each sample lies in; windows overlap, blocks
        do not
    """

    mode: Mode
    cut: Cut
    group_BLV: Ints
    block_BL: Ints


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
    mode: Mode,
    cut: Cut,
    known_B: Ints,
    columns: Columns,
    horizons: tuple[int, ...],
    block_BL: Ints,
) -> GatedCut:
    """Number the asked values by target and, for forecasts, by the horizon they are nearest to."""
    order = {target: i for i, target in enumerate(dict.fromkeys(columns.targets))}
    target_V = np.array([order[target] for target in columns.targets])
    asked_BLV = cut.asked_BLV.numpy()
    step_BL = np.arange(asked_BLV.shape[1]) - known_B[:, None] + 1
    nearest_BL = np.searchsorted(horizons, np.maximum(step_BL, 1))
    bucket_BL = np.minimum(nearest_BL, len(horizons) - 1) if mode == "forecast" else 0 * step_BL
    group_BLV = target_V * len(horizons) + bucket_BL[..., None]
    return GatedCut(mode, cut, np.where(asked_BLV, group_BLV, -1), block_BL)


@torch.no_grad()
def choose_shares(
    run: Callable[[Inputs], Prediction],
    gated: GatedCut,
    heads: Heads,
    shares: tuple[float, ...] = SHARES,
) -> Choice:
    """Find for each group the share of the network's output that costs least.

    Its loss, by which training is stopped, is that of the first half of the validation part with
    the shares that are best there: so the second half has no part in when training stops, and
    its word on the gates (see `least_cost`) is of samples that nothing else was chosen on but
    the skip.

    run : gives the network's prediction
    """
    cut = gated.cut
    located = Prediction._make(part.cpu() for part in run(cut.inputs))
    # Only what is asked: a third of the values, and every share looks at all of them.
    asked_BLV = torch.from_numpy(gated.group_BLV >= 0)
    located = Prediction._make(part[asked_BLV] for part in located)
    parts = (cut.inputs.base_BLV, cut.inputs.middle_BLV, cut.z_BLV, cut.weight_BLV)
    base, middle, z, weight = (part[asked_BLV] for part in parts)
    heads = heads.take(asked_BLV.nonzero()[:, 2])
    cells = _Cells.of(gated)
    groups = cells.groups
    costs, misses, middle_costs = [], [], []
    for share in shares:
        mixed = Prediction(
            base + share * (located.location_BLV - base),
            located.scale_BLV,
            middle + share * (located.middle_BLV - middle),
        )
        error, _ = losses(mixed, z, heads)
        costs.append(cells.mean(error * weight))
        if gated.mode == "forecast":
            middle_costs.append(cells.mean((z - mixed.middle_BLV).abs()))
        missed = ((z - mixed.location_BLV) / mixed.scale_BLV) ** 2
        misses.append(np.nanmean(cells.mean(missed), axis=1))
    cost_AGC = np.array(costs)
    best_G = least_cost(cost_AGC)
    every = np.arange(len(groups))
    numbers = [int(g) for g in groups]
    first_AG = _mean_known(cost_AGC[..., : first_half(cost_AGC)])
    middle_G = least_cost(np.array(middle_costs)) if middle_costs else best_G
    return Choice(
        dict(zip(numbers, np.array(shares)[best_G].tolist(), strict=True)),
        dict(zip(numbers, np.sqrt(np.array(misses)[best_G, every]).tolist(), strict=True)),
        dict(zip(numbers, np.array(shares)[middle_G].tolist(), strict=True)),
        float(np.nanmean(first_AG.min(0))) if numbers and np.isfinite(first_AG).any() else 0.0,
    )


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
    spread: TaskWeights, choices: dict[Mode, Choice], columns: Columns, horizons: tuple[int, ...]
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


def residual_spread(material: Material, runs: list[tuple[int, int]], train: Bools) -> TaskWeights:
    """Return the spread of what linear predictions leave over in training.

    The network's output is multiplied by it, so that it has the same work to do at a horizon of
    one sample, where little is left over, as far ahead. 1 for counts and where ridge does worse
    than the mean.
    """
    counts_V, z_TV = material.counts_V, material.z_TV
    two_sided: dict[Mode, Floats] = {task: np.ones(z_TV.shape[1], np.float32) for task in TWO_SIDED}
    for task, base_TV in material.base.items():
        two_sided[task] = _spread(z_TV[train] - base_TV[train], counts_V)
    forecast_THV, _ = material.forecast_base(np.flatnonzero(train))
    forecast_HV = np.stack(
        [
            _spread(shift_back(z_TV, runs, horizon)[train] - forecast_THV[:, h], counts_V)
            for h, horizon in enumerate(material.skip.horizons)
        ]
    )
    return TaskWeights(two_sided, forecast_HV)


def _spread(left_over_TV: Floats, counts_V: Bools) -> Floats:
    power_V = np.nanmean(left_over_TV.astype(np.float64) ** 2, axis=0)
    spread_V = np.clip(np.sqrt(np.nan_to_num(power_V, nan=1.0)), LEAST_SPREAD, 1.0)
    return np.where(counts_V, 1.0, spread_V).astype(np.float32)


@dataclass(frozen=True)
class _Cells:
    """The group and block of time of each asked value.

    cell : groups * blocks of them, one number a value
    """

    groups: Ints
    blocks: int
    cell: Ints

    @classmethod
    def of(cls, gated: GatedCut) -> "_Cells":
        asked_BLV = gated.group_BLV >= 0
        groups, of_group = np.unique(gated.group_BLV[asked_BLV], return_inverse=True)
        blocks = int(gated.block_BL.max()) + 1
        block_BLV = np.broadcast_to(gated.block_BL[..., None], asked_BLV.shape)
        return cls(groups, blocks, of_group * blocks + block_BLV[asked_BLV])

    def mean(self, error: torch.Tensor) -> NDArray[np.float64]:
        """Return (group, block) mean errors; NaN where a block has none of a group."""
        cells = len(self.groups) * self.blocks
        total = np.bincount(self.cell, error.numpy(), minlength=cells)
        count = np.bincount(self.cell, minlength=cells).astype(float)
        count[count == 0] = np.nan
        return np.asarray((total / count).reshape(len(self.groups), self.blocks))
