"""How often unrelated series are called related: at 5 %, and among the edges at a rate of 10 %.

Run with the settings that users get. Ten thousand pairs a system; simulated animals for the rate
of false discoveries, several of them put side by side, so that pairs across them are unrelated.
"""

import numpy as np
import pytest
from numpy.typing import NDArray

from schemas.settings.causal import CausalSettings
from schemas.settings.simulate import SimulateSettings
from tasks.causal.dimension import embedding_dimensions
from tasks.causal.graph import select_edges
from tasks.causal.significance import cross_map_significance
from tasks.causal.skill import cross_map_convergence, cross_map_skill
from tasks.simulate.animal import simulate_animal
from tests.unit.tasks.causal.series import RATE_HZ, autoregressive, nodes_of

LENGTH, SERIES, ROUNDS = 1000, 52, 4
SYSTEMS = ("ar 0.5", "ar 0.9", "ar 0.98", "oscillators")


def oscillators(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return pairs of noisy phases that pull at each other; the pairs are independent.

    Frequencies of all lie round 0.4 Hz, so that phases of unrelated ones agree for long.
    """
    speed_N = 2 * np.pi * rng.normal(0.4, 0.03, SERIES) / RATE_HZ
    phase_N = rng.uniform(0, 2 * np.pi, SERIES)
    series_TN = np.empty((LENGTH, SERIES))
    for t in range(LENGTH):
        other_N = phase_N.reshape(-1, 2)[:, ::-1].ravel()
        pull_N = 0.05 * np.sin(other_N - phase_N)
        phase_N = phase_N + speed_N + pull_N + 0.1 * rng.standard_normal(SERIES)
        series_TN[t] = np.cos(phase_N)
    return series_TN + 0.1 * rng.standard_normal(series_TN.shape)


def p_values(system: str, seed: int, settings: CausalSettings) -> NDArray[np.float64]:
    """Return the p-values of all pairs of unrelated series."""
    rng = np.random.default_rng(seed)
    paired = system == "oscillators"
    if paired:
        series_TN = oscillators(rng)
    else:
        series_TN = autoregressive(float(system.split()[1]), SERIES, LENGTH, rng, settle=500)
    nodes = nodes_of(series_TN)
    dimension_N = embedding_dimensions(nodes, settings)["embedding_dimension"].to_numpy()
    skill = cross_map_skill(nodes, dimension_N, settings)
    found = cross_map_significance(nodes, dimension_N, skill, settings)["p_value"].to_numpy()
    group_N = np.arange(SERIES) // (2 if paired else 1)
    return found[group_N[:, None] != group_N]


@pytest.mark.slow
@pytest.mark.parametrize("surrogate", ["shift", "phase"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_unrelated_pairs_at_five_percent(benchmark, system, surrogate):
    settings = CausalSettings(surrogate=surrogate)
    p = benchmark.pedantic(
        lambda: np.concatenate([p_values(system, seed, settings) for seed in range(ROUNDS)]),
        rounds=1,
    )
    rates = {f"p < {level:g}": float((p < level).mean()) for level in (0.05, 0.01, 0.001)}
    benchmark.extra_info |= {"pairs": len(p), **rates}
    assert len(p) > 10_000
    assert 0.035 <= rates["p < 0.05"] <= 0.065


def side_by_side(seeds: range) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the calcium of several simulated animals (time, unit), and whose each unit is."""
    columns, owner = [], []
    for seed in seeds:
        settings = SimulateSettings(seed=seed, duration_s=200.0, calcium_units=24)
        animal = simulate_animal(settings, np.random.default_rng(seed))
        time_T = np.arange(1, 199, 1 / RATE_HZ)
        columns += [np.interp(time_T, animal.frame_time_F, c) for c in animal.calcium_FU.T]
        owner += [seed] * animal.calcium_FU.shape[1]
    return np.stack(columns, 1), np.array(owner)


def discoveries(seeds: range, settings: CausalSettings) -> NDArray[np.int64]:
    """Return how many pairs are found and how many falsely: by q alone, then by the whole rule."""
    series_TN, owner_N = side_by_side(seeds)
    nodes = nodes_of(series_TN)
    dimension_N = embedding_dimensions(nodes, settings)["embedding_dimension"].to_numpy()
    skill = cross_map_convergence(nodes, dimension_N, settings)
    skill = skill.merge(cross_map_significance(nodes, dimension_N, skill["skill"], settings))
    unrelated_NN = owner_N[:, None] != owner_N
    by_q_NN = skill["q_value"].to_numpy() <= settings.max_false_discovery
    edges = select_edges(skill, settings)
    at = {name: n for n, name in enumerate(nodes["node"].values)}
    cause_E, effect_E = (
        owner_N[[at[name] for name in edges[end].values]] for end in ("cause", "effect")
    )
    false_by_q = by_q_NN[unrelated_NN].sum()
    return np.array([by_q_NN.sum(), false_by_q, len(cause_E), (cause_E != effect_E).sum()])


@pytest.mark.slow
@pytest.mark.parametrize("surrogate", ["shift", "phase"])
def test_false_discoveries_at_ten_percent(benchmark, surrogate):
    settings = CausalSettings(surrogate=surrogate, max_false_discovery=0.1)
    # So many animals tell the rate to 1 in 100; of 32 it was 0.1202, of the 96 after them 0.099.
    total = benchmark.pedantic(
        lambda: sum(discoveries(range(start, start + 4), settings) for start in range(0, 128, 4)),
        rounds=1,
    )
    rates = {"q alone": total[1] / total[0], "whole rule": total[3] / total[2]}
    benchmark.extra_info |= {"found and false": total.tolist(), **rates}
    assert rates["q alone"] <= 0.12
    assert rates["whole rule"] <= 0.12
