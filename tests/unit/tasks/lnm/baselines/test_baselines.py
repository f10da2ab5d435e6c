"""Baselines on systems with a known answer; none sees the test part; which one is the bar."""

from dataclasses import replace

import numpy as np
import pytest

from schemas.settings.lnm import LnmSettings
from tasks.lnm.baselines.blending import Offer, choose_blend, join_blends
from tasks.lnm.baselines.rivals import BASELINES, fit_rivals
from tasks.lnm.data.recording import Scaler, fit_scaler
from tasks.lnm.data.runs import forecast_origins
from tasks.lnm.linear.problems import make_problems
from tasks.lnm.scores.quality import Worth, assess


def thirds(recording):
    return np.repeat([0, 1, 2], len(recording.time_T) // 3)


def problem_of(recording, name, horizon=-1):
    part_T = thirds(recording)
    scaler = fit_scaler(recording, part_T == 0)
    z_TV = scaler.standardise(recording.values_TV)
    made = make_problems(z_TV, recording.segment_T, part_T, recording.columns, scaler, 16, 0)
    return next(p for p in made if (p.name, p.horizon) == (name, horizon))


def test_reduced_rank_holds_eight_units_to_what_behaviour_tells(product_session):
    problem = problem_of(product_session, "encode")
    fitted = BASELINES["reduced_rank"](problem)
    # Ridge's maps have as many axes as there are features; two channels tell of two at most.
    ranks = [
        np.linalg.matrix_rank(f.member.maps.weights_KFO[-1], tol=1e-4)
        for f in (fitted, BASELINES["ridge"](problem))
    ]
    assert ranks[0] <= 2 < ranks[1]
    rows = np.flatnonzero(thirds(product_session) == 2)
    truth = product_session.values_TV[rows][:, problem.outputs]
    errors = [
        (((truth - problem.scaler.mean_V) / problem.scaler.sd_V - f.locate(rows)) ** 2).mean()
        for f in (fitted, BASELINES["ridge"](problem))
    ]
    assert errors[0] < errors[1] * 1.01


def test_drift_of_the_levels_is_no_signal_to_ridge_on_departures(product_session):
    rng = np.random.default_rng(0)
    fast_T = np.convolve(rng.standard_normal(2401), [0.7, 0.7], "valid")
    drift_TN = 0.3 * rng.standard_normal((2400, 8)).cumsum(0)
    values_TV = product_session.values_TV.copy()
    values_TV[:, :8] = fast_T[:, None] + drift_TN + 0.5 * rng.standard_normal((2400, 8))
    values_TV[:, 8:] = fast_T[:, None]
    recording = replace(product_session, values_TV=values_TV)
    problem = problem_of(recording, "decode")
    rows = np.flatnonzero(thirds(recording) == 2)
    z_T = (fast_T[rows] - problem.scaler.mean_V[0]) / problem.scaler.sd_V[0]
    errors = {
        name: float(((BASELINES[name](problem).locate(rows)[:, 0] - z_T) ** 2).mean())
        for name in ("ridge", "drift_free")
    }
    assert errors["drift_free"] < 0.9 * errors["ridge"], errors
    maps = BASELINES["drift_free"](problem).member.maps
    level = problem.seen.features_TF.copy()
    level[:, : level.shape[1] - problem.seen.slopes] += 10.0
    before = maps.predict(problem.seen.features_TF)
    np.testing.assert_allclose(maps.predict(level), before, atol=1e-2)
    assert BASELINES["drift_free"](problem_of(product_session, "forecast", 1)) is None


def test_poisson_regression_recovers_log_linear_rates(spiking_session):
    rng = np.random.default_rng(0)
    drive_T = np.convolve(rng.standard_normal(919), np.ones(20) / 4, "valid")[:900]
    rate_TN = np.exp(drive_T[:, None] * np.linspace(-0.9, 0.9, 6) - 0.3)
    values_TV = np.column_stack([rng.poisson(rate_TN), drive_T]).astype(np.float32)
    problem = problem_of(replace(spiking_session, values_TV=values_TV), "encode")
    fitted = BASELINES["glm"](problem)
    rows = np.arange(600, 900)
    expected = np.log(rate_TN[rows] / problem.scaler.mean_V)
    assert np.abs(fitted.locate(rows) - expected).mean() < 0.15
    # What lies far outside of training is answered with no more than was ever counted.
    far = replace(problem.seen, features_TF=problem.seen.features_TF * 1e4)
    wild = replace(problem, seen=far)
    counts = problem.scaler.mean_V * np.exp(fitted.member.locate(wild.view(rows)))
    assert (counts <= problem.scaler.high_V * 1.001).all()
    assert BASELINES["glm"](problem_of(spiking_session, "forecast", 1)) is None


def test_neighbours_know_a_product_that_ridge_does_not(product_session):
    problem = problem_of(product_session, "decode")
    rows = np.flatnonzero(thirds(product_session) == 2)
    truth = product_session.values_TV[rows, 9]
    found = {
        m: np.corrcoef(BASELINES[m](problem).locate(rows)[:, 1], truth)[0, 1]
        for m in ("knn", "ridge")
    }
    assert found["knn"] > 0.5 > found["ridge"]


@pytest.mark.parametrize("name", ["decode", "forecast"])
def test_recurrent_network_learns_and_repeats(product_session, monkeypatch, name):
    monkeypatch.setattr("tasks.lnm.baselines.gru.STEPS", 80)
    problem = problem_of(product_session, name, -1 if name == "decode" else 1)
    rows = np.flatnonzero(thirds(product_session) == 2)[:200]
    one, two = (BASELINES["gru"](problem).locate(rows) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    truth = product_session.values_TV[rows + (problem.horizon > 0), 8]
    assert np.corrcoef(one[:, list(problem.outputs).index(8)], truth)[0, 1] > 0.7


def test_no_answer_depends_on_the_truth_of_the_test_part(product_session):
    part_T = thirds(product_session)
    test = np.flatnonzero(part_T == 2)
    # The neurons stay as they are; what is decoded from them is another thing.
    changed = product_session.values_TV.copy()
    changed[test, 8:] = 50.0
    answers = []
    for values_TV in (product_session.values_TV, changed):
        recording = replace(product_session, values_TV=values_TV)
        scaler = fit_scaler(recording, part_T == 0)
        origins, _ = forecast_origins([(1600, 2400)], 16)
        answers.append(
            fit_rivals(
                recording,
                scaler.standardise(recording.values_TV),
                part_T,
                scaler,
                origins,
                16,
                LnmSettings(),
            )[1]
        )
    assert answers[0].bars == answers[1].bars
    for key, located in answers[0].answers["decode", -1].items():
        np.testing.assert_array_equal(located, answers[1].answers["decode", -1][key])


def test_with_its_gates_shut_the_model_is_a_blend_of_baselines(product_result):
    skip, session = product_result.model.skip, product_result.session
    test_T = session.part_T == 2
    base_TV = session.material.base["decode"][test_T]
    blend, outputs = skip.maps["decode"].blends[0], skip.maps["decode"].outputs
    answers = session.rivals.answers["decode", -1]
    np.testing.assert_allclose(sum(blend.mean.values()), 1.0)
    expected = sum(w * answers["mean", n][:, outputs] for n, w in blend.mean.items())
    np.testing.assert_allclose(base_TV[:, outputs], expected, atol=1e-4)
    assert skip.horizons == (1, 2, 4, 8)
    origins = session.origin_O
    located, medians = session.material.forecast_base(origins)
    for at, (horizon, own) in enumerate(
        zip(skip.horizons, skip.maps["forecast"].blends, strict=True)
    ):
        answers = session.rivals.answers["forecast", horizon]
        for kind, made, weights in (
            ("mean", located, own.mean),
            ("median", medians, own.median),
        ):
            expected = sum(w * answers[kind, n] for n, w in weights.items())
            np.testing.assert_allclose(made[:, at], expected, atol=1e-4)


def test_each_baseline_answers_absolute_errors_with_its_median(spiking_session):
    rng = np.random.default_rng(0)
    # Skewed: half of the time nothing moves, so that median and mean lie apart.
    values_TV = spiking_session.values_TV.copy()
    values_TV[:, 6] = np.where(rng.random(900) < 0.6, 0.0, rng.exponential(size=900))
    problem = problem_of(replace(spiking_session, values_TV=values_TV), "forecast", 1)
    rows = np.arange(600, 899)
    units = np.arange(6)
    truth = (values_TV[rows + 1] - problem.scaler.mean_V) / problem.scaler.sd_V
    for method in ("mean", "ridge", "knn"):
        fitted = BASELINES[method](problem)
        middle = fitted.middle(rows)
        errors = [np.abs(truth - answer)[:, 6].mean() for answer in (middle, fitted.locate(rows))]
        assert errors[0] < errors[1]
        if method != "knn":
            counts = middle[:, units] * problem.scaler.sd_V[units] + problem.scaler.mean_V[units]
            np.testing.assert_allclose(counts, np.round(counts), atol=1e-4)
    held = BASELINES["persistence"](problem).middle(rows)
    assert np.median(held[:, 6] - problem.last_TO[rows, 6]) == pytest.approx(0.0, abs=0.05)


def test_a_training_row_is_answered_by_neighbours_of_other_folds(product_session):
    problem = problem_of(product_session, "decode")
    seen = problem.seen
    rows = np.flatnonzero(seen.fold_T >= 0)[::50]
    near = seen.library.nearest(seen.features_TF[rows], seen.fold_T[rows], 16)
    assert (seen.library.fold_X[near] != seen.fold_T[rows][:, None]).all()
    alone = seen.library.nearest(seen.features_TF[rows], None, 1)
    np.testing.assert_array_equal(seen.known[alone[:, 0]], rows)


def offer_of(answers, real):
    scaler = Scaler(*(np.full(1, v, np.float32) for v in (0, 1, -9, 9)))
    located = {name: a[:, None].astype(np.float32) for name, a in answers.items()}
    return Offer("r2", real[:, None], located, scaler, False, 16)


def blend_of(answers, real):
    scores = {name: -float(((a - real) ** 2).mean()) for name, a in answers.items()}
    return choose_blend(offer_of(answers, real), scores, list(answers))


def test_what_errs_apart_is_blended_and_what_errs_alike_is_not():
    rng = np.random.default_rng(0)
    real, one, two = rng.standard_normal((3, 800))
    apart = blend_of({"ridge": real + one, "knn": real + two}, real)
    assert apart == {"ridge": 0.5, "knn": 0.5}
    assert blend_of({"ridge": real + one, "knn": real + 1.5 * one}, real) == {"ridge": 1.0}
    # Of an answer that is half noise, half is best.
    assert blend_of({"ridge": real + one, "mean": 0 * real}, real) == {"ridge": 0.5, "mean": 0.5}


def test_of_two_blends_as_much_is_taken_as_costs_least():
    rng = np.random.default_rng(0)
    real, one, two = rng.standard_normal((3, 800))
    offer = offer_of({"ridge": real + one, "shared": real + two, "knn": real + 9 * two}, real)
    alone, given = {"ridge": 1.0}, {"shared": 1.0}
    assert join_blends(offer, alone, given) == {"ridge": 0.5, "shared": 0.5}
    assert join_blends(offer, alone, {"knn": 1.0}) == alone
    assert join_blends(offer, {"knn": 1.0}, given) == given
    mixed = join_blends(offer, alone, {"shared": 0.5, "ridge": 0.5})
    assert mixed == {"ridge": 0.5, "shared": 0.5}


def test_correlation_within_trials_ignores_the_rest():
    rng = np.random.default_rng(0)
    real = rng.standard_normal((200, 1))
    trial_T = np.arange(200) < 100
    model = np.where(trial_T[:, None], real, -real)
    ones = np.ones(1)
    found = assess(real, model, model, Worth(real, real, real), ones, trial_T)
    assert found.trial_correlation == pytest.approx(1.0)
    assert found.correlation < 0.5
