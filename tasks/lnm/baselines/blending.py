"""Which baseline, or which two or three of them, validation would answer a target with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.lnm.data.locations import location_to_values
from tasks.lnm.data.recording import Floats, Scaler
from tasks.lnm.scores.gains import block_costs, least_cost
from tasks.lnm.scores.scoring import Metric, functional_of

Weights = dict[str, float]
"""Share of each baseline that is used; they sum to 1."""

SHARES = (0.25, 0.5, 0.75, 1.0)
MOST_ADDED = 2


@dataclass(frozen=True)
class Offer:
    """What one target may be answered with, and the truth.

    real_TV : (time, column) in training and on validation
    answers : locations, or medians; of training rows by fits without them
    block : rows that are resampled together
    """

    metric: Metric
    real_TV: Floats
    answers: Mapping[str, Floats]
    scaler: Scaler
    counts: bool
    block: int

    def costs(self, options: Sequence[Weights]) -> NDArray[np.float64]:
        """Return (option, block of time) costs of blends."""
        values = map(self._value, options)
        return block_costs(self.metric, self.real_TV, values, self.scaler.sd_V, self.block)

    def _value(self, blend: Weights) -> Floats:
        mixed = sum(share * self.answers[name] for name, share in blend.items())
        counts_V = np.full(
            self.real_TV.shape[1], self.counts and functional_of(self.metric) == "mean"
        )
        return location_to_values(np.asarray(mixed), self.scaler, counts_V)


def choose_blend(offer: Offer, scores: Mapping[str, float], names: Sequence[str]) -> Weights:
    """Start from the best starter on validation; add a share of another while the gain is sure.

    Averages of forecasts are seldom worse than the best of them (Bates & Granger 1969,
    doi:10.1057/jors.1969.103); what is not sure (see `least_cost`) is not added, so that mostly
    the skip is the bar itself.

    Parameters
    ----------
    scores : how good those are on validation that may be started from
    names : what may be in the blend
    """
    known = {name: score for name, score in scores.items() if name in names}
    weights: Weights = {max(known, key=lambda m: known[m]) if known else "ridge": 1.0}
    for _ in range(MOST_ADDED if len(names) > 1 else 0):
        added = [mix_in(weights, {name: 1.0}, share) for name in names for share in SHARES]
        best = int(least_cost(offer.costs([weights, *added])[:, None])[0])
        if not best:
            break
        weights = added[best - 1]
    return weights


def join_blends(offer: Offer, first: Weights, second: Weights) -> Weights:
    """Return the mixture of two blends that costs least, in quarters."""
    options = [first, *(mix_in(first, second, share) for share in SHARES)]
    costs = offer.costs(options)
    return options[int(costs.mean(1).argmin())] if costs.size else first


def mix_in(weights: Weights, other: Weights, share: float) -> Weights:
    """Return the blend with a share of another in it."""
    mixed = {own: (1 - share) * weight for own, weight in weights.items() if share < 1}
    return mixed | {name: mixed.get(name, 0.0) + share * own for name, own in other.items()}
