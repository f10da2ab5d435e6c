"""The bar a twin must clear: each behaviour as a linear autoregression of its own past."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.twin.library import Bools, Floats, run_lengths

RIDGE = 1e-2


@dataclass(frozen=True)
class Autoregression:
    """One column's linear model.

    weights_P : intercept, then the weight of the last value, the one before, ...
    residual_L : what it got wrong in training, for noise
    low, high : training range
    """

    weights_P: Floats
    residual_L: Floats
    low: float
    high: float

    @property
    def order(self) -> int:
        """Past values used."""
        return len(self.weights_P) - 1


def fit_autoregression(
    column_T: Floats, segment_T: NDArray[np.integer], train_T: Bools, order: int
) -> Autoregression:
    """Fit one column on its own last `order` values by ridge, within gapless stretches."""
    good_T = np.isfinite(column_T) & train_T
    rows = np.flatnonzero(run_lengths(good_T, segment_T)[1:] > order)
    past_LP = np.column_stack([np.ones(len(rows)), *(column_T[rows - p] for p in range(order))])
    normal = past_LP.T @ past_LP + RIDGE * np.eye(order + 1)
    weights_P = np.linalg.solve(normal, past_LP.T @ column_T[rows + 1])
    residual_L = column_T[rows + 1] - past_LP @ weights_P
    return Autoregression(
        weights_P, residual_L, float(column_T[good_T].min()), float(column_T[good_T].max())
    )


def run_autoregression(
    model: Autoregression, history_SH: Floats, steps: int, rng: np.random.Generator | None = None
) -> Floats:
    """Run on from each history, newest last: (start, time). With `rng`, residuals are drawn."""
    path = history_SH[:, -model.order :]
    for _ in range(steps):
        value = model.weights_P[0] + path[:, : -model.order - 1 : -1] @ model.weights_P[1:]
        if rng is not None:
            value = value + rng.choice(model.residual_L, len(value))
        path = np.column_stack([path, np.clip(value, model.low, model.high)])
    return path[:, model.order :]
