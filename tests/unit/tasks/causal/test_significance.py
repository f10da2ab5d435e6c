"""Surrogates keep what they promise; p-values of unrelated series are uniform."""

from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from schemas.settings.causal import CausalSettings
from tasks.causal.significance import (
    ScorePool,
    cross_map_significance,
    false_discovery_rate,
    fit_pareto_tail,
    left_out_scores,
    standard_score,
)
from tasks.causal.skill import cross_map_skill
from tasks.causal.surrogates import (
    SurrogateKind,
    SurrogateRule,
    find_twins,
    make_surrogates,
    randomize_phases,
    shift_round,
)
from tests.unit.tasks.causal.series import autoregressive, nodes_of


@given(st.integers(8, 61), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_phases_change_and_amplitudes_do_not(length, seed):
    rng = np.random.default_rng(seed)
    series = rng.standard_normal(length) + 3
    made = randomize_phases(series, SurrogateRule("phase"), 4, rng)
    assert made.shape == (4, length)
    expected = np.abs(np.fft.rfft(series))
    np.testing.assert_allclose(
        np.abs(np.fft.rfft(made, axis=1)), expected[None].repeat(4, 0), atol=1e-9
    )


def test_shifts_keep_values_order_and_margin():
    rng = np.random.default_rng(0)
    series = np.arange(50.0)
    made = shift_round(series, SurrogateRule("shift", 5), 30, rng)
    assert (np.sort(made, axis=1) == series).all()
    assert ((np.diff(made, axis=1) == 1).sum(1) == 48).all()
    assert len(np.unique(made[:, 0])) == 30
    assert made[:, 0].min() >= 5
    assert made[:, 0].max() < 45


def test_gaps_stay_where_they_are():
    series = np.random.default_rng(1).standard_normal(60)
    series[[3, 4, 30]] = np.nan
    for kind in get_args(SurrogateKind):
        rule = SurrogateRule(kind, 2, period=7)
        made = make_surrogates(series, rule, 5, np.random.default_rng(2))
        np.testing.assert_array_equal(np.isnan(made), np.isnan(series)[None].repeat(5, 0))


def test_twins_follow_the_dynamics_they_were_taken_from():
    # A cycle of five values: samples a period apart are twins, and no other step ever occurs.
    series = np.tile([0.0, 3.0, 1.0, 4.0, 2.0], 30)
    rule = SurrogateRule("twin", dimension=2)
    groups = find_twins(series, rule)[1:]
    assert all(len(np.unique(series[1:][groups == g])) == 1 for g in np.unique(groups))
    made = make_surrogates(series, rule, 6, np.random.default_rng(4))
    true = set(pairwise(series))
    odd = [step for row in made for step in pairwise(row) if step not in true]
    assert len(odd) <= 6 * 2  # only where a course ran past the end
    assert len({tuple(row) for row in made.tolist()}) > 1


def test_seasonal_surrogates_keep_the_mean_course():
    rng = np.random.default_rng(5)
    course = np.tile([0.0, 5.0, -3.0], 40)
    series = course + rng.standard_normal(120)
    made = make_surrogates(series, SurrogateRule("seasonal", period=3), 50, rng)
    np.testing.assert_allclose(
        made.mean(0).reshape(-1, 3).mean(0), series.reshape(-1, 3).mean(0), atol=0.1
    )
    anomaly = made - np.tile(series.reshape(-1, 3).mean(0), 40)
    own = series - np.tile(series.reshape(-1, 3).mean(0), 40)
    np.testing.assert_allclose(np.sort(anomaly[0]), np.sort(own), atol=1e-5)


def test_a_known_tail_is_fitted():
    rng = np.random.default_rng(6)
    for shape in (0.0, 0.2):
        drawn = np.sort(stats.genpareto.rvs(shape, scale=2.0, size=4000, random_state=rng))
        fitted = fit_pareto_tail(drawn)
        true = stats.genpareto.sf(20.0, shape, scale=2.0)
        assert 0.5 < fitted.sf(np.array(20.0)) / true < 2
    assert fit_pareto_tail(np.sort(rng.random(4000))).shape == 0


def test_p_values_go_on_beyond_what_was_counted():
    rng = np.random.default_rng(7)
    pool = ScorePool()
    for _ in range(4):
        pool.add(rng.standard_exponential(20_000))
    p = pool.p_values(np.array([1.0, 18.0, 25.0]))
    assert p[0] == pytest.approx(np.exp(-1), rel=0.02)
    assert 0 < p[2] < p[1] < 1e-6


def test_left_out_scores_are_standard_scores_without_the_surrogate():
    null = np.tanh(np.random.default_rng(3).normal(0.1, 0.2, (2, 3, 9)))
    null[0, 1, 4] = np.nan
    scores = left_out_scores(null)
    for s in range(9):
        others = np.delete(null, s, axis=2)
        np.testing.assert_allclose(scores[..., s], standard_score(null[..., s], others), atol=1e-9)


def test_pool_counts_the_share_at_least_as_high():
    pool = ScorePool()
    pool.add(np.array([[0.0, 1.0], [2.0, np.nan]]))
    p = pool.p_values(np.array([-5.0, 0.5, 5.0, np.nan]))
    np.testing.assert_allclose(p[:3], [1.0, 0.75, 0.25])
    assert np.isnan(p[3])


def test_untested_pairs_do_not_count_among_the_tests():
    p = np.array([[np.nan, 0.01], [0.04, np.nan]])
    np.testing.assert_allclose(false_discovery_rate(p), [[np.nan, 0.02], [0.04, np.nan]])
    assert np.nanmin(false_discovery_rate(p, "by")) == pytest.approx(0.03)


def p_values_of(series_TN: NDArray[np.float64], chosen: CausalSettings) -> xr.Dataset:
    nodes = nodes_of(series_TN)
    dimension_N = np.full(nodes.sizes["node"], 3)
    skill = cross_map_skill(nodes, dimension_N, chosen)
    return cross_map_significance(nodes, dimension_N, skill, chosen)


def coupled_phases(nodes: int, length: int, seed: int) -> NDArray[np.float64]:
    """Return noisy oscillators near 0.4 Hz, each coupled to one other and to no more.

    Each forgets its phase in some 50 samples. A recording must be long beside that: of unrelated
    pairs 9 % have p < 0.05 if it is 2.5 times as long, 7.5 % at 12 times and 6 % at 20 times, with
    shifts and with random phases alike (surrogates of steady rhythms are less steady).
    """
    rng = np.random.default_rng(seed)
    speed = 2 * np.pi * rng.normal(0.04, 0.003, nodes)
    phase = rng.uniform(0, 2 * np.pi, nodes)
    series = np.empty((length, nodes))
    for t in range(length):
        other = phase.reshape(-1, 2)[:, ::-1].ravel()
        phase = phase + speed + 0.1 * np.sin(other - phase) + 0.2 * rng.standard_normal(nodes)
        series[t] = np.cos(phase)
    return series + 0.1 * rng.standard_normal(series.shape)


def test_unrelated_rhythms_are_called_related_at_the_nominal_rate():
    p = p_values_of(coupled_phases(102, 1000, 1), CausalSettings())["p_value"].to_numpy()
    network = np.arange(102) // 2
    unrelated = p[network[:, None] != network]
    assert len(unrelated) > 10_000
    assert 0.035 <= (unrelated < 0.05).mean() <= 0.065
    same = (network[:, None] == network) & ~np.eye(102, dtype=bool)
    assert (p[same] < 0.05).mean() > 0.3


@pytest.mark.parametrize(("phi", "surrogate"), [(0.5, "shift"), (0.9, "shift"), (0.98, "phase")])
def test_unrelated_series_are_called_related_at_the_nominal_rate(phi, surrogate):
    # 101 series make 10,100 pairs.
    tested = p_values_of(
        autoregressive(phi, 101, 500, np.random.default_rng(1)),
        CausalSettings(surrogate=surrogate, tau_s=0),
    )
    p = tested["p_value"].to_numpy()[~np.eye(101, dtype=bool)]
    assert 0.035 <= (p < 0.05).mean() <= 0.065
    assert (tested["q_value"] < 0.05).sum() <= 3


def test_coupled_maps_stand_out(logistic_network):
    tested = p_values_of(logistic_network[:400], CausalSettings(tau_s=0, theiler_s=0))
    q = tested["q_value"].to_numpy()
    for cause, effect in ((0, 1), (1, 2), (3, 4), (3, 5)):
        assert q[effect, cause] < 0.05
    assert np.isnan(np.diag(q)).all()
