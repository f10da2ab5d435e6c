"""The numba kernels must agree with the reference: ties, gaps and NaN included.

Within 1e-5 on ordinary series. Drawn ones may hold a dozen samples far from their mean, whose
variance float32 sums know to 1e-4 only.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tasks.causal.draws import LibraryDraws
from tasks.causal.engine import ReferenceEngine
from tasks.causal.kernels.cpu import CpuEngine
from tasks.causal.nodes import standardise
from tasks.causal.problem import CrossMapProblem
from tasks.causal.rule import CrossMapRule
from tests.unit.tasks.causal.problems import noisy_walks, problems


def reference_skill(problem: CrossMapProblem, dtype: type) -> NDArray[np.float64]:
    return ReferenceEngine(problem, dtype).skills(range(len(problem.libraries_NT)))[0]


@given(problems())
@settings(max_examples=40, deadline=None)
def test_cpu_agrees_with_the_reference(problem):
    skill = CpuEngine(problem, threads=1).skills(range(3))[0]
    np.testing.assert_allclose(skill, reference_skill(problem, np.float32), atol=1e-4)


@given(problems(), st.integers(1, 12))
@settings(max_examples=15, deadline=None)
def test_random_libraries_agree_with_the_reference(problem, size):
    draws = LibraryDraws((size, size + 3), seed=3)
    expected = ReferenceEngine(problem, np.float32).skills(range(3), draws)
    np.testing.assert_allclose(CpuEngine(problem, 1).skills(range(3), draws), expected, atol=1e-4)


@given(problems())
@settings(max_examples=15, deadline=None)
def test_predictions_agree_with_the_reference(problem):
    expected = ReferenceEngine(problem, np.float32).predictions(1)
    np.testing.assert_allclose(CpuEngine(problem, 1).predictions(1), expected, atol=1e-5)


@given(problems())
@settings(max_examples=15, deadline=None)
def test_self_skill_of_all_dimensions_agrees_with_the_reference(problem):
    tried = list(range(1, problem.longest + 1))
    expected = ReferenceEngine(problem, np.float32).self_skills(range(3), tried)
    np.testing.assert_allclose(
        CpuEngine(problem, 1).self_skills(range(3), tried), expected, atol=1e-4
    )


@pytest.mark.parametrize("dimension", [1, 3, 7, 20])
def test_long_series_agree_with_the_float64_reference(dimension):
    series_NT = noisy_walks(3, 400)
    problem = CrossMapProblem(
        series_NT, series_NT, np.zeros(400, int), np.full(3, dimension), CrossMapRule(2, -1, 4)
    )
    expected = reference_skill(problem, np.float64)
    np.testing.assert_allclose(CpuEngine(problem).skills(range(3))[0], expected, atol=1e-5)


def test_short_neighbour_lists_are_completed_exactly():
    # Libraries so small that 128 sorted neighbours do not hold a simplex of members.
    series_NT = noisy_walks(2, 900)
    problem = CrossMapProblem(
        series_NT, series_NT, np.zeros(900, int), np.full(2, 3), CrossMapRule()
    )
    draws = LibraryDraws((8, 20, 60), seed=1)
    expected = ReferenceEngine(problem, np.float32).skills(range(2), draws)
    np.testing.assert_allclose(CpuEngine(problem).skills(range(2), draws), expected, atol=1e-5)


def test_many_targets_fill_several_tiles():
    series_NT = noisy_walks(130, 150)
    problem = CrossMapProblem(
        series_NT[:2], series_NT, np.zeros(150, int), np.full(2, 3), CrossMapRule()
    )
    expected = reference_skill(problem, np.float64)
    np.testing.assert_allclose(CpuEngine(problem).skills(range(2))[0], expected, atol=1e-5)


def test_threads_and_blocks_change_no_bit():
    series_NT = noisy_walks(9, 300)
    problem = CrossMapProblem(
        series_NT, series_NT, np.zeros(300, int), np.full(9, 3), CrossMapRule()
    )
    draws = LibraryDraws((30, 90), seed=2)
    whole = CpuEngine(problem, threads=2).skills(range(9), draws)
    one = CpuEngine(problem, threads=1)
    pieces = np.concatenate([one.skills(range(i, i + 3), draws) for i in (0, 3, 6)], axis=1)
    np.testing.assert_array_equal(whole, pieces)


def test_offset_and_scale_change_nothing():
    walks_TN = np.asarray(noisy_walks(4, 300), np.float64).T
    skills = []
    for values_TN in (walks_TN, walks_TN * 37 + 1e6):
        series_NT = standardise(values_TN).T
        problem = CrossMapProblem(
            series_NT, series_NT, np.zeros(300, int), np.full(4, 3), CrossMapRule()
        )
        skills.append(CpuEngine(problem).skills(range(4))[0])
    np.testing.assert_allclose(skills[0], skills[1], atol=1e-5)
