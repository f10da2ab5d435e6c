"""Local linear maps: an exact line, the Jacobian of coupled maps, pyEDM's weights."""

import numpy as np

from tasks.causal.smap import fit_local_maps, skill_by_theta

THETAS = (0.0, 1.0, 4.0)


def test_a_linear_system_is_recovered_at_every_theta():
    rng = np.random.default_rng(0)
    state = rng.standard_normal((120, 2)) + 5
    following = 3 + state @ [0.7, -0.2]
    for theta in THETAS:
        found = fit_local_maps(state, following, np.arange(120), theta, 2)
        np.testing.assert_allclose(found.predicted_R, following, atol=1e-8)
        np.testing.assert_allclose(found.slope_RV, np.tile([0.7, -0.2], (120, 1)), atol=1e-8)


def test_the_jacobian_of_coupled_maps_is_followed_in_time(logistic_pair):
    x, y = logistic_pair(0.0, 0.1, 400)  # x drives y: dy'/dx = -0.1 y, dy'/dy = 3.5 - 7 y - 0.1 x
    state = np.stack([y, x], 1)
    following = np.r_[y[1:], np.nan]
    skill, maps = skill_by_theta(state, following, np.arange(399), THETAS, 0)
    assert skill[2] > skill[0] + 0.02  # nonlinear
    by_y, by_x = maps[2].slope_RV[:399].T
    assert np.corrcoef(by_y, (3.5 - 7 * y - 0.1 * x)[:399])[0, 1] > 0.9
    assert abs(np.median(by_x) - np.median(-0.1 * y)) < 0.04


def test_rows_near_in_time_and_gaps_are_not_used():
    rng = np.random.default_rng(1)
    state, following = rng.standard_normal((60, 1)), rng.standard_normal(60)
    state[10] = np.nan
    following[20] = np.nan
    changed = following.copy()
    changed[28:33] = 1e3
    rows = np.array([10, 20, 30])
    before, after = (fit_local_maps(state, y, rows, 1.0, 2) for y in (following, changed))
    assert np.isnan(before.predicted_R[0])
    assert np.isfinite(before.predicted_R[1])
    assert before.predicted_R[2] == after.predicted_R[2]
