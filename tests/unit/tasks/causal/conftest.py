"""Systems with a known causal direction, and pairs of engines."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]


@pytest.fixture(scope="session")
def logistic_pair() -> Callable[[float, float, int], Pair]:
    """Return a function that runs two coupled logistic maps (Sugihara et al. 2012).

    x' = x (3.8 - 3.8 x - b_xy y), y' = y (3.5 - 3.5 y - b_yx x): b_yx > 0 says x drives y.
    """
    return coupled_logistic_maps


def coupled_logistic_maps(b_xy: float, b_yx: float, length: int) -> Pair:
    x, y = np.empty(length + 100), np.empty(length + 100)
    x[0], y[0] = 0.4, 0.2
    for t in range(length + 99):
        x[t + 1] = x[t] * (3.8 - 3.8 * x[t] - b_xy * y[t])
        y[t + 1] = y[t] * (3.5 - 3.5 * y[t] - b_yx * x[t])
    return x[100:], y[100:]


@pytest.fixture(scope="session")
def logistic_network() -> NDArray[np.float64]:
    """Return eight chaotic logistic maps (time, node): 0 -> 1 -> 2, 3 -> 4, 3 -> 5; 6, 7 alone."""
    rng = np.random.default_rng(5)
    growth = np.array([3.87, 3.7, 3.72, 3.8, 3.68, 3.75, 3.78, 3.9])
    weight = np.zeros((8, 8))
    for cause, effect in ((0, 1), (1, 2), (3, 4), (3, 5)):
        weight[effect, cause] = 0.06
    states = np.empty((700, 8))
    states[0] = rng.uniform(0.2, 0.8, 8)
    for t in range(699):
        own = growth * states[t] * (1 - states[t])
        states[t + 1] = (1 - weight.sum(1)) * own + weight @ (growth * states[t] * (1 - states[t]))
    return states[100:]
