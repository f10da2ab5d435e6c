"""Courses given what some columns did: on a system whose answer is known."""

from dataclasses import replace

import numpy as np
import pytest

from schemas.errors import NotFoundError, RecordingTooShortError, SettingsError
from tasks.lnm.data.recording import Columns, Recording
from tasks.lnm.queries.conditioning import fit_scores
from tasks.lnm.queries.generation import generate
from tasks.lnm.results import Result, train_and_examine

LENGTH, TEST = 1500, 1260


@pytest.fixture(scope="module")
def recording() -> Recording:
    """The wheel drives four units without delay; a fifth, and the pupil, go their own way."""
    rng = np.random.default_rng(4)
    slow_T3 = np.zeros((LENGTH, 3))
    for t in range(1, LENGTH):
        slow_T3[t] = 0.8 * slow_T3[t - 1] + 0.6 * rng.standard_normal(3)
    wheel_T, alone_T, pupil_T = slow_T3.T
    units_TN = np.outer(wheel_T, [1.0, -0.8, 1.2, 0.9]) + 0.3 * rng.standard_normal((LENGTH, 4))
    names = (*(f"calcium/n{i}" for i in range(5)), "wheel", "pupil")
    return Recording(
        np.column_stack([units_TN, alone_T, wheel_T, pupil_T]).astype(np.float32),
        np.arange(LENGTH) / 10.0,
        np.zeros(LENGTH, np.int64),
        10.0,
        Columns(names, ("calcium",) * 5 + names[5:], ("calcium",) * 5 + ("motion", "eye")),
    )


@pytest.fixture(scope="module")
def result(recording, quick) -> Result:
    settings = quick.model_copy(update={"steps": 60, "generated_s": 0.0})
    return train_and_examine(recording, settings)


def test_units_follow_the_wheel_that_is_given(result, recording):
    free = generate(result.model, recording, 20.0, 24, t0=TEST / 10)
    given = generate(result.model, recording, 20.0, 24, given=("wheel",), t0=TEST / 10)
    real_TV = recording.values_TV[TEST : TEST + 200]
    np.testing.assert_allclose(given["value"].values[..., 5], [real_TV[:, 5]] * 24, atol=1e-5)
    assert (given["start"] == TEST / 10).all()

    def told(answer, column):
        return np.corrcoef(answer["value"].values[..., column].mean(0), real_TV[:, column])[0, 1]

    # What the wheel tells of a driven unit: sqrt(1 / 1.09) of its spread and more.
    assert told(given, 0) > 0.9 > 0.5 > told(free, 0)
    assert abs(told(given, 4)) < 0.5
    drawn_BT = given["value"].values[..., 0]
    low_T, high_T = np.quantile(drawn_BT, [0.1, 0.9], axis=0)
    inside = np.mean((real_TV[:, 0] >= low_T) & (real_TV[:, 0] <= high_T))
    assert 0.65 < inside < 0.92
    # Courses differ by what the wheel does not tell.
    assert 0.2 < drawn_BT.std(0).mean() < 0.45
    # And units go on being driven by a wheel that is drawn.
    wheel, unit = free["value"].values[..., 5].ravel(), free["value"].values[..., 0].ravel()
    assert np.corrcoef(wheel, unit)[0, 1] > 0.8


def test_what_is_not_known_of_the_given_is_drawn(result, recording):
    values_TV = recording.values_TV.copy()
    values_TV[TEST + 30 : TEST + 60, 5] = np.nan
    broken = replace(recording, values_TV=values_TV)
    course = generate(result.model, broken, 10.0, 8, given=("wheel",), t0=TEST / 10)["value"].values
    assert np.isfinite(course).all()
    assert course[:, :30, 5].std(0).max() < 1e-5 < 0.1 < course[:, 30:60, 5].std(0).mean()


def test_what_cannot_be_given_is_refused(result, recording):
    with pytest.raises(SettingsError, match="all columns are given"):
        generate(result.model, recording, 1.0, 1, given=("calcium", "wheel", "pupil"))
    with pytest.raises(NotFoundError, match="'tail'"):
        generate(result.model, recording, 1.0, 1, given=("tail",))
    with pytest.raises(RecordingTooShortError, match="140 s"):
        generate(result.model, recording, 30.0, 1, given=("wheel",), t0=140.0)
    with pytest.raises(RecordingTooShortError, match="no gapless"):
        generate(result.model, recording, 300.0, 1, given=("wheel",))


def test_ridge_of_scores_keeps_what_is_related_and_drops_the_rest():
    rng = np.random.default_rng(5)
    given_RP = rng.standard_normal((400, 200))
    related_R1 = given_RP[:, :1] + 0.5 * rng.standard_normal((400, 1))
    score_RQ = np.column_stack([related_R1, rng.standard_normal((400, 5))])
    few = fit_scores(given_RP[:, :3], score_RQ)
    np.testing.assert_allclose(few.map_PQ[:, 0], [1, 0, 0], atol=0.1)
    assert np.abs(few.map_PQ[:, 1:]).max() < 0.2
    left_RQ = np.array([few.left_over(at) for at in range(400)])
    assert left_RQ[:, 0].std() == pytest.approx(0.5, abs=0.05)
    many = fit_scores(given_RP, score_RQ)
    assert many.map_PQ.shape == (200, 6)
