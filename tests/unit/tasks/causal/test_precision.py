"""Half precision: the skills of rounded series, whichever engine, near those of the series."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from schemas.settings.causal import CausalSettings
from tasks.causal.engine import open_engine
from tasks.causal.skill import cross_map_skill
from tests.unit.tasks.causal.problems import noisy_walks, problems
from tests.unit.tasks.causal.series import autoregressive, nodes_of


def skills(problem, backend="cpu"):
    return open_engine(problem, backend, 1).skills(range(3))


@given(problems())
@settings(deadline=None, max_examples=20)
def test_it_is_float32_of_rounded_series(problem):
    rounded = replace(
        problem,
        precision="float32",
        libraries_NT=problem.libraries_NT.astype(np.float16).astype(np.float32),
        targets_MT=problem.targets_MT.astype(np.float16).astype(np.float32),
    )
    half = replace(problem, precision="float16")
    for backend in ("cpu", "reference"):
        np.testing.assert_array_equal(skills(half, backend), skills(rounded, backend))


@pytest.mark.parametrize(("dimension", "most"), [(1, 0.08), (2, 0.015), (5, 0.015)])
def test_skills_change_by_little(dimension, most):
    rng = np.random.default_rng(0)
    for series_NT in (noisy_walks(6, 600), autoregressive(0.9, 6, 600, rng).T):
        nodes = nodes_of(series_NT.T)
        found = [
            cross_map_skill(
                nodes, np.full(6, dimension), CausalSettings(tau_s=0, precision=precision)
            )
            for precision in ("float32", "float16")
        ]
        change = float(abs(found[1] - found[0]).max())
        assert 0 < change < most
