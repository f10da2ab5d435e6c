"""Filling and filtering never reach across a gap."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.preprocess.repair import (
    differentiate,
    dilate,
    fill_short_gaps,
    find_outliers,
    find_stuck,
    lowpass,
    smooth_savgol,
)

SEGMENTS = np.repeat([0, 1, 2], [40, 25, 35])
TIME = np.arange(100) / 30 + SEGMENTS * 10.0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2), st.integers(0, 2**31))
def test_a_segment_does_not_feel_the_others(changed: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(2, 100))
    values[rng.random((2, 100)) < 0.1] = np.nan
    other = values.copy()
    inside = changed == SEGMENTS
    other[:, inside] = rng.normal(size=(2, inside.sum())) * 1e6
    for clean in (
        lambda rows: fill_short_gaps(rows, TIME, SEGMENTS, 3)[0],
        lambda rows: lowpass(rows, SEGMENTS, 30.0, 4.0, 3),
        lambda rows: smooth_savgol(rows, SEGMENTS, 7),
        lambda rows: differentiate(rows, TIME, SEGMENTS),
        lambda rows: dilate(np.isnan(rows), 2, SEGMENTS),
    ):
        np.testing.assert_array_equal(clean(values)[:, ~inside], clean(other)[:, ~inside])


def test_short_gaps_are_filled_on_the_line_and_long_ones_stay() -> None:
    time = np.arange(12.0)
    values = (2 * time + 1)[None].copy()
    values[0, [0, 3, 4, 7, 8, 9]] = np.nan
    filled, was_filled = fill_short_gaps(values, time, np.zeros(12, int), 2)
    assert np.flatnonzero(was_filled[0]).tolist() == [3, 4]
    np.testing.assert_allclose(filled[0, 3:5], [7, 9])
    assert np.isnan(filled[0, [0, 7, 8, 9]]).all()


def test_lowpass_keeps_slow_and_removes_fast_without_delay() -> None:
    time = np.arange(600) / 60
    slow, fast = np.sin(2 * np.pi * time), np.sin(2 * np.pi * 20 * time)
    passed = lowpass(np.stack([slow + fast]), np.zeros(600, int), 60.0, 4.0, 3)[0]
    np.testing.assert_allclose(passed[60:-60], slow[60:-60], atol=0.01)


@pytest.mark.parametrize("rate", [1.0, 8.0, np.nan])
def test_slow_streams_are_not_filtered(rate: float) -> None:
    values = np.random.default_rng(0).normal(size=(1, 50))
    assert lowpass(values, np.zeros(50, int), rate, 4.0, 3) is values


def test_savgol_keeps_parabolas() -> None:
    time = np.arange(30.0)
    parabola = (0.5 * time**2 - 3 * time)[None]
    np.testing.assert_allclose(smooth_savgol(parabola, np.zeros(30, int), 7), parabola, atol=1e-9)


def test_derivative_of_a_line_is_its_slope_and_a_repeated_time_has_none() -> None:
    time = np.array([0.0, 1.0, 2.0, 2.0])
    slope = differentiate((3 * time)[None], time, np.zeros(4, int))[0]
    np.testing.assert_allclose(slope[:3], 3)
    assert np.isnan(slope[3])


def test_outliers_are_far_from_the_mean_and_nan_is_none() -> None:
    values = np.random.default_rng(0).normal(size=(1, 500))
    values[0, 7], values[0, 8] = 100.0, np.nan
    assert np.flatnonzero(find_outliers(values, 10.0)).tolist() == [7]
    assert not find_outliers(np.ones((1, 5)), 3.0).any()


def test_dilation_widens_by_frames() -> None:
    mask = np.zeros((1, 9), bool)
    mask[0, 4] = True
    assert np.flatnonzero(dilate(mask, 2, np.zeros(9, int))).tolist() == [2, 3, 4, 5, 6]


def test_a_value_repeated_for_too_long_is_stuck() -> None:
    rows_NT = np.array([[1.0, 2, 2, 2, 2, 3, 3, np.nan, np.nan, np.nan, np.nan, 4]])
    segment_T = np.zeros(12, np.int32)
    assert np.flatnonzero(find_stuck(rows_NT, segment_T, 3)[0]).tolist() == [1, 2, 3, 4]
    assert not find_stuck(rows_NT, segment_T, 4).any()
    segment_T[3:] = 1  # two before the gap and two after it
    assert not find_stuck(rows_NT, segment_T, 3).any()
