"""Courses drawn given what some columns really did in the meantime.

Forecasts know the past of all columns. What they miss of the given ones over the next steps tells
what they miss of the others: levels of the truth after many moments of the recording (see
dependence.py) are related by ridge of normal scores, a Gaussian copula, and what that leaves over
is drawn as it was after one of these moments, all columns and steps together.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from tasks.lnm.data.recording import Bools, Floats, Ints
from tasks.lnm.linear.normal_equations import Doubles
from tasks.lnm.linear.ridge import principal_axes
from tasks.lnm.network.distributions import Distribution
from tasks.lnm.network.noise import hold_levels
from tasks.lnm.network.trained import TrainedModel

PENALTIES = (*np.logspace(-2, 2, 9), np.inf)
"""Of which each column and step takes its own; beside the mean square of the scores' axes."""
MOST_AXES = 128
"""Principal axes at most that the scores of what is given are reduced to."""


@dataclass(frozen=True)
class Given:
    """What some columns did: z-scores, NaN where that is not known.

    index : numbers of the columns
    z_BTG : (course, step, given column), from the first sample that is drawn on
    """

    index: Ints
    z_BTG: Floats


class Conditioned:
    """Draws levels of all columns given what some do."""

    def __init__(self, model: TrainedModel, given: Given) -> None:
        self._noise, self._index, self._z_BTG = model.noise, given.index, given.z_BTG
        self._scaler = model.scaler.take(given.index)
        self._score_RSV = _scores(self._noise.level_RSV)
        self._fits: dict[bytes, Fit] = {}

    def draw(self, ahead: Distribution, step: int, rng: np.random.Generator) -> Floats:
        """Return (course, step, column) levels of what is predicted from a step on."""
        real_BSV = np.full(ahead.told.mean.shape, np.nan)
        z_BSG = self._z_BTG[:, step : step + real_BSV.shape[1]]
        # Behind the end nothing is given, nor kept.
        known = np.s_[:, : z_BSG.shape[1], self._index]
        real_BSV[known] = z_BSG * self._scaler.sd_V + self._scaler.mean_V
        return self.draw_levels(ahead.levels(real_BSV, rng)[..., self._index], rng)

    def keep(self, drawn_BSV: Floats, step: int) -> None:
        """Lay what is given over z-scores that were drawn from a step on."""
        z_BSG = self._z_BTG[:, step : step + drawn_BSV.shape[1]]
        known = np.s_[:, : z_BSG.shape[1], self._index]
        drawn_BSV[known] = np.where(np.isfinite(z_BSG), z_BSG, drawn_BSV[known])

    def draw_levels(self, level_BSG: Floats, rng: np.random.Generator) -> Floats:
        """Return (course, step, column) levels, those of the given columns as they are.

        level_BSG : NaN where not known
        """
        level_BSV = self._noise.draw_levels(len(level_BSG), rng)
        known_BSG = np.isfinite(level_BSG)
        if len(self._score_RSV):
            score_BSG, shape = _scores(level_BSG), level_BSV.shape[1:]
            moment_B = rng.integers(len(self._score_RSV), size=len(level_BSG))
            for b, known_SG in enumerate(known_BSG):
                if known_SG.any():
                    fit = self._fit(known_SG)
                    score_Q = fit.predict(score_BSG[b][known_SG]) + fit.left_over(moment_B[b])
                    level_BSV[b] = hold_levels(ndtr(score_Q)).reshape(shape)
        level_BSV[..., self._index] = np.where(known_BSG, level_BSG, level_BSV[..., self._index])
        return level_BSV

    def _fit(self, known_SG: Bools) -> "Fit":
        key = known_SG.tobytes()
        if key not in self._fits:
            given_RP = self._score_RSV[:, :, self._index][:, known_SG]
            self._fits[key] = fit_scores(given_RP, self._score_RSV.reshape(len(given_RP), -1))
        return self._fits[key]


@dataclass(frozen=True)
class Fit:
    """From the scores that are given to those of all columns and steps.

    left_over : what was missed after a moment, as if the moment had not been fitted
    """

    map_PQ: Doubles
    left_over: Callable[[int], Doubles]

    def predict(self, score_P: Doubles) -> Doubles:
        """Return the expected scores."""
        return np.asarray(score_P @ self.map_PQ)


def fit_scores(given_RP: Doubles, score_RQ: Doubles) -> Fit:
    """Fit ridge from some scores to others, the penalty of each by generalised cross-validation.

    Golub, Heath & Wahba 1979, doi:10.2307/1268518.
    """
    axes_PX: Doubles = np.eye(given_RP.shape[1])
    if given_RP.shape[1] > MOST_AXES:
        found_PX = principal_axes(given_RP, MOST_AXES, np.random.default_rng(0))
        axes_PX = found_PX.astype(np.float64)
    basis_RX, size_X, turn_XX = np.linalg.svd(given_RP @ axes_PX, full_matrices=False)
    along_XQ = basis_RX.T @ score_RQ
    total_Q, unit = (score_RQ**2).sum(0), max(float((size_X**2).mean()), 1e-12)
    shares, costs = [], []
    for penalty in PENALTIES:
        share_X = size_X**2 / (size_X**2 + penalty * unit) if np.isfinite(penalty) else 0 * size_X
        missed_Q = total_Q - ((2 * share_X - share_X**2)[:, None] * along_XQ**2).sum(0)
        shares.append(share_X)
        costs.append(missed_Q / (1 - share_X.sum() / len(given_RP)) ** 2)
    share_XQ = np.stack(shares)[np.argmin(costs, axis=0)].T
    shrink_Q = 1 / (1 - share_XQ.sum(0) / len(given_RP))
    safe_X = np.where(size_X > 1e-9 * size_X.max(initial=1e-12), size_X, np.inf)
    map_PQ = axes_PX @ turn_XX.T @ (share_XQ / safe_X[:, None] * along_XQ)

    def left_over(moment: int) -> Doubles:
        return np.asarray((score_RQ[moment] - given_RP[moment] @ map_PQ) * shrink_Q)

    return Fit(map_PQ, left_over)


def _scores(level: Floats) -> Doubles:
    """Return normal scores of levels, 0 where they are not known."""
    return np.nan_to_num(np.asarray(ndtri(hold_levels(level.astype(np.float64)))))
