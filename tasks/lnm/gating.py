"""How much of the network to add to the skip: chosen by target and horizon on unseen time."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.lnm.masks import Mode
from tasks.lnm.recording import Columns, Floats, Ints
from tasks.lnm.scoring import Metric, gains_by_sample
from tasks.lnm.windows import TWO_SIDED, Mixing, TaskWeights

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
FEWEST_BLOCKS = 4
SURE = 2.0
"""Standard errors that a gain must exceed, as the verdict's 95 % interval asks."""

Question = tuple[Mode, str, int]
"""Task, target, number of the horizon (0 if none)."""


class Measured(NamedTuple):
    """What each share of the network's output costs, by block of time, in the verdicts' metrics.

    error_AC, middle_AC : (share, block) cost of the mean and, of forecasts, of the median (else no
        blocks)
    missed_AC : squared errors in units of the variance that the network gives
    """

    error_AC: NDArray[np.float64]
    middle_AC: NDArray[np.float64]
    missed_AC: NDArray[np.float64]


Evidence = Mapping[Question, Measured]


class Share(NamedTuple):
    """What is taken of the network's mean and median, and what its scale is multiplied by."""

    mean: float
    middle: float
    spread: float


def pool_evidence(found: Iterable[Evidence]) -> dict[Question, Measured]:
    """Put the blocks of time of several sources together."""
    pooled: dict[Question, Measured] = {}
    for evidence in found:
        for question, costs in evidence.items():
            pairs = zip(pooled.get(question, ()), costs, strict=False)
            joined = [np.concatenate(pair, axis=1) for pair in pairs]
            pooled[question] = Measured._make(joined or costs)
    return pooled


def choose_shares(evidence: Evidence) -> dict[Question, Share]:
    """Find for each question the share of the network's output that surely costs least."""
    return {
        question: take_shares(
            costs,
            int(least_cost(costs.error_AC[:, None])[0]),
            int(least_cost(costs.middle_AC[:, None])[0]) if costs.middle_AC.size else 0,
        )
        for question, costs in evidence.items()
    }


def take_shares(costs: Measured, mean: int, middle: int) -> Share:
    """Return the shares of these numbers, and the spread that goes with them."""
    spread = float(np.sqrt(np.nanmean(costs.missed_AC[mean])))
    return Share(SHARES[mean], SHARES[middle], spread)


def block_costs(
    metric: Metric, real_TV: Floats, value_TV: Floats, sd_V: Floats, block: int
) -> NDArray[np.float64]:
    """Return (block,) mean costs on blocks of consecutive valid rows; none if too few are valid."""
    gains, norm_T = gains_by_sample(metric, real_TV, {"own": value_TV}, sd_V)
    if not gains:
        return np.zeros(0)
    block_T = number_blocks(len(norm_T), block)
    scale = max(float(norm_T.mean()), 1e-9)
    return np.asarray(-np.bincount(block_T, gains["own"]) / np.bincount(block_T) / scale)


def least_cost(cost_AGC: NDArray[np.float64]) -> Ints:
    """Return for each group the least share whose gain on the first is as good as the greatest.

    A gain counts if it is there in both halves of the time and, over all blocks, exceeds twice its
    own standard error. Of those that do, the first that falls behind the greatest by no more than
    one standard error of just that is taken (the one-standard-error rule of Breiman et al. 1984, of
    paired blocks): the next hour is never quite like this one, and a small share loses little.
    Blocks are as long as a window, for errors within one depend on each other; fewer than four of
    them tell nothing: 0.

    Parameters
    ----------
    cost_AGC : (share, group, block of time), NaN where a block has none of a group
    """
    gain_AGC = cost_AGC[0] - cost_AGC
    half = first_half(cost_AGC)
    known_AG = np.maximum(np.isfinite(gain_AGC).sum(2), 1)
    gain_AG, error_AG = _mean_and_error(gain_AGC)
    both_AG = (mean_known(gain_AGC[..., :half]) > 0) & (mean_known(gain_AGC[..., half:]) > 0)
    sure_AG = both_AG & (gain_AG > SURE * error_AG)
    sure_AG &= (known_AG >= FEWEST_BLOCKS) | (len(cost_AGC) == 1)
    sure_gain_AG = np.where(sure_AG, gain_AG, 0.0)
    best_G = sure_gain_AG.argmax(0)
    every = np.arange(len(best_G))
    behind_AG, behind_error_AG = _mean_and_error(gain_AGC[best_G, every] - gain_AGC)
    # The first share, of no gain, counts as sure only where no other is.
    is_best_AG = np.arange(len(cost_AGC))[:, None] == best_G
    eligible_AG = (sure_AG & (behind_AG <= behind_error_AG)) | is_best_AG
    return np.asarray(eligible_AG.argmax(0))


def _mean_and_error(
    values_AGC: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return means over the known blocks, 0 where there is none, and their standard errors."""
    known_AG = np.maximum(np.isfinite(values_AGC).sum(2), 1)
    mean_AG = np.nan_to_num(mean_known(values_AGC))
    filled = np.where(np.isfinite(values_AGC), values_AGC - mean_AG[..., None], 0.0)
    spread_AG = np.sqrt((filled**2).sum(2) / np.maximum(known_AG - 1, 1))
    return mean_AG, spread_AG / np.sqrt(known_AG)


def first_half(cost_AGC: NDArray[np.float64]) -> int:
    """Return how many blocks make the first half of the time."""
    return max(1, int(cost_AGC.shape[2]) // 2)


def number_blocks(rows: int, window: int) -> Ints:
    """Number validation samples by blocks as long as a window; a short rest joins the last."""
    return np.minimum(np.arange(rows) // window, max(1, rows // window) - 1)


def mean_known(values_AGC: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return means over blocks; NaN where there is none."""
    known = np.isfinite(values_AGC)
    total, count = np.where(known, values_AGC, 0.0).sum(2), known.sum(2)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def apply_choices(
    spread: TaskWeights,
    choices: Mapping[Question, Share],
    columns: Columns,
    horizons: Sequence[int],
) -> Mixing:
    """Return the mixing that was chosen; what was never asked stays linear.

    Spreads become such that squared errors on unseen time are as large as they say on average.
    """
    shut = Share(0.0, 0.0, 1.0)

    def chosen(mode: Mode, horizon: int) -> Floats:
        """Return (mean, middle, spread) x (column)."""
        rows = [choices.get((mode, target, horizon), shut) for target in columns.targets]
        return np.array(rows, np.float32).T

    hidden = {task: chosen(task, 0) for task in TWO_SIDED}
    ahead_HPV = np.stack([chosen("forecast", at) for at in range(len(horizons))])
    gate, wide = (
        TaskWeights(
            {task: spread.two_sided[task] * hidden[task][part] for task in TWO_SIDED},
            spread.forecast_HV * ahead_HPV[:, part],
        )
        for part in (0, 2)
    )
    return Mixing(gate, wide, spread.forecast_HV * ahead_HPV[:, 1])
