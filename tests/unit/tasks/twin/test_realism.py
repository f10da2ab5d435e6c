"""Distances, the classifier, the copy test and the control."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tasks.twin.choose import realism_cost
from tasks.twin.classifier import area_under_curve, classifier_auc, fit_logistic
from tasks.twin.distances import (
    autocorrelation_distance,
    crosscorrelation_distance,
    cut_windows,
    ks_distance,
    spectrum_hellinger,
    wasserstein,
)
from tasks.twin.realism import ALL, COPY, Judge, control_blocks, cut_record, judge_realism


def _process(seed, length, memory=0.9, mix=0.5):
    """Two channels of an autoregression that share part of their noise."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((length, 2))
    noise[:, 1] = mix * noise[:, 0] + np.sqrt(1 - mix**2) * noise[:, 1]
    path = np.zeros((length, 2))
    for at in range(1, length):
        path[at] = memory * path[at - 1] + np.sqrt(1 - memory**2) * noise[at]
    return path


def test_a_record_is_at_no_distance_from_itself():
    record = [_process(0, 200), _process(1, 90)]
    one = [stretch[:, 0] for stretch in record]
    assert ks_distance(one, one) == 0
    assert wasserstein(one, one) == 0
    assert spectrum_hellinger(one, one) == pytest.approx(0, abs=1e-7)
    assert autocorrelation_distance(one, one, 20) == 0
    assert crosscorrelation_distance(record, record, 20) == 0


def test_distances_have_known_values():
    a, b = [np.zeros(50)], [np.full(50, 2.0)]
    assert ks_distance(a, b) == 1
    assert wasserstein(a, b) == pytest.approx(2)
    time = np.arange(640)
    slow, fast = [np.sin(time * 2 * np.pi / 32)], [np.sin(time * 2 * np.pi / 4)]
    assert spectrum_hellinger(slow, fast) > 0.95
    assert autocorrelation_distance(slow, [-slow[0]], 20) == pytest.approx(0, abs=1e-9)
    paired, opposed = _process(0, 3000, mix=0.9), _process(0, 3000, mix=-0.9)
    assert crosscorrelation_distance([paired], [opposed], 0) == pytest.approx(1.8, abs=0.1)


def test_a_constant_record_is_handled():
    rest, walk = [np.zeros(100)], [_process(0, 100)[:, 0]]
    for distance in (spectrum_hellinger(rest, walk), autocorrelation_distance(rest, walk, 10)):
        assert 0 < distance <= 1


def test_windows_and_correlations_stay_inside_stretches():
    record = [np.arange(10.0)[:, None], np.arange(100.0, 107.0)[:, None]]
    windows = cut_windows(record, 5, 2)
    assert (np.diff(windows[..., 0], axis=1) == 1).all()
    assert len(windows) == 3 + 2
    # Products across the jump would make two alternating stretches correlate differently.
    joined = autocorrelation_distance([np.tile([0.0, 1], 20)], [np.tile([0.0, 1], 10)] * 2, 3)
    assert joined == pytest.approx(0, abs=0.1)


def test_classifier_knows_equal_from_different():
    same = np.mean(
        [classifier_auc([_process(s, 600)], [_process(s + 50, 600)], 20) for s in range(6)]
    )
    assert 0.35 < same < 0.65
    assert classifier_auc([_process(0, 600)], [_process(1, 600, memory=0.2)], 20) > 0.9


def test_logistic_regression_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    features = rng.standard_normal((80, 5))
    label = (features[:, 0] + rng.standard_normal(80) > 0).astype(int)
    oracle = LogisticRegression(C=0.1, tol=1e-8).fit(features, label)
    np.testing.assert_allclose(fit_logistic(features, label)[1:], oracle.coef_[0], atol=1e-4)


def test_area_under_curve_counts_ties_half():
    label = np.array([0, 0, 1, 1])
    assert area_under_curve(label, np.array([0.1, 0.4, 0.4, 0.8])) == pytest.approx(0.875)
    assert area_under_curve(label, np.zeros(4)) == 0.5


def test_classifier_refuses_too_few_windows():
    assert np.isnan(classifier_auc([_process(0, 60)], [_process(1, 40)], 20))


def test_records_end_at_gaps_and_segments():
    values = np.arange(9.0)[:, None]
    values[2] = np.nan
    segment = np.array([0, 0, 0, 0, 0, 1, 1, 1, -1])
    record = cut_record(values, segment, np.arange(9) != 7, 2)
    assert [stretch[:, 0].tolist() for stretch in record] == [[0, 1], [3, 4], [5, 6]]


def test_control_blocks_have_the_size_of_the_test_part():
    fitting = np.arange(1000) < 800
    blocks = control_blocks(fitting, 200)
    assert len(blocks) == 7
    assert {block.stop - block.start for block in blocks} == {200}
    assert (blocks[0].start, blocks[-1].stop) == (0, 800)


@pytest.fixture(scope="module")
def verdicts():
    """Verdicts on three twins of one animal: an honest one, a replay, and a wrong one."""
    length, window = 1500, 20
    real = _process(0, length)
    index = np.arange(length)
    train, fitting, test = index < 975, index < 1200, index >= 1220
    size = int(test.sum())
    honest = [_process(seed, length) for seed in range(10, 13)]
    replay = [np.roll(real, length - size - start, axis=0) for start in (100, 300, 500)]
    wrong = [_process(seed, length, memory=0.3, mix=-0.5) for seed in range(20, 23)]
    found = {}
    for name, runs in {"honest": honest, "replay": replay, "wrong": wrong}.items():
        table = judge_realism(
            Judge(("x", "y"), window),
            real,
            np.stack(runs),
            np.stack(wrong),
            np.zeros(length, int),
            train,
            fitting,
            test,
        )
        found[name] = table
    return found


def _verdict(table, metric, channel):
    rows = (table["metric"].values == metric) & (table["channel"].values == channel)
    return str(table["verdict"].values[rows][0])


def test_an_honest_twin_is_as_real_as_the_animal(verdicts):
    honest = verdicts["honest"]
    assert (honest["verdict"].values == "as real").mean() > 0.9
    assert _verdict(honest, "c2st_auc", ALL) == "as real"
    assert _verdict(honest, COPY, ALL) == "as real"


def test_a_replay_passes_every_distance_and_is_caught_as_a_copy(verdicts):
    replay = verdicts["replay"]
    assert _verdict(replay, "ks", "x") == "as real"
    assert _verdict(replay, COPY, ALL) == "copies"


def test_a_wrong_twin_differs(verdicts):
    wrong = verdicts["wrong"]
    for metric in ("psd_hellinger", "autocorrelation", "c2st_auc"):
        assert _verdict(wrong, metric, "x") == "differs"
    assert _verdict(wrong, "correlation", ALL) == "differs"
    assert _verdict(wrong, "c2st_auc", ALL) == "differs"


def test_the_cost_of_free_runs_is_least_for_the_same_process():
    real = [_process(1, 600)]
    alike, rougher = [_process(2, 600)], [_process(3, 600, memory=0.3)]
    still = [0.05 * _process(4, 600)]
    costs = [realism_cost(real, made, 20) for made in (alike, rougher, still)]
    assert costs[0] < min(costs[1:]) - 0.1
    assert 0 <= costs[0] < 0.3
    assert max(costs) <= 1
