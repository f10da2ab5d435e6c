"""What heads and skip predict in: z-scores, or log rates of spike counts; and their medians."""

from typing import Literal

import numpy as np

from tasks.lnm.data.recording import Bools, Floats, Scaler

Functional = Literal["mean", "median"]
"""What is read off a predicted distribution: the mean for squared errors and likelihoods, the
median for absolute errors (Gneiting 2011, doi:10.1198/jasa.2011.r10138)."""

LINK_KNEE = 0.1
"""Below this share of a unit's mean count, a linear prediction turns into an exponential."""

LOWEST_LOG = 3.0


def as_location(z: Floats, scaler: Scaler, counts_V: Bools) -> Floats:
    """Turn linear predictions (..., column) into what the heads add to.

    Continuous columns stay z-scores. Spike counts become log(rate / mean rate), where the rate is
    the linear prediction itself, or an exponential below a tenth of the mean, so that it stays
    positive. NaN (not predicted) becomes 0: the mean.
    """
    if not counts_V.any():
        return np.nan_to_num(z).astype(np.float32, copy=False)
    mean_V = np.maximum(scaler.mean_V, 1e-6)
    share = (z * scaler.sd_V + scaler.mean_V) / mean_V
    floored = np.clip(share / LINK_KNEE, -LOWEST_LOG, 1.0) - 1.0 + np.log(LINK_KNEE)
    log_rate = np.where(share > LINK_KNEE, np.log(np.maximum(share, LINK_KNEE)), floored)
    return np.nan_to_num(np.where(counts_V, log_rate, z)).astype(np.float32)


def location_to_values(location: Floats, scaler: Scaler, counts_V: Bools) -> Floats:
    """Turn locations (..., column) into means in the columns' own units."""
    if not counts_V.any():
        return np.asarray(location * scaler.sd_V + scaler.mean_V, np.float32)
    with np.errstate(over="ignore"):
        rate = scaler.mean_V * np.exp(np.where(counts_V, location, 0.0))
    return np.where(counts_V, rate, location * scaler.sd_V + scaler.mean_V).astype(np.float32)


def location_to_middle(location: Floats, scaler: Scaler, counts_V: Bools) -> Floats:
    """Return the z-score of the median: the location of a normal, the middle count of a Poisson."""
    if not counts_V.any():
        return location
    count = poisson_median(location_to_values(location, scaler, counts_V))
    middle = (count - scaler.mean_V) / scaler.sd_V
    return np.where(counts_V, middle, location).astype(np.float32)


def poisson_median(rate: Floats) -> Floats:
    """Return medians of Poisson distributions (Choi 1994, doi:10.2307/2160389)."""
    return np.floor(np.maximum(rate + 1 / 3 - 0.02 / np.maximum(rate, 1e-3), 0.0))
