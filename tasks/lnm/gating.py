"""How much of the network to add to ridge: chosen on validation for each target and horizon."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.lnm.masks import Mode
from tasks.lnm.model import Heads, LargeNeuralModel, Prediction, losses
from tasks.lnm.recording import Bools, Columns, Floats, Ints
from tasks.lnm.skip import shift_back
from tasks.lnm.windows import TWO_SIDED, Cut, Material, Mixing, TaskWeights

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
LEAST_SPREAD = 0.03
LEAST_GAIN = 0.02


@dataclass(frozen=True)
class GatedCut:
    """Validation windows of one task, each asked value numbered by what shares its gate.

    group_BLV : target * horizons + horizon (targets as in Columns.targets), -1 if not asked
    """

    mode: Mode
    cut: Cut
    group_BLV: Ints


@dataclass
class Choice:
    """The best share of each group of one task, the spread it needs, and the loss with it."""

    share_G: dict[int, float] = field(default_factory=dict)
    spread_G: dict[int, float] = field(default_factory=dict)
    loss: float = 0.0


def group_asked(
    mode: Mode, cut: Cut, known_B: Ints, columns: Columns, horizons: tuple[int, ...]
) -> GatedCut:
    """Number the asked values by target and, for forecasts, by the horizon they are nearest to."""
    order = {target: i for i, target in enumerate(dict.fromkeys(columns.targets))}
    target_V = np.array([order[target] for target in columns.targets])
    asked_BLV = cut.asked_BLV.numpy()
    step_BL = np.arange(asked_BLV.shape[1]) - known_B[:, None] + 1
    nearest_BL = np.searchsorted(horizons, np.maximum(step_BL, 1))
    bucket_BL = np.minimum(nearest_BL, len(horizons) - 1) if mode == "forecast" else 0 * step_BL
    group_BLV = target_V * len(horizons) + bucket_BL[..., None]
    return GatedCut(mode, cut, np.where(asked_BLV, group_BLV, -1))


@torch.no_grad()
def choose_shares(
    network: LargeNeuralModel, gated: GatedCut, heads: Heads, shares: tuple[float, ...] = SHARES
) -> Choice:
    """Find for each group the share of the network's output that costs least."""
    network.eval()
    cut = gated.cut
    located = network(cut.inputs)
    base = cut.inputs.base_BLV
    group = gated.group_BLV.ravel()
    groups = np.unique(group[group >= 0])
    costs, misses = [], []
    for share in shares:
        mixed = Prediction(base + share * (located.location_BLV - base), located.scale_BLV)
        error_BLV, _ = losses(mixed, cut.z_BLV, heads)
        costs.append(_mean_by_group(error_BLV * cut.weight_BLV, group, groups))
        missed_BLV = ((cut.z_BLV - mixed.location_BLV) / mixed.scale_BLV) ** 2
        misses.append(_mean_by_group(missed_BLV, group, groups))
    cost_AG = np.array(costs)
    # Less than this is noise on validation: then ridge alone is the safer answer.
    cost_AG[np.array(shares) == 0.0] *= 1 - LEAST_GAIN
    best_G = cost_AG.argmin(0)
    every = np.arange(len(groups))
    numbers = [int(g) for g in groups]
    return Choice(
        dict(zip(numbers, np.array(shares)[best_G].tolist(), strict=True)),
        dict(zip(numbers, np.sqrt(np.array(misses)[best_G, every]).tolist(), strict=True)),
        float(cost_AG[best_G, every].mean()) if numbers else 0.0,
    )


def apply_choices(
    spread: TaskWeights, choices: dict[Mode, Choice], columns: Columns, horizons: tuple[int, ...]
) -> Mixing:
    """Return the mixing that validation chose; what was never asked there stays linear.

    Spreads become such that squared errors on validation are as large as they say on average.
    """
    order = {target: i for i, target in enumerate(dict.fromkeys(columns.targets))}
    target_V = [order[target] for target in columns.targets]

    def scaled(name: Literal["share_G", "spread_G"], otherwise: float) -> TaskWeights:
        def factors(mode: Mode) -> Floats:
            found = getattr(choices[mode], name) if mode in choices else {}
            keys = [[t * len(horizons) + h for t in target_V] for h in range(len(horizons))]
            return np.array([[found.get(k, otherwise) for k in row] for row in keys], np.float32)

        two_sided = {task: spread.two_sided[task] * factors(task)[0] for task in TWO_SIDED}
        return TaskWeights(two_sided, spread.forecast_HV * factors("forecast"))

    return Mixing(scaled("share_G", 0.0), scaled("spread_G", 1.0))


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
    forecast_THV = material.forecast_base(np.flatnonzero(train))
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


def _mean_by_group(error_BLV: torch.Tensor, group: Ints, groups: Ints) -> NDArray[np.float64]:
    asked = group >= 0
    error = error_BLV.numpy().ravel()[asked]
    total = np.bincount(group[asked], error, minlength=int(groups.max(initial=0)) + 1)
    count = np.bincount(group[asked], minlength=int(groups.max(initial=0)) + 1)
    return np.asarray(total[groups] / count[groups])
