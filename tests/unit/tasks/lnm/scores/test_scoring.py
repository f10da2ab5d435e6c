"""Scores against hand-made answers; the interval and its verdict."""

import numpy as np
import pytest

from tasks.lnm.scores.scoring import bootstrap_difference, judge, score_answers


def score(real, metric="r2", best="mean", sd=None, **answers):
    sd = np.ones(real.shape[1]) if sd is None else sd
    answers.setdefault("mean", np.full(real.shape, np.nanmean(real)))
    about = {"sd_V": sd, "block": 8, "resamples": 200, "seed": 0}
    return score_answers("decode", "x", real, answers, metric=metric, best=best, **about)


@pytest.fixture
def real() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((200, 2))


def test_r2_is_the_textbooks(real):
    model = real + 0.3 * np.random.default_rng(1).standard_normal(real.shape)
    found = score(real, model=model, mean=np.zeros_like(real))
    expected = 1 - ((real - model) ** 2).sum() / ((real - real.mean(0)) ** 2).sum()
    assert found.model == pytest.approx(expected)
    assert found.baselines["mean"] <= 0
    assert set(found.baselines) == {"mean"}
    assert found.verdict == "win"


def test_equal_answers_tie_and_worse_ones_lose(real):
    rng = np.random.default_rng(2)
    close, far = (real + s * rng.standard_normal(real.shape) for s in (0.2, 0.9))
    assert score(real, best="ridge", model=close, ridge=close).verdict == "tie"
    lost = score(real, best="ridge", model=far, ridge=close)
    assert lost.verdict == "loss"
    assert lost.high < 0


def test_the_bar_is_the_baseline_that_was_chosen_beforehand(real):
    rng = np.random.default_rng(2)
    best, middle = (real + s * rng.standard_normal(real.shape) for s in (0.1, 0.5))
    answers = {"model": middle, "persistence": best, "ridge": np.zeros_like(real)}
    assert score(real, best="persistence", **answers).verdict == "loss"
    assert score(real, best="ridge", **answers).verdict == "win"


def test_absolute_error_is_lower_for_the_better_and_its_lead_is_positive(real):
    rng = np.random.default_rng(2)
    close, far = (real + s * rng.standard_normal(real.shape) for s in (0.2, 0.9))
    found = score(real, metric="mae", best="ridge", sd=2 * np.ones(2), model=close, ridge=far)
    assert found.model == pytest.approx(np.abs(close - real).mean() / 2)
    assert found.baselines["ridge"] > found.model
    assert found.low > 0
    assert found.verdict == "win"


def test_bits_per_spike_of_the_true_rate():
    rng = np.random.default_rng(0)
    rate = np.exp(rng.standard_normal((5000, 1)))
    spikes = rng.poisson(rate).astype(float)
    found = score(spikes, metric="bits_per_spike", model=rate)
    null = spikes.mean()
    expected = (spikes * np.log2(rate / null) - (rate - null) / np.log(2)).sum() / spikes.sum()
    assert found.model == pytest.approx(expected)
    assert found.baselines["mean"] == pytest.approx(0.0, abs=1e-9)
    assert found.metric == "bits_per_spike"


def test_missing_truth_is_left_out(real):
    gaps = real.copy()
    gaps[::3, 0] = np.nan
    wrong = np.where(np.isnan(gaps), 50.0, real)
    assert score(gaps, model=wrong).model == pytest.approx(1.0)


def test_nothing_to_score(real):
    assert score(np.ones((100, 1)), model=np.ones((100, 1)), mean=np.ones((100, 1))) is None
    assert score(real[:5], model=real[:5], mean=real[:5]) is None


def test_interval_covers_the_truth_of_dependent_data():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(60):
        noise = np.convolve(rng.standard_normal(419), np.ones(20) / 20, "valid")
        low, high = bootstrap_difference(0.1 + noise, np.ones(400), 40, 200, rng)
        inside += low <= 0.1 <= high
    # 95 % would be 57; blocks of finite length come out a little narrow.
    assert inside >= 48


def test_verdicts():
    assert [judge(0.1, 0.2), judge(-0.1, 0.2), judge(-0.2, -0.1), judge(0.0, 0.0)] == [
        "win",
        "tie",
        "loss",
        "tie",
    ]
