"""kEDM's published validation numbers: dimensions and all-to-all skills."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tasks.causal.dimension import best_dimension
from tasks.causal.engine import Engine, ReferenceEngine
from tasks.causal.kernels.cpu import CpuEngine
from tasks.causal.nodes import standardise
from tasks.causal.problem import CrossMapProblem
from tasks.causal.rule import CrossMapRule
from tests.oracles.conftest import ReadTable

OpenEngine = Callable[[CrossMapProblem], Engine]
GOLDEN = Path(__file__).parents[1] / "golden" / "kedm"
Published = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]


@pytest.fixture(scope="module")
def published() -> Published:
    """Return the series (series, time), their dimensions and the skills (effect, cause)."""
    # kEDM reads float32: at E = 1 neighbours are 1e-6 apart, and rounding moves the sixth digit.
    series_NT = np.loadtxt(GOLDEN / "input.csv", delimiter=",").T.astype(np.float32)
    return (
        np.ascontiguousarray(series_NT, np.float64),
        np.loadtxt(GOLDEN / "dimension.csv").astype(np.int64),
        np.loadtxt(GOLDEN / "rho.csv", delimiter=","),
    )


def all_to_all(series_NT: NDArray[np.floating], dimension_N: NDArray[np.int64]) -> CrossMapProblem:
    segment_T = np.zeros(series_NT.shape[1], int)
    return CrossMapProblem(
        series_NT, series_NT, segment_T, dimension_N, CrossMapRule(), dimension_N
    )


def test_skills_to_the_last_digit_in_float64(published: Published):
    series_NT, dimension_N, skill_NN = published
    ours = ReferenceEngine(all_to_all(series_NT, dimension_N)).skills(range(10))[0]
    np.testing.assert_allclose(ours, skill_NN, rtol=0, atol=1e-6)


def test_skills_in_float32(published: Published):
    series_NT, dimension_N, skill_NN = published
    scaled_NT = np.ascontiguousarray(standardise(series_NT.T).T)
    ours = CpuEngine(all_to_all(scaled_NT, dimension_N)).skills(range(10))[0]
    np.testing.assert_allclose(ours, skill_NN, rtol=0, atol=1e-4)


@pytest.mark.parametrize("engine", [ReferenceEngine, CpuEngine])
def test_the_same_dimensions_are_chosen(published: Published, engine: OpenEngine):
    series_NT, dimension_N, _ = published
    tried = range(1, 21)
    scaled_NT = np.ascontiguousarray(standardise(series_NT.T).T)
    segment_T = np.zeros(series_NT.shape[1], int)
    problem = CrossMapProblem(
        scaled_NT, scaled_NT[:0], segment_T, np.full(10, 20), CrossMapRule(tp=1)
    )
    skill_NE = engine(problem).self_skills(range(10), tried)
    assert (best_dimension(skill_NE) + 1).tolist() == dimension_N.tolist()


def test_the_largest_library_of_ccm(pyedm: ReadTable):
    kedm = pytest.importorskip("kedm")
    table = pyedm("sardine_anchovy_sst")[["anchovy", "np_sst"]]
    scaled_TN = standardise(table.to_numpy(float))
    series_NT = np.ascontiguousarray(scaled_TN.T)
    dimension_N, length = np.full(2, 3), len(table)
    problem = CrossMapProblem(
        series_NT, series_NT, np.zeros(length, int), dimension_N, CrossMapRule()
    )
    ours = CpuEngine(problem).skills(range(2))[0]
    for effect, cause in ((0, 1), (1, 0)):
        theirs = kedm.ccm(
            series_NT[effect], series_NT[cause], lib_sizes=[length], sample=1, E=3, tau=1, Tp=0
        )
        assert ours[effect, cause] == pytest.approx(float(np.ravel(theirs)[0]), abs=1e-4)
