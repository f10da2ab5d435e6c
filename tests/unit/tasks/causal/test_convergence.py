"""Convergence: means and trends over random libraries."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from schemas.errors import RecordingTooShortError
from schemas.settings.causal import CausalSettings
from tasks.causal.convergence import fisher_rise, fit_rise, kendall_trend, mean_of_draws
from tasks.causal.skill import library_sizes

SIZES = np.array([30, 10, 10, 20, 20])


def test_mean_leaves_undefined_draws_out():
    skill = np.array([0.9, 0.1, np.nan, np.nan, np.nan])[:, None, None]
    np.testing.assert_array_equal(mean_of_draws(skill, SIZES)[:, 0, 0], [0.1, np.nan, 0.9])


def test_trend_is_one_where_every_larger_library_does_better():
    skill = np.array([0.9, 0.2, 0.1, 0.4, 0.3])[:, None, None]
    assert kendall_trend(skill, SIZES)[0, 0] == 1
    assert kendall_trend(-skill, SIZES)[0, 0] == -1
    assert np.isnan(kendall_trend(np.full((5, 1, 1), np.nan), SIZES)[0, 0])


def test_trend_is_kendalls_tau_where_no_sizes_are_equal():
    rng = np.random.default_rng(0)
    skill, sizes = rng.standard_normal((12, 3, 4)), rng.permutation(12)
    expected = [[kendalltau(sizes, skill[:, i, j]).statistic for j in range(4)] for i in range(3)]
    np.testing.assert_allclose(kendall_trend(skill, sizes), expected, atol=1e-6)


def test_sizes_are_fractions_that_can_hold_a_simplex():
    settings = CausalSettings(library_fractions=(0.1, 0.5))
    assert library_sizes(200, settings, 11) == [20, 100]
    with pytest.raises(RecordingTooShortError, match="smallest must hold 11"):
        library_sizes(100, settings, 11)


def test_a_rise_is_measured_in_standard_errors():
    assert fisher_rise(np.array(0.5), np.array(0.5), 100) == 0
    expected = (np.arctanh(0.6) - np.arctanh(0.2)) / np.sqrt(2 / 97)
    assert fisher_rise(np.array(0.6), np.array(0.2), 100) == pytest.approx(expected)


def test_the_limit_of_a_saturating_curve_is_found():
    size = np.array([100, 200, 400, 700, 1000])
    curves = np.stack([0.8 - 0.5 * np.exp(-size / 300), np.full(5, 0.3)], 1)
    limit, scale = fit_rise(curves, size)
    np.testing.assert_allclose(limit, [0.8, 0.3], atol=0.01)
    assert 250 < scale[0] < 350
