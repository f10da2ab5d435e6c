"""Ridge and its features: known answers, gaps, causality, cross-fitting."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from schemas.settings.lnm import LnmSettings
from tasks.lnm.baselines.rivals import fit_rivals
from tasks.lnm.data.locations import as_location, poisson_median
from tasks.lnm.data.recording import Columns, Scaler, fit_scaler
from tasks.lnm.linear.features import (
    causal_kernels,
    latest_features,
    local_slopes,
    smooth_features,
    smoothing_kernels,
    two_sided_features,
)
from tasks.lnm.linear.ridge import fit_anchored_ridge, fit_ridge, principal_axes
from tasks.lnm.linear.skip import (
    hold_last,
    interpolate_horizons,
    shift_back,
)


def fit_skip(recording, part_T, window):
    scaler = fit_scaler(recording, part_T == 0)
    origins = np.flatnonzero(part_T == 2)[::50]
    return fit_rivals(
        recording,
        scaler.standardise(recording.values_TV),
        part_T,
        scaler,
        origins,
        window,
        LnmSettings(),
    )[0]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_ridge_recovers_a_linear_system(rng):
    x_TF = rng.standard_normal((600, 5)).astype(np.float32)
    weights_FO = rng.standard_normal((5, 3))
    y_TO = (x_TF @ weights_FO + [1.0, -2.0, 0.5]).astype(np.float32)
    fold_T = np.where(np.arange(600) < 400, np.arange(600) // 80, -1)
    ridge = fit_ridge(x_TF, y_TO, fold_T, np.arange(600) >= 400)
    np.testing.assert_allclose(ridge.weights_KFO[-1], weights_FO, atol=2e-3)
    np.testing.assert_allclose(ridge.bias_KO[-1], [1.0, -2.0, 0.5], atol=2e-3)
    assert (ridge.penalty_O == 1e-4).all()


def test_ridge_falls_back_to_the_mean_where_nothing_is_linear(rng):
    x_TF = rng.standard_normal((300, 40)).astype(np.float32)
    y_TO = rng.standard_normal((300, 1)).astype(np.float32) + 4
    fold_T = np.where(np.arange(300) < 100, 0, -1)
    ridge = fit_ridge(x_TF, y_TO, fold_T, np.arange(300) >= 100)
    errors = ((ridge.predict(x_TF) - y_TO)[100:] ** 2).sum()
    assert errors <= ((y_TO[:100].mean() - y_TO[100:]) ** 2).sum() + 1e-3


def test_outputs_of_a_group_share_the_penalty_that_is_best_for_all(rng):
    x_TF = rng.standard_normal((200, 30)).astype(np.float32)
    y_TO = (x_TF[:, :4] + 3 * rng.standard_normal((200, 4))).astype(np.float32)
    fold_T, held_out = np.where(np.arange(200) < 100, 0, -1), np.arange(200) >= 100
    each = fit_ridge(x_TF, y_TO, fold_T, held_out)
    both = fit_ridge(x_TF, y_TO, fold_T, held_out, np.array([0, 1, 1, 1]))
    assert both.penalty_O[0] == each.penalty_O[0]
    assert len(set(both.penalty_O[1:])) == 1
    assert each.error_O[1:].sum() <= both.error_O[1:].sum()
    own = np.flatnonzero(each.penalty_O == both.penalty_O)
    np.testing.assert_allclose(both.weights_KFO[:, :, own], each.weights_KFO[:, :, own], atol=1e-6)


def test_a_folds_fit_has_not_seen_the_fold(rng, monkeypatch):
    monkeypatch.setattr("tasks.lnm.linear.normal_equations.PENALTIES", (1e-2,))
    x_TF = rng.standard_normal((200, 3)).astype(np.float32)
    y_TO = (x_TF[:, :1] + rng.standard_normal((200, 1))).astype(np.float32)
    fold_T = np.where(np.arange(200) < 150, np.arange(200) // 50, -1)
    validation = fold_T < 0
    ridge = fit_ridge(x_TF, y_TO, fold_T, validation)
    changed = y_TO.copy()
    # In another order: the mean, which all folds share, stays.
    changed[:50] = y_TO[:50][::-1]
    again = fit_ridge(x_TF, changed, fold_T, validation)
    np.testing.assert_allclose(ridge.weights_KFO[0], again.weights_KFO[0], atol=1e-5)
    assert np.abs(ridge.weights_KFO[1] - again.weights_KFO[1]).max() > 1e-3


def test_missing_targets_are_left_out(rng):
    x_TF = rng.standard_normal((400, 2)).astype(np.float32)
    y_TO = (x_TF @ np.array([[1.0, 2.0], [-1.0, 0.0]])).astype(np.float32)
    y_TO[50:90, 1] = np.nan
    fold_T = np.where(np.arange(400) < 300, np.arange(400) // 60, -1)
    ridge = fit_ridge(x_TF, y_TO, fold_T, np.arange(400) >= 300)
    np.testing.assert_allclose(ridge.weights_KFO[-1], [[1, 2], [-1, 0]], atol=2e-3)


@pytest.mark.parametrize("kernels", [smoothing_kernels(16), causal_kernels(12)])
def test_features_stay_inside_runs_and_ignore_gaps(rng, kernels):
    z_TI = rng.standard_normal((60, 2)).astype(np.float32)
    runs = [(0, 25), (25, 60)]
    before = smooth_features(z_TI, runs, kernels)
    changed = z_TI.copy()
    changed[25:] += 5
    np.testing.assert_array_equal(before[:25], smooth_features(changed, runs, kernels)[:25])
    gap = z_TI.copy()
    gap[10, 0] = np.nan
    constant = np.where(np.isnan(gap), np.nan, 3.0).astype(np.float32)
    smoothed = smooth_features(constant, runs, kernels)
    assert np.isfinite(smoothed).all()
    # The weighted mean of a constant is that constant; only the gap itself, unsmoothed, is 0.
    smoothed[10, 0] = 3.0
    np.testing.assert_allclose(smoothed, 3.0, atol=1e-5)


def test_slopes_are_those_of_lines_whatever_is_missing(rng):
    time_T = np.arange(60.0)
    z_TI = np.stack([0.5 * time_T, 3 - 0.1 * time_T], axis=1).astype(np.float32)
    z_TI[[7, 8, 20, 59], 0] = np.nan
    runs = [(0, 25), (25, 60)]
    slope_TSI = local_slopes(z_TI, runs, 16).reshape(60, 3, 2)
    np.testing.assert_allclose(
        slope_TSI, np.outer([1, 2, 4], [0.5, -0.1])[None] + 0 * slope_TSI, atol=2e-3
    )
    z_TI[30:] = rng.standard_normal((30, 2))
    np.testing.assert_array_equal(local_slopes(z_TI, runs, 16)[:25], slope_TSI.reshape(60, -1)[:25])
    lone = np.full((40, 1), np.nan, np.float32)
    lone[20] = 5.0
    np.testing.assert_allclose(local_slopes(lone, [(0, 40)], 16), 0, atol=1e-3)


def test_linear_maps_know_velocity_and_lag(rng):
    """Of a position: how fast it changes; of an indicator that lags behind: what it shows."""
    place_T = np.convolve(rng.standard_normal(1300), np.hanning(25), "same").astype(np.float32)
    lagging_T = np.convolve(place_T, np.exp(-np.arange(12) / 4), "full")[:1300]
    seen_TI = np.stack([place_T, lagging_T.astype(np.float32)], axis=1)
    target_TO = np.stack([np.gradient(place_T), place_T], axis=1)
    target_TO /= target_TO.std(0)
    fold_T = np.where(np.arange(1300) < 900, np.arange(1300) // 180, -1)
    validation = np.arange(1300) >= 900
    for column in (0, 1):
        own = slice(column, column + 1)
        features = (
            smooth_features(seen_TI[:, own], [(0, 1300)], smoothing_kernels(32)),
            two_sided_features(seen_TI[:, own], [(0, 1300)], 32),
        )
        alike, both = (
            float(fit_ridge(f, target_TO[:, own], fold_T, validation).error_O[0]) for f in features
        )
        assert both < 0.2 * alike


def test_validation_chooses_for_each_output_whether_slopes_are_used(rng):
    x_TF = rng.standard_normal((300, 62)).astype(np.float32)
    # The first output is of a slope; the second is not, and 60 samples cannot pay for 60 slopes.
    y_TO = np.stack([x_TF[:, 2], x_TF[:, 0] + 0.3 * rng.standard_normal(300)], axis=1)
    fold_T = np.where(np.arange(300) < 60, np.arange(300) // 12, -1)
    validation = np.arange(300) >= 60
    both = fit_ridge(x_TF, y_TO, fold_T, validation, optional=60)
    less = fit_ridge(x_TF[:, :2], y_TO, fold_T, validation)
    assert both.error_O[0] < 0.9 * less.error_O[0]
    np.testing.assert_array_equal(both.weights_KFO[:, :2, 1], less.weights_KFO[:, :, 1])
    assert not both.weights_KFO[:, 2:, 1].any()
    np.testing.assert_allclose(both.predict(x_TF)[:, 1], less.predict(x_TF)[:, 1], atol=1e-5)


def test_a_share_of_the_last_value_is_chosen_as_if_each_share_had_a_fit_of_its_own(rng):
    x_TF = rng.standard_normal((400, 5)).astype(np.float32)
    last_TO = rng.standard_normal((400, 3)).astype(np.float32)
    wanted = np.array([0.0, 0.6, 1.0])
    y_TO = (x_TF[:, :3] + wanted * last_TO + 0.1 * rng.standard_normal((400, 3))).astype(np.float32)
    y_TO[20:40, 1] = np.nan
    fold_T = np.where(np.arange(400) < 300, np.arange(400) // 60, -1)
    asked = (fold_T, np.arange(400) >= 300)
    share_AO = np.stack([np.zeros(3), np.full(3, 0.6), np.ones(3)])
    ridge, share_O = fit_anchored_ridge(x_TF, last_TO, y_TO, share_AO, *asked)
    np.testing.assert_allclose(share_O, wanted)
    alone = fit_ridge(x_TF, (y_TO - wanted * last_TO).astype(np.float32), *asked)
    np.testing.assert_allclose(ridge.weights_KFO, alone.weights_KFO, atol=1e-5)
    np.testing.assert_allclose(ridge.bias_KO, alone.bias_KO, atol=1e-5)
    np.testing.assert_array_equal(ridge.penalty_O, alone.penalty_O)


def test_causal_features_do_not_see_the_future(rng):
    z_TI = rng.standard_normal((50, 3)).astype(np.float32)
    kernels = causal_kernels(12)
    before = smooth_features(z_TI, [(0, 50)], kernels)
    z_TI[31:] = 9.0
    np.testing.assert_array_equal(before[:31], smooth_features(z_TI, [(0, 50)], kernels)[:31])


@pytest.mark.parametrize("length", [1, 5, 12])
def test_latest_features_are_the_last_of_all(rng, length):
    recent_BLI = rng.standard_normal((2, length, 3)).astype(np.float32)
    recent_BLI[0, 0, 1] = np.nan
    kernels = causal_kernels(12)
    expected = [smooth_features(z_LI, [(0, length)], kernels)[-1] for z_LI in recent_BLI]
    np.testing.assert_allclose(latest_features(recent_BLI, kernels), expected, atol=1e-5)


def test_principal_axes_span_the_leading_subspace(rng):
    low_T2, axes_2I = rng.standard_normal((300, 2)), rng.standard_normal((2, 20))
    z_TI = (low_T2 @ axes_2I + 0.01 * rng.standard_normal((300, 20))).astype(np.float32)
    axes_IR = principal_axes(z_TI, 2, rng)
    np.testing.assert_allclose(z_TI @ axes_IR @ axes_IR.T, z_TI, atol=0.1)


def test_linear_maps_are_fitted_without_the_test_part(product_session):
    z_TV = product_session.values_TV
    segment_T = product_session.segment_T
    part_T = np.repeat([0, 1, 2], 800)
    changed = z_TV.copy()
    changed[1600:] = 50.0
    first, second = (
        fit_skip(replace(product_session, values_TV=v, segment_T=segment_T), part_T, 16)
        for v in (z_TV, changed)
    )
    for name, own in first.maps.items():
        for one, other in zip(own.blends, second.maps[name].blends, strict=True):
            assert list(one.mean) == list(other.mean)
            for member, weight_O in one.mean.items():
                np.testing.assert_array_equal(weight_O, other.mean[member])
                one_maps, other_maps = (b.members[member] for b in (one, other))
                if member == "ridge":
                    np.testing.assert_array_equal(
                        one_maps.maps.weights_KFO, other_maps.maps.weights_KFO
                    )


def test_many_units_are_reduced_to_principal_components(product_session, monkeypatch):
    monkeypatch.setattr("tasks.lnm.linear.reduction.MOST_INPUTS", 5)
    rng = np.random.default_rng(1)
    units_TN = product_session.values_TV[:, :2] @ rng.standard_normal((2, 20))
    z_TV = np.column_stack([units_TN, product_session.values_TV[:, 8]]).astype(np.float32)
    z_TV = (z_TV - z_TV.mean(0)) / z_TV.std(0)
    columns = type(product_session.columns)(
        tuple(map(str, range(21))), ("calcium",) * 20 + ("b",), ("calcium",) * 20 + ("motion",)
    )
    part_T = np.repeat([0, 1, 2], 800)
    session = replace(product_session, values_TV=z_TV, columns=columns)
    skip = fit_skip(session, part_T, 8)
    assert skip.maps["decode"].axes_IR.shape == (20, 5)
    z_TV = fit_scaler(session, part_T == 0).standardise(z_TV)
    decoded = skip.locate_all(("decode",), z_TV, [(0, 2400)])[1600:][:, 20]
    assert np.corrcoef(decoded, z_TV[1600:, 20])[0, 1] > 0.8


def test_shift_and_hold_stay_inside_runs():
    z_TV = np.array([[1.0], [np.nan], [3.0], [4.0], [np.nan], [6.0]], np.float32)
    runs = [(0, 3), (3, 6)]
    np.testing.assert_array_equal(
        shift_back(z_TV, runs, 2).ravel(), [3, np.nan, np.nan, 6, np.nan, np.nan]
    )
    column = Columns(("running",), ("running",), ("motion",))
    np.testing.assert_array_equal(hold_last(z_TV, runs, column).ravel(), [1, 1, 3, 4, 4, 6])


def test_of_a_channel_with_several_slots_the_newest_value_is_held():
    nan = np.nan
    z_TV = np.array([[1, nan, 9], [nan, 2, 9], [3, 4, nan], [5, nan, nan]], np.float32)
    columns = Columns(
        ("eye@-0.1", "eye@+0.1", "running"), ("eye",) * 2 + ("running",),
        ("eye",) * 2 + ("motion",), channels=("eye", "eye", "running"),
    )  # fmt: skip
    held_TV = hold_last(z_TV, [(0, 4)], columns)
    np.testing.assert_array_equal(held_TV[:, 0], [1, 2, 4, 5])
    np.testing.assert_array_equal(held_TV[:, 1], held_TV[:, 0])
    np.testing.assert_array_equal(held_TV[:, 2], 9)


def test_interpolation_is_exact_at_the_horizons():
    fill_SH = interpolate_horizons((1, 2, 4, 8), 8)
    np.testing.assert_allclose(fill_SH[[0, 1, 3, 7]], np.eye(4))
    np.testing.assert_allclose(fill_SH[5], [0, 0, 0.5, 0.5])


def test_count_predictions_become_positive_rates_and_keep_their_value():
    ones = np.ones(2, np.float32)
    scaler = Scaler(np.array([2.0, 0.0], np.float32), ones, 0 * ones, 9 * ones)
    z = np.array([[1.0, 1.5], [-1.9, np.nan], [-40.0, 0.0]], np.float32)
    location = as_location(z, scaler, np.array([True, False]))
    rate = 2.0 * np.exp(location[:, 0])
    np.testing.assert_allclose(rate[0], 3.0, rtol=1e-5)
    assert 0 < rate[2] < rate[1] < 0.2
    np.testing.assert_array_equal(location[:, 1], [1.5, 0.0, 0.0])


def test_the_median_of_a_poisson_distribution():
    rate = np.concatenate([np.linspace(0, 0.69, 30), np.linspace(0.7, 40, 200)])
    exact = stats.poisson.ppf(0.5, np.maximum(rate, 1e-9))
    assert (poisson_median(rate) == exact).mean() > 0.98
    assert np.abs(poisson_median(rate) - exact).max() <= 1
