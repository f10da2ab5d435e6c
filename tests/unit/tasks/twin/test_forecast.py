"""Forecast scores: the ensemble score, starts, baselines, verdicts."""

import numpy as np
import pytest

from tasks.twin.forecast import Forecasts, compare_errors, ensemble_score, forecast_starts
from tasks.twin.linear import fit_autoregression, run_autoregression


def _forecasts(spread, bias=0.0, members=6):
    rng = np.random.default_rng(0)
    actual = rng.standard_normal((4000, 1, 1))
    predicted = bias + spread * rng.standard_normal((4000, members, 1, 1))
    return Forecasts(predicted, actual, np.arange(4000))


def test_ensemble_score_is_least_for_the_true_scatter():
    scores = [float(ensemble_score(_forecasts(spread))[0]) for spread in (0.0, 0.5, 1.0, 2.0)]
    assert np.argmin(scores) == 2
    assert scores[2] == pytest.approx(1 / np.sqrt(np.pi), abs=0.02)
    assert float(ensemble_score(_forecasts(1.0, bias=1.0))[0]) > scores[2]


def test_ensemble_score_of_one_member_is_its_absolute_error():
    single = _forecasts(1.0, members=1)
    error = np.abs(single.predicted_SMHN[:, 0] - single.actual_SHN).mean()
    assert float(ensemble_score(single)[0]) == pytest.approx(error)


def test_starts_have_a_past_and_a_future_in_one_stretch():
    segment = np.repeat([0, 1, 2], 30)
    good = np.ones(90, bool)
    good[40] = False
    part = np.arange(90) >= 10
    starts = forecast_starts(good, segment, part, depth=5, ahead=3, most=1000)
    for start in starts:
        span = np.arange(start - 4, start + 4)
        assert len(set(segment[span])) == 1
        assert good[span].all()
        assert part[span].all()
    assert len(starts) == (20 - 7) + (10 - 7) + (19 - 7) + (30 - 7)
    assert len(forecast_starts(good, segment, part, 5, 3, most=7)) == 7


def test_autoregression_recovers_its_weights():
    rng = np.random.default_rng(0)
    column = np.zeros(4000)
    for at in range(2, 4000):
        column[at] = 1.2 * column[at - 1] - 0.5 * column[at - 2] + rng.standard_normal()
    model = fit_autoregression(column, np.zeros(4000, int), np.ones(4000, bool), 2)
    np.testing.assert_allclose(model.weights_P[1:], [1.2, -0.5], atol=0.05)
    ahead = run_autoregression(model, column[None, 98:100], 1)[0, 0]
    weights = model.weights_P
    assert ahead == pytest.approx(weights[0] + weights[1] * column[99] + weights[2] * column[98])
    run = run_autoregression(model, column[None, 98:100], 3000, rng)[0]
    assert run.std() == pytest.approx(column.std(), rel=0.1)


def test_verdict_needs_more_than_two_standard_errors():
    rng = np.random.default_rng(0)
    small, same, large = rng.random(100), rng.random(100), 1 + rng.random(100)
    assert compare_errors(small, large) == "win"
    assert compare_errors(large, small) == "loss"
    assert compare_errors(small, same) == "tie"
