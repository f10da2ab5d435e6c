"""Free-running courses hang together as the recording does, for as long as they run."""

from dataclasses import replace

import numpy as np
import pytest

from tasks.lnm.queries.generation import generate
from tasks.lnm.queries.query import forecast
from tasks.lnm.queries.rollout import roll_out
from tasks.lnm.training.dependence import gather_levels


@pytest.fixture(scope="module")
def course(product_result):
    """Return eight courses of a minute and a half, and the training samples beside them."""
    session, model = product_result.session, product_result.model
    seen = replace(session.recording, segment_T=np.where(session.split.train, 0, -1))
    value_BTV = generate(model, seen, 90.0, n_samples=8, seed=1)["value"].values
    return value_BTV, session.recording.values_TV[session.split.train]


def test_courses_are_as_wide_and_as_smooth_at_the_end_as_the_recording(course):
    value_BTV, real_TV = course
    linear = slice(0, 9)
    width = value_BTV[:, -200:].std((0, 1)) / real_TV.std(0)
    np.testing.assert_allclose(width[linear], 1.0, atol=0.25)
    rough = np.abs(np.diff(value_BTV, axis=1)).mean((0, 1)) / np.abs(np.diff(real_TV, axis=0)).mean(
        0
    )
    np.testing.assert_allclose(rough[linear], 1.0, atol=0.25)


def test_columns_that_go_together_are_drawn_together(course, product_result):
    value_BTV, real_TV = course
    steps_BTV, steps_TV = np.diff(value_BTV, axis=1), np.diff(real_TV, axis=0)
    found, real = (np.corrcoef(steps.reshape(-1, 10)[:, :9].T) for steps in (steps_BTV, steps_TV))
    np.testing.assert_allclose(found, real, atol=0.25)
    # Without levels of the truth each column is drawn by itself, and what is shared is lost.
    model = product_result.model
    empty = replace(model.noise, level_RSV=model.noise.level_RSV[:0])
    past_BLV = np.zeros((8, 8, 10), np.float32)
    rng = np.random.default_rng(0)
    alone_BTV = roll_out(replace(model, noise=empty), past_BLV, 400, rng)
    lost = np.corrcoef(np.diff(alone_BTV, axis=1).reshape(-1, 10)[:, :9].T)
    assert np.abs(lost - real).mean() > 2 * np.abs(found - real).mean()


def test_levels_are_of_training_and_validation_alone(product_result):
    session, model = product_result.session, product_result.model
    values_TV = session.recording.values_TV.copy()
    values_TV[session.split.test] = np.nan
    without = replace(session, recording=replace(session.recording, values_TV=values_TV))
    np.testing.assert_array_equal(gather_levels(model, without), model.noise.level_RSV)
    assert model.noise.level_RSV.shape[1:] == (2, 10)
    short = replace(session, part_T=np.full_like(session.part_T, 2))
    assert gather_levels(model, short) is model.noise.level_RSV


def test_drawn_forecasts_are_as_wide_as_those_that_are_told(product_result):
    model, recording = product_result.model, product_result.session.recording
    drawn = forecast(model, recording, recording.time_T[-100], 0.2, n_samples=400)
    apart = drawn["sample"].std("draw") / drawn["sd"]
    assert 0.8 < float(apart.mean()) < 1.2
