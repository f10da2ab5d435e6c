"""What a predicted distribution is worth: CRPS, coverage; and correlations within trials."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.lnm.data.recording import Bools, Floats, Ints
from tasks.lnm.network.distributions import Distribution
from tasks.lnm.network.heads import Doubles

COVERED = 0.9


@dataclass(frozen=True)
class Quality:
    """Figures beside a score; NaN where they do not apply.

    correlation : Pearson, mean over columns, of the model and of the bar
    trial_correlation : the model's, of samples inside trials, not averaged over trials
    crps : continuous ranked probability score of the model, in standard deviations of training
    crps_mean : of a distribution with the mean and variance of training
    coverage : share of the truth inside the model's central 90 %
    """

    correlation: float
    best_correlation: float
    trial_correlation: float
    crps: float
    crps_mean: float
    coverage: float


UNKNOWN = Quality(*(float("nan"),) * 6)


def assess(
    real_TV: Floats,
    model_TV: Floats,
    best_TV: Floats,
    worth: "Worth",
    sd_V: Floats,
    trial_T: Bools | None = None,
) -> Quality:
    """Assess the answers to one target.

    Parameters
    ----------
    worth : what the distributions are worth, of the same columns
    trial_T : true inside trials; None where there are none
    """
    within = np.nan
    if trial_T is not None and trial_T.any():
        within = correlate(real_TV[trial_T], model_TV[trial_T])
    return Quality(
        correlate(real_TV, model_TV),
        correlate(real_TV, best_TV),
        within,
        _mean(worth.crps_TV / sd_V),
        _mean(worth.crps_mean_TV / sd_V),
        _mean(worth.covered_TV),
    )


class Worth(NamedTuple):
    """What distributions are worth at each sample, (time, column), NaN where there is no truth.

    crps_TV, crps_mean_TV : of the model, and of the mean and variance of training, in own units
    covered_TV : how much of the truth is inside the central 90 %
    """

    crps_TV: Doubles
    crps_mean_TV: Doubles
    covered_TV: Doubles

    @classmethod
    def of(cls, found: Distribution, plain: Distribution, real_TV: Floats) -> "Worth":
        """Hold distributions against the truth."""
        return cls(found.crps(real_TV), plain.crps(real_TV), found.covered(real_TV, COVERED))

    def take(self, own: Ints) -> "Worth":
        """Return some columns."""
        return Worth(*(part[:, own] for part in self))


def correlate(real_TV: Floats, answer_TV: Floats) -> float:
    """Return the mean over columns of Pearson's r; NaN where nothing varies."""
    valid_TV = np.isfinite(real_TV) & np.isfinite(answer_TV)
    found = []
    for real, answer, valid in zip(real_TV.T, answer_TV.T, valid_TV.T, strict=True):
        a, b = real[valid].astype(np.float64), answer[valid].astype(np.float64)
        if len(a) > 2 and a.std() > 1e-9 and b.std() > 1e-9:
            found.append(float(np.corrcoef(a, b)[0, 1]))
    return float(np.mean(found)) if found else float("nan")


def _mean(values: NDArray[np.floating]) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
