"""The reference kernel against answers known by hand, identities and systems with a direction."""

import numpy as np
import pytest

from tasks.causal.kernels.reference import (
    cross_map,
    embed,
    nearest,
    pearson,
    predict,
    shift,
    simplex_weights,
)
from tasks.causal.rule import CrossMapRule

ONE = np.zeros(8, int)


def test_embed_lists_the_present_first_and_the_past_after():
    vectors = embed(np.arange(8.0), ONE, 3, 2)
    assert np.isnan(vectors[:4]).all()
    np.testing.assert_array_equal(vectors[4:], [[4, 2, 0], [5, 3, 1], [6, 4, 2], [7, 5, 3]])


def test_embed_never_crosses_a_border_or_uses_nan():
    series = np.arange(8.0)
    series[1] = np.nan
    segments = np.array([0, 0, 0, 0, 1, 1, 1, -1])
    exists = np.isfinite(embed(series, segments, 2, 1)[:, 0])
    np.testing.assert_array_equal(np.flatnonzero(exists), [3, 5, 6])


@pytest.mark.parametrize(
    ("tp", "rows", "values"), [(1, [0, 2, 3], [1, 3, 4]), (-1, [1, 3, 4], [0, 2, 3])]
)
def test_shift_stays_in_its_segment(tp, rows, values):
    shifted = shift(np.arange(5.0), np.array([0, 0, 1, 1, 1]), tp)
    np.testing.assert_array_equal(np.flatnonzero(np.isfinite(shifted)), rows)
    np.testing.assert_array_equal(shifted[rows], values)


def test_ties_go_to_the_nearest_in_time_then_to_the_earlier():
    vectors = np.zeros((7, 1))
    chosen, distance = nearest(vectors, 3, np.ones(7, bool), theiler=0)
    np.testing.assert_array_equal(chosen, [2, 4])
    np.testing.assert_array_equal(distance, [0, 0])


def test_theiler_window_excludes_near_rows():
    chosen, _ = nearest(np.arange(9.0)[:, None], 4, np.ones(9, bool), theiler=2)
    np.testing.assert_array_equal(chosen, [1, 7])


def test_weights_have_a_floor_and_a_limit_at_zero_distance():
    np.testing.assert_allclose(simplex_weights(np.array([1.0, 2.0])), [0.73105858, 0.26894142])
    far = simplex_weights(np.array([1e-3, 1.0]))
    np.testing.assert_allclose(far[1] / far[0], 1e-6 / np.exp(-1))
    duplicate = simplex_weights(np.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(duplicate, np.array([1, 1, 1e-6]) / (2 + 1e-6))


def test_pearson_of_a_constant_is_undefined():
    assert np.isnan(pearson(np.ones(5), np.arange(5.0)))
    assert pearson(np.arange(5.0), np.arange(5.0)) == pytest.approx(1)


def test_full_library_cross_map_of_itself_is_simplex(logistic_pair):
    x, _ = logistic_pair(0.0, 0.0, 200)
    segments = np.zeros(len(x), int)
    rule = CrossMapRule(tp=1)
    predicted, observed = predict(x, x, segments, 2, rule)
    # Simplex projection written out: forecast x one step ahead from its own nearest states.
    states = np.stack([x[1:-1], x[:-2]], 1)
    for row in range(len(states)):
        distance = np.linalg.norm(states - states[row], axis=1)
        distance[row] = np.inf
        order = np.argsort(distance, kind="stable")[:3]
        weights = np.maximum(np.exp(-distance[order] / distance[order[0]]), 1e-6)
        forecast = (weights * x[order + 2]).sum() / weights.sum()
        assert predicted[row + 1] == pytest.approx(forecast, abs=1e-9)
        assert observed[row + 1] == x[row + 2]


def test_skill_points_from_cause_to_effect(logistic_pair):
    cause, effect = logistic_pair(0.0, 0.32, 400)
    segments, rule = np.zeros(400, int), CrossMapRule()
    assert cross_map(effect, cause, segments, 2, rule) > 0.9
    assert cross_map(cause, effect, segments, 2, rule) < 0.4


def test_both_directions_are_found_where_both_are_coupled(logistic_pair):
    x, y = logistic_pair(0.1, 0.1, 400)
    segments, rule = np.zeros(400, int), CrossMapRule()
    assert cross_map(x, y, segments, 2, rule) > 0.8
    assert cross_map(y, x, segments, 2, rule) > 0.8
