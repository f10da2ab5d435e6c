"""Poisson regression of spike counts on the same features as ridge."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from tasks.lnm.baselines.plain import Fitted, make_affine
from tasks.lnm.data.recording import Bools, Floats
from tasks.lnm.linear.normal_equations import Doubles
from tasks.lnm.linear.problems import MOST_ROWS, Problem
from tasks.lnm.linear.ridge import Ridge
from tasks.lnm.network.model import MOST_LOG_RATE

PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3)
"""On half the squared weights, for a loss in counts over their mean; strong to weak."""
ITERATIONS = 40


@dataclass(frozen=True)
class Basis:
    """Standardised features turned to the axes of their covariance.

    There curvature is nearly the same along every axis, so that few iterations are enough.
    """

    centre_F: Doubles
    turn_FD: Doubles
    power_D: Doubles

    @classmethod
    def of(cls, features_TF: Floats) -> "Basis":
        """Return the basis of some rows."""
        centre, spread = features_TF.mean(0, dtype=np.float64), features_TF.std(0)
        scale_F = np.where(spread > 1e-6, 1 / np.maximum(spread, 1e-6), 0.0)
        scaled = (features_TF - centre) * scale_F
        power_D, axes_FD = np.linalg.eigh(scaled.T @ scaled / len(scaled))
        keep = power_D > 1e-6 * power_D.max()
        return cls(centre, scale_F[:, None] * axes_FD[:, keep], power_D[keep])

    def turn(self, features_TF: Floats) -> Doubles:
        """Return features in this basis."""
        return np.asarray((features_TF - self.centre_F) @ self.turn_FD, np.float64)


def fit_poisson(problem: Problem) -> Fitted | None:
    """Fit log rates by maximum likelihood with an L2 penalty chosen for each unit.

    Only of spike counts, and not of forecasts, whose scores have no likelihood.
    """
    if problem.horizon >= 0 or not problem.counts_O.any() or not problem.validation.any():
        return None
    # Rows in which all units are known; counts are valid together or not at all.
    known = np.isfinite(problem.target_TO[:, problem.counts_O]).all(1)
    train, held_out = known & problem.train, known & problem.validation
    if train.sum() < 2 or not held_out.any():
        return None
    fitting = _thin(train)
    features_TF, share_TO = problem.seen.features_TF, _share_of_mean(problem)
    basis = Basis.of(features_TF[fitting])
    x, y = basis.turn(features_TF[fitting]), share_TO[fitting]
    valid_x, valid_y = basis.turn(features_TF[held_out]), share_TO[held_out]
    best_DO, penalty_O, bias_O = _choose(x, y, valid_x, valid_y, basis.power_D)
    folds = int(problem.seen.fold_T.max()) + 1
    fitted = []
    for fold in range(folds):
        rows = problem.seen.fold_T[fitting] != fold
        fitted.append(_fit(x[rows], y[rows], basis.power_D, penalty_O, (best_DO, bias_O)))
    fitted.append((best_DO, bias_O))
    weights_KFO = np.stack([basis.turn_FD @ w for w, _ in fitted])
    bias_KO = np.stack([b for _, b in fitted]) - basis.centre_F @ weights_KFO
    maps = Ridge(
        weights_KFO.astype(np.float32),
        bias_KO.astype(np.float32),
        penalty_O.astype(np.float32),
        np.zeros(len(penalty_O), np.float32),
    )
    return make_affine(problem, maps, np.zeros(len(penalty_O), np.float32), log=True)


def _share_of_mean(problem: Problem) -> Doubles:
    """Return counts over their training mean."""
    mean = np.maximum(problem.scaler.mean_V, 1e-6).astype(np.float64)
    return np.asarray(np.maximum(problem.target_TO * problem.scaler.sd_V / mean + 1.0, 0.0))


def _thin(train: Bools) -> Bools:
    rows = np.flatnonzero(train)
    kept = np.zeros_like(train)
    kept[rows[:: max(1, -(-len(rows) // MOST_ROWS))]] = True
    return kept


def _choose(
    x: Doubles, y: Doubles, valid_x: Doubles, valid_y: Doubles, power_D: Doubles
) -> tuple[Doubles, Doubles, Doubles]:
    """Return weights, penalties and biases of least validation loss for each output."""
    outputs = y.shape[1]
    warm = (np.zeros((x.shape[1], outputs)), np.zeros(outputs))
    best_DO, bias_O = (part.copy() for part in warm)
    penalty_O, cost_O = np.full(outputs, np.inf), _loss(valid_x, valid_y, best_DO, bias_O)
    for penalty in PENALTIES:
        warm = _fit(x, y, power_D, np.full(outputs, penalty), warm)
        tried_O = _loss(valid_x, valid_y, *warm)
        better = tried_O < cost_O
        best_DO[:, better], bias_O[better] = warm[0][:, better], warm[1][better]
        penalty_O[better], cost_O[better] = penalty, tried_O[better]
        if not better.any():
            break
    return best_DO, penalty_O, bias_O


def _loss(x: Doubles, y: Doubles, weights_DO: Doubles, bias_O: Doubles) -> Doubles:
    log_rate = np.minimum(x @ weights_DO + bias_O, MOST_LOG_RATE)
    return np.asarray((np.exp(log_rate) - y * log_rate).mean(0))


def _fit(
    x: Doubles,
    y: Doubles,
    power_D: Doubles,
    penalty_O: Doubles,
    start: tuple[Doubles, Doubles],
) -> tuple[Doubles, Doubles]:
    """Minimise mean Poisson loss plus penalty over all outputs at once; infinite stays at 0."""
    held = ~np.isfinite(penalty_O)
    penalty = np.where(held, 1.0, penalty_O)
    # Scaled so that the curvature at the mean rate is one along every axis.
    scale_DO = np.where(held, 0.0, 1 / np.sqrt(power_D[:, None] + penalty))
    shape = start[0].shape

    def cost(flat: Doubles) -> tuple[float, Doubles]:
        weights_DO = flat[: -shape[1]].reshape(shape) * scale_DO
        raw = x @ weights_DO + flat[-shape[1] :]
        log_rate = np.minimum(raw, MOST_LOG_RATE)
        rate = np.exp(log_rate)
        value = (rate - y * log_rate).mean(0).sum() + 0.5 * (penalty * weights_DO**2).sum()
        slope_TO = np.where(raw < MOST_LOG_RATE, rate - y, 0.0) / len(x)
        slope_DO = (x.T @ slope_TO + penalty * weights_DO) * scale_DO
        return float(value), np.r_[slope_DO.ravel(), slope_TO.sum(0)]

    with np.errstate(divide="ignore", invalid="ignore"):
        first = np.where(scale_DO > 0, start[0] / scale_DO, 0.0)
    found = minimize(
        cost,
        np.r_[first.ravel(), start[1]],
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": ITERATIONS},
    ).x
    return found[: -shape[1]].reshape(shape) * scale_DO, found[-shape[1] :]
