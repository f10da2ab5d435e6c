"""How much of the network to add to the skip: chosen by target and horizon on unseen time."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.lnm.data.masks import TWO_SIDED, Mode
from tasks.lnm.data.recording import Columns, Floats
from tasks.lnm.network.windows import Mixing, TaskWeights
from tasks.lnm.scores.gains import least_cost

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
WANDERS_MIN = 1.0
"""Minutes after which what a brain tells of behaviour may be another: arousal wanders like that."""

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


def choose_shares(evidence: Evidence, minutes: float) -> dict[Question, Share]:
    """Find for each question the share of the network's output that surely costs least.

    Of it m / (m + 1) is kept after m minutes. Blocks that are a window apart tell of no more than
    their own minutes: gains differ from one stretch of time to the next, and are shrunk as the mean
    of m draws that differ as much as they gain (Efron & Morris 1975, doi:10.2307/2285814). Of one
    minute half: this keeps three quarters of the gain if it stays, for errors are quadratic in the
    share, and costs a quarter of it where nothing of it stays.

    Parameters
    ----------
    minutes : time that the evidence is of
    """
    kept = minutes / (minutes + WANDERS_MIN)
    return {
        question: take_shares(
            costs,
            int(least_cost(costs.error_AC[:, None])[0]),
            int(least_cost(costs.middle_AC[:, None])[0]) if costs.middle_AC.size else 0,
            kept,
        )
        for question, costs in evidence.items()
    }


def take_shares(costs: Measured, mean: int, middle: int, kept: float = 1.0) -> Share:
    """Return what is kept of the shares of these numbers, and the spread that goes with it."""
    share = kept * SHARES[mean]
    # Squared errors are quadratic in the share, so that these figures tell them of any.
    through = np.polyfit(SHARES, np.nanmean(costs.missed_AC, axis=1), 2)
    missed = float(np.polyval(through, share))
    return Share(share, kept * SHARES[middle], max(missed, 0.0) ** 0.5)


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
