"""Which baseline, or which two or three of them, validation would answer a target with."""

from collections.abc import Mapping

import numpy as np

from tasks.lnm.data.locations import location_to_values
from tasks.lnm.data.recording import Floats, Scaler
from tasks.lnm.scores.gains import block_costs, least_cost
from tasks.lnm.scores.scoring import Metric, functional_of

Weights = dict[str, float]
"""Share of each baseline that is used; they sum to 1."""

SHARES = (0.25, 0.5, 0.75, 1.0)
MOST_ADDED = 2


def choose_blend(
    metric: Metric,
    real_TV: Floats,
    answers: Mapping[str, Floats],
    scaler: Scaler,
    counts: bool,
    scores: Mapping[str, float],
    block: int,
) -> Weights:
    """Start from the best starter on validation; add a share of another while the gain is sure.

    Averages of forecasts are seldom worse than the best of them (Bates & Granger 1969,
    doi:10.1057/jors.1969.103); what is not sure (see `least_cost`) is not added, so that mostly
    the skip is the bar itself.

    Parameters
    ----------
    real_TV : (time, column) truth of one target in training and on validation
    answers : locations, or medians, that may be blended; of training rows by fits without them
    scores : how good those are on validation that may be started from
    block : rows that are resampled together
    """
    known = {name: score for name, score in scores.items() if name in answers}
    weights: Weights = {max(known, key=lambda m: known[m]) if known else "ridge": 1.0}
    counts_V = np.full(real_TV.shape[1], counts and functional_of(metric) == "mean")

    def value(blend: Weights) -> Floats:
        mixed = sum(share * answers[name] for name, share in blend.items())
        return location_to_values(np.asarray(mixed), scaler, counts_V)

    for _ in range(MOST_ADDED if len(answers) > 1 else 0):
        options = [weights] + [mix_in(weights, name, share) for name in answers for share in SHARES]
        costs = block_costs(metric, real_TV, map(value, options), scaler.sd_V, block)
        best = int(least_cost(costs[:, None])[0])
        if not best:
            break
        weights = options[best]
    return weights


def mix_in(weights: Weights, name: str, share: float) -> Weights:
    """Return the blend with a share of another in it."""
    mixed = {own: (1 - share) * weight for own, weight in weights.items() if share < 1}
    return {**mixed, name: mixed.get(name, 0.0) + share}
