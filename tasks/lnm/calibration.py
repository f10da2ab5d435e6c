"""What a predicted distribution is worth: CRPS, coverage; and correlations within trials."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from tasks.lnm.recording import Bools, Floats

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
    scale_TV: Floats,
    counts: bool,
    mean_V: Floats,
    sd_V: Floats,
    trial_T: Bools | None = None,
) -> Quality:
    """Assess the answers to one target.

    Parameters
    ----------
    scale_TV : standard deviation of the model's normal; not used for counts
    trial_T : true inside trials; None where there are none
    """
    crps_TV, covered_TV = (
        rank_counts(real_TV, model_TV) if counts else rank_normal(real_TV, model_TV, scale_TV)
    )
    plain_TV = np.broadcast_to(mean_V, real_TV.shape)
    null_TV, _ = (
        rank_counts(real_TV, plain_TV)
        if counts
        else rank_normal(real_TV, plain_TV, np.broadcast_to(sd_V, real_TV.shape))
    )
    within = np.nan
    if trial_T is not None and trial_T.any():
        within = correlate(real_TV[trial_T], model_TV[trial_T])
    return Quality(
        correlate(real_TV, model_TV),
        correlate(real_TV, best_TV),
        within,
        _mean(crps_TV / sd_V),
        _mean(null_TV / sd_V),
        _mean(covered_TV),
    )


def rank_normal(real: Floats, mean: Floats, sd: Floats) -> tuple[Floats, Floats]:
    """Return CRPS and whether the central 90 % holds the truth, of normal distributions.

    Gneiting & Raftery 2007, doi:10.1198/016214506000001437, equation 21.
    """
    z = (real - mean) / sd
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    crps = sd * (z * (2 * special.ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi))
    far = stats.norm.ppf(0.5 + COVERED / 2)
    return crps, np.where(np.isfinite(z), np.abs(z) <= far, np.nan)


def rank_counts(real: Floats, rate: Floats) -> tuple[Floats, Floats]:
    """Return CRPS and whether the central 90 % holds the truth, of Poisson distributions.

    Wei & Held 2014, doi:10.1007/s11749-014-0380-8.
    """
    rate = np.maximum(rate.astype(np.float64), 1e-6)
    count = np.round(real)
    below = stats.poisson.cdf(count, rate)
    at = stats.poisson.pmf(count, rate)
    bessel = special.ive(0, 2 * rate) + special.ive(1, 2 * rate)
    crps = (count - rate) * (2 * below - 1) + 2 * rate * at - rate * bessel
    tail = (1 - COVERED) / 2
    covered = (below >= tail) & (below - at <= 1 - tail)
    return crps, np.where(np.isfinite(real), covered, np.nan)


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
