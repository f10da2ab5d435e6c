"""Answers of the large neural model as pages: each kind, and what was recorded beside it."""

import numpy as np
import pytest
import xarray as xr

from tasks.report.answers import draw_answer


@pytest.fixture
def aligned(make_aligned) -> xr.DataTree:
    time_T = np.arange(200.0)
    return make_aligned(np.outer(time_T, [1, 2]), time_T[:, None])


def names_of(figure):
    return [trace.name for trace in figure.data if trace.name]


def test_predictions_lie_over_what_was_recorded(aligned):
    time_T = np.arange(50, 100) / 10
    mean_TV = np.zeros((50, 2), np.float32)
    levels = np.stack([mean_TV - 1, mean_TV + 1])
    answer = xr.Dataset(
        {
            "mean": (("time", "column"), mean_TV),
            "quantile_value": (("quantile", "time", "column"), levels),
            "sample": (("draw", "time", "column"), mean_TV[None]),
        },
        {"time": time_T, "column": ["running", "calcium/n1"], "quantile": [0.05, 0.95]},
    )
    figure = draw_answer(answer, aligned)
    assert names_of(figure) == ["recorded", "model", "one draw"] * 2
    recorded = [trace for trace in figure.data if trace.name == "recorded"]
    np.testing.assert_array_equal(recorded[0].y, np.arange(50, 100))
    np.testing.assert_array_equal(recorded[1].y, 2 * np.arange(50, 100))


def test_courses_have_a_truth_only_where_all_start_at_the_same_time(aligned):
    values_BTV = np.random.default_rng(0).random((3, 20, 1))
    coords = {"time": np.arange(20) / 10, "column": ["running"]}
    for start_B, truth in (([4.0, 4.0, 4.0], True), ([1.0, 2.0, 3.0], False)):
        answer = xr.Dataset(
            {"value": (("sample", "time", "column"), values_BTV)},
            {**coords, "start": ("sample", start_B)},
        )
        figure = draw_answer(answer, aligned)
        assert names_of(figure) == ["recorded"] * truth + ["draws"] * 2 + ["one draw"]
        if truth:
            np.testing.assert_array_equal(figure.data[0].y, np.arange(40, 60))


def test_scores_states_and_layers_are_drawn(aligned):
    scores = xr.Dataset(
        {
            "task": ("score", ["decode", "forecast", "forecast", "forecast"]),
            "target": ("score", ["running"] * 4),
            "metric": ("score", ["r2", "r2", "r2", "mae"]),
            "horizon": ("score", [-1, 1, 2, 1]),
            "model": ("score", [0.5, 0.9, 0.8, 0.1]),
            "mean": ("score", [-3.0, 0.0, 0.0, 0.2]),
        }
    )
    figure = draw_answer(scores, aligned)
    assert names_of(figure) == ["mean", "model", "forecast: running [r2]"]
    assert list(figure.data[0].x) == [-1.0]
    assert list(figure.data[2].x) == [1, 2]
    rng = np.random.default_rng(0)
    states = xr.Dataset(
        {"state": (("layer", "time", "feature"), rng.random((2, 30, 5)))}, {"time": np.arange(30.0)}
    )
    assert len(draw_answer(states, aligned).data[0].x) == 30
    layers = xr.Dataset(
        {
            "r2": (("layer", "column"), rng.random((2, 1))),
            "control": (("layer", "column"), rng.random((2, 1))),
            "similarity": ("layer", rng.random(2)),
            "similarity_control": ("layer", rng.random(2)),
        },
        {"layer": [0, 1], "column": ["running"]},
    )
    assert (
        names_of(draw_answer(layers, aligned))
        == ["running"] * 2 + ["similarity with the brain"] * 2
    )
