"""Agreement with kEDM, on made data always and on the fly where it is at hand."""

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from schemas.settings.causal import CausalSettings
from tasks.causal.dimension import best_dimension
from tasks.causal.kernels.cpu import CpuEngine
from tasks.causal.kernels.reference import cross_map
from tasks.causal.nodes import standardise
from tasks.causal.problem import CrossMapProblem
from tasks.causal.rule import CrossMapRule

kedm = pytest.importorskip("kedm")


def difference_to_xmap(values_TN: NDArray[np.float64], dimension_N: NDArray[np.int64]) -> float:
    """Return the largest difference to kEDM's skills; E by target, no Theiler window."""
    series_NT = standardise(values_TN).T
    segment_T = np.zeros(len(values_TN), int)
    problem = CrossMapProblem(
        series_NT, series_NT, segment_T, dimension_N, CrossMapRule(), dimension_N
    )
    ours = CpuEngine(problem).skills(range(len(series_NT)))[0]
    theirs = kedm.xmap(np.ascontiguousarray(series_NT.T), dimension_N.tolist(), 1, 0)
    off = ~np.eye(len(ours), dtype=bool)
    return float(np.abs(ours - theirs)[off].max())


def test_made_data_agree_with_xmap(logistic_network):
    dimension_N = np.array([1, 2, 3, 4, 5, 2, 3, 7])
    assert difference_to_xmap(logistic_network[:300], dimension_N) < 1e-4


@pytest.mark.parametrize(("tau", "tp"), [(1, 1), (2, 2)])
def test_forecasts_agree_with_simplex(logistic_network, tau, tp):
    # kEDM 0.10.1: xmap with Tp > 0 is not what its own simplex gives; simplex is what we follow.
    series_NT = standardise(logistic_network[:300, :3]).T
    problem = CrossMapProblem(
        series_NT, series_NT, np.zeros(300, int), np.full(3, 3), CrossMapRule(tau, tp)
    )
    ours = CpuEngine(problem).skills(range(3))[0]
    for i, library_T in enumerate(series_NT):
        for j, target_T in enumerate(series_NT):
            theirs = kedm.eval_simplex(library_T, library_T, target=target_T, E=3, tau=tau, Tp=tp)
            assert ours[i, j] == pytest.approx(theirs, abs=1e-4)


@pytest.fixture(scope="module")
def fly(recordings) -> NDArray[np.float64]:
    """The 80 components, turning and forward speed of the fly (time, node)."""
    return pd.read_csv(recordings / "tables" / "Fly80XY_norm_1061.csv").iloc[:, 1:].to_numpy()


@pytest.mark.shared
@pytest.mark.parametrize("dimension", [3, 7])
def test_fly_agrees_with_xmap(fly, dimension):
    assert difference_to_xmap(fly, np.full(82, dimension)) < 1e-4


@pytest.mark.shared
@pytest.mark.parametrize("dimension", [3, 7])
def test_fly_agrees_with_the_reference(fly, dimension):
    series_NT = standardise(fly).T
    segment_T = np.zeros(len(fly), int)
    problem = CrossMapProblem(
        series_NT[80:], series_NT[[2, 32]], segment_T, np.full(2, dimension), CrossMapRule()
    )
    ours = CpuEngine(problem).skills(range(2))[0]
    for i, library_T in enumerate(problem.libraries_NT):
        for j, target_T in enumerate(problem.targets_MT):
            expected = cross_map(library_T, target_T, segment_T, dimension, problem.rule)
            assert ours[i, j] == pytest.approx(expected, abs=1e-5)


@pytest.mark.shared
def test_fly_dimensions_agree_with_edim(fly):
    series_NT = standardise(fly[:, 70:]).T
    tried = list(range(1, CausalSettings().max_dimension + 1))
    problem = CrossMapProblem(
        series_NT, series_NT[:0], np.zeros(len(fly), int), np.full(12, 10), CrossMapRule(tp=1)
    )
    skill_NE = CpuEngine(problem).self_skills(range(12), tried)
    theirs = [kedm.edim(series_T, E_max=10, tau=1, Tp=1) for series_T in series_NT]
    ours = best_dimension(skill_NE)
    # Where two dimensions are equally good, float32 sums of kEDM decide.
    shortfall = skill_NE.max(1) - skill_NE[np.arange(12), np.array(theirs) - 1]
    assert (shortfall < 1e-5).all()
    assert (ours + 1 == theirs).mean() > 0.9
