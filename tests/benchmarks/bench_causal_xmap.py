"""All-pairs cross mapping against kEDM's xmap: same data, same threads, same answer, one run.

Both run in turn on each case, so that other load on the machine hits both alike. The two may
differ by 1e-2 in a pair: kEDM drops neighbours at distance zero, which noisy maps hold at E = 1.
"""

import time
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from tasks.causal.kernels.cpu import CpuEngine
from tasks.causal.nodes import standardise
from tasks.causal.problem import CrossMapProblem
from tasks.causal.rule import CrossMapRule

kedm = pytest.importorskip("kedm")

CASES = {
    "N=1000 T=1000 E=5": (1000, 1000, [5]),
    "N=1000 T=1000 E=1..20 by target": (1000, 1000, list(range(1, 21))),
    "N=200 T=8528 E=5": (200, 8528, [5]),
}


def noisy_maps(nodes: int, length: int) -> NDArray[np.float32]:
    """Return logistic maps with a little noise (time, node), standardised."""
    rng = np.random.default_rng(0)
    growth, state = rng.uniform(3.6, 3.9, nodes), rng.random(nodes)
    series_TN = np.empty((length, nodes))
    for t in range(length):
        state = growth * state * (1 - state)
        series_TN[t] = state
    return standardise(series_TN + 0.02 * rng.standard_normal(series_TN.shape))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_cross_mapping_against_kedm(benchmark, case):
    nodes, length, dimensions = CASES[case]
    series_TN = noisy_maps(nodes, length)
    series_NT = np.ascontiguousarray(series_TN.T)
    dimension_N = np.resize(dimensions, nodes)
    problem = CrossMapProblem(
        series_NT, series_NT, np.zeros(length, int), dimension_N, CrossMapRule(), dimension_N
    )
    CpuEngine(problem).skills(range(2))  # compiles
    expected, their_seconds = timed(
        lambda: np.asarray(kedm.xmap(series_TN, dimension_N.tolist(), 1, 0))
    )
    ours = benchmark.pedantic(lambda: CpuEngine(problem).skills(range(nodes))[0], rounds=1)
    off = ~np.eye(nodes, dtype=bool)
    difference = np.abs(ours - expected)[off]
    ratio = their_seconds / benchmark.stats.stats.min
    benchmark.extra_info |= {"kedm_s": their_seconds, "ratio": ratio, "differ": difference.max()}
    assert np.quantile(difference, 0.99) < 1e-4
    assert ratio > 4


def timed(work: Callable[[], NDArray[np.float32]]) -> tuple[NDArray[np.float32], float]:
    """Return what the work returns, and its seconds."""
    start = time.perf_counter()
    return work(), time.perf_counter() - start
