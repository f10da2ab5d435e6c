"""Samples onto the axis: known answers, and never across a gap."""

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.settings.align import AlignSettings, Resampling
from tasks.align.clock import Axis, rate_axis, stream_axis
from tasks.align.resample import average_bins, choose_method, resample
from tasks.align.source import read_source, sample_ages

DEFAULTS = AlignSettings()
METHODS: tuple[Resampling, ...] = ("mean", "band_limited", "linear", "nearest", "previous")


def onto(values: np.ndarray, time: np.ndarray, axis: Axis, method: Resampling) -> np.ndarray:
    source = read_source(time, DEFAULTS.max_gap_periods)
    return np.asarray(resample(da.asarray(values), source, axis, method, DEFAULTS).compute())


def even_axis(start: float, stop: float, rate: float) -> Axis:
    return rate_axis(np.array([[start, stop]]), rate)


@pytest.mark.parametrize(("rate", "method"), [(7.0, "linear"), (200.0, "mean")])
def test_a_slow_sine_keeps_its_phase_and_height(rate: float, method: Resampling) -> None:
    time = np.arange(0, 60, 1 / rate)
    axis = even_axis(1.0, 59.0, 30.0 if method == "linear" else 10.0)
    made = onto(np.sin(2 * np.pi * 0.2 * time)[:, None], time, axis, method)[:, 0]
    np.testing.assert_allclose(made, np.sin(2 * np.pi * 0.2 * axis.time), atol=0.01)


def test_averaging_removes_what_would_alias() -> None:
    time = np.arange(0, 20, 1 / 1000)
    axis = even_axis(0.0, 19.9, 10.0)
    # 100 Hz on samples at 10 Hz would be a constant.
    made = onto(np.cos(2 * np.pi * 100 * time)[:, None], time, axis, "mean")
    assert np.nanmax(np.abs(made)) < 1e-3


def test_the_mean_of_a_line_is_its_value_in_the_middle_of_the_bin() -> None:
    rng = np.random.default_rng(0)
    time = np.sort(rng.uniform(0, 10, 400))
    source = read_source(time, 50.0)
    settings_ = DEFAULTS.model_copy(update={"max_gap_periods": 50.0})
    axis = even_axis(1.0, 9.0, 10.0)
    line = da.asarray((3 * time + 2)[:, None])
    made = resample(line, source, axis, "mean", settings_).compute()[:, 0]
    np.testing.assert_allclose(made, 3 * axis.time + 2, rtol=1e-6)


@pytest.mark.parametrize("method", METHODS[1:])
def test_the_same_clock_gives_the_same_samples(method: Resampling) -> None:
    rng = np.random.default_rng(0)
    time = np.cumsum(rng.uniform(0.9, 1.1, 100))
    values = rng.normal(size=(100, 3)).astype(np.float32)
    values[30, 1] = np.nan
    np.testing.assert_array_equal(onto(values, time, stream_axis("s", time, 2.5), method), values)


def test_a_missing_sample_takes_only_its_neighbourhood_along() -> None:
    time = np.arange(10.0)
    values = np.ones((10, 1))
    values[5] = np.nan
    made = onto(values, time, even_axis(0.0, 9.0, 2.0), "linear")[:, 0]
    axis = even_axis(0.0, 9.0, 2.0)
    assert axis.time[np.isnan(made)].tolist() == [4.25, 4.75, 5.25, 5.75]


def test_nearest_and_previous_take_real_values_within_reach() -> None:
    time, values = np.array([0.0, 1.0, 2.0, 3.0]), np.array([[0.0], [10.0], [20.0], [30.0]])
    axis = stream_axis("s", np.array([-0.6, 0.4, 1.4, 2.4, 3.4, 4.4, 5.4, 6.4]), 2.5)
    assert onto(values, time, axis, "nearest")[:6, 0].tolist()[:5] == [0, 0, 10, 20, 30]
    previous = onto(values, time, axis, "previous")[:, 0]
    np.testing.assert_array_equal(previous, [np.nan, 0, 10, 20, 30, 30, 30, np.nan])
    assert np.isnan(onto(values, time, axis, "nearest")[5:]).all()


def test_nothing_is_extrapolated() -> None:
    time = np.arange(10.0, 20.0)
    axis = even_axis(0.0, 30.0, 4.0)
    made = onto(np.ones((10, 1)), time, axis, "linear")[:, 0]
    backed = axis.time[np.isfinite(made)]
    assert (backed.min(), backed.max()) == (10.125, 18.875)


def test_clocks_that_do_not_meet_leave_everything_invalid() -> None:
    axis = even_axis(100.0, 110.0, 10.0)
    for method in METHODS:
        assert np.isnan(onto(np.ones((50, 2)), np.arange(50) / 10, axis, method)).all()


def test_repeated_times_do_not_break_anything() -> None:
    time = np.array([0.0, 1.0, 1.0, 2.0, 3.0])
    values = np.array([[0.0], [1.0], [99.0], [2.0], [3.0]])
    made = onto(values, time, even_axis(0.0, 3.0, 4.0), "linear")[:, 0]
    np.testing.assert_allclose(made, even_axis(0.0, 3.0, 4.0).time, rtol=1e-6)
    made = onto(values, time, even_axis(0.0, 3.0, 0.5), "mean")[:, 0]
    np.testing.assert_allclose(made, [1.0])


@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize("method", METHODS)
def test_hardly_any_samples_make_nothing_up(size: int, method: Resampling) -> None:
    made = onto(np.ones((size, 2)), np.arange(float(size)), even_axis(0.0, 5.0, 3.0), method)
    assert np.isnan(made).all()


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(METHODS),
    st.sampled_from([3.0, 11.0, 40.0]),
    st.integers(0, 3),
    st.integers(0, 2**31),
)
def test_a_stretch_does_not_feel_the_others(
    method: Resampling, rate: float, changed: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    stretch = np.repeat(np.arange(4), 20)
    time = np.arange(80) / 10 + stretch * 2.0
    values = rng.normal(size=(80, 2))
    other = values.copy()
    other[stretch == changed] = rng.normal(size=(20, 2)) * 1e12
    low, high = time[stretch == changed][[0, -1]]
    axis = even_axis(0.0, 14.0, rate)
    before, after = onto(values, time, axis, method), onto(other, time, axis, method)
    # 'nearest' and 'previous' may hold a sample for up to 2.5 periods; a bin may reach in.
    reach = 0.25 if method in ("nearest", "previous") else 0.0
    outside = (axis.high < low - reach) | (axis.low > high + reach)
    np.testing.assert_array_equal(before[outside], after[outside])
    in_gap = np.ones(len(axis.time), bool)
    for n in range(4):
        start, stop = time[stretch == n][[0, -1]]
        in_gap &= (axis.high < start - reach) | (axis.low > stop + reach)
    assert np.isnan(before[in_gap]).all()


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(METHODS), st.integers(1, 200), st.integers(1, 5), st.integers(20, 300))
def test_chunked_equals_whole(method: Resampling, rows: int, columns: int, block: int) -> None:
    rng = np.random.default_rng(0)
    time = np.arange(200) / 20 + (np.arange(200) > 90) * 3.0
    values = rng.normal(size=(200, 5))
    values[rng.random((200, 5)) < 0.1] = np.nan
    source, axis = read_source(time, 2.5), even_axis(0.0, 13.0, 7.0)
    whole = resample(da.asarray(values), source, axis, method, DEFAULTS).compute()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.common.windows.BLOCK_BYTES", block * 8)
        chunked = da.from_array(values, (max(rows, 10), columns))
        made = resample(chunked, source, axis, method, DEFAULTS).compute(scheduler="synchronous")
    np.testing.assert_array_equal(made, whole)


def test_bins_need_enough_of_them_covered() -> None:
    time, values = np.arange(0.0, 1.3, 0.1), np.ones((13, 1))
    low = np.array([0.0, 1.0])
    joined = np.ones(12, bool)
    assert np.isnan(average_bins(values, time, joined, low, low + 1, 0.5))[:, 0].tolist() == [
        False,
        True,
    ]
    assert not np.isnan(average_bins(values, time, joined, low, low + 1, 0.1)).any()


def test_age_is_the_distance_to_the_nearest_valid_sample() -> None:
    source = read_source(np.array([0.0, 1.0, 5.0]), 2.5)
    at = np.array([0.2, 0.9, 3.5, 9.0])
    ages = sample_ages(da.ones(3, dtype=bool), source, at).compute()
    np.testing.assert_allclose(ages, [0.2, 0.1, 1.5, 4])
    some = da.asarray(np.array([[True, False], [False, False], [False, True]]))
    np.testing.assert_allclose(sample_ages(some, source, at).compute(), [0.2, 0.9, 1.5, 4])
    assert np.isinf(sample_ages(da.zeros(3, dtype=bool), source, at).compute()).all()


def test_method_follows_name_kind_and_rates() -> None:
    axis = even_axis(0, 10, 10.0)
    fast, slow = (read_source(np.arange(100) / rate, 2.5) for rate in (50, 10))
    chosen = DEFAULTS.model_copy(update={"by_stream": {"wheel": "nearest"}})
    assert choose_method("x", "motion", False, fast, axis, chosen) == "mean"
    assert choose_method("x", "motion", False, slow, axis, chosen) == "linear"
    assert choose_method("x", "lfp", False, fast, axis, chosen) == "band_limited"
    assert choose_method("x", "signal", True, fast, axis, chosen) == "previous"
    assert choose_method("wheel", "motion", True, fast, axis, chosen) == "nearest"


@pytest.mark.parametrize(("jitter", "error"), [(0.0, 1e-3), (0.05, 1e-2)])
@pytest.mark.parametrize(("hz", "kept"), [(1.0, 1), (2.5, 1), (5.5, 0), (9.0, 0), (23.0, 0)])
def test_a_band_limited_stream_keeps_its_band_and_nothing_else(
    hz: float, kept: int, jitter: float, error: float
) -> None:
    step = 0.004
    time = np.arange(0, 120, step) + np.random.default_rng(0).uniform(-1, 1, 30_000) * jitter * step
    time = time[(time < 50) | (time > 53)]
    axis = even_axis(1.0, 119.0, 10.0)
    made = onto(np.sin(2 * np.pi * hz * time)[:, None], time, axis, "band_limited")[:, 0]
    expected = kept * np.sin(2 * np.pi * hz * axis.time)
    assert np.isnan(made).sum() == 30
    inner = (np.abs(axis.time - 51.5) > 5) & (axis.time > 4) & (axis.time < 116)
    assert np.abs(made - expected)[inner].max() < error


def test_band_limited_upsampling_goes_through_the_samples_and_beats_lines() -> None:
    time = np.arange(400) / 10
    wave = np.sin(2 * np.pi * 3.1 * time)[:, None]
    axis = stream_axis("fast", np.arange(4000) / 100, 2.5)
    truth = np.sin(2 * np.pi * 3.1 * axis.time)
    smooth, lines = (onto(wave, time, axis, m)[:, 0] for m in ("band_limited", "linear"))
    np.testing.assert_allclose(smooth[:-10:10], wave[:-1, 0], atol=1e-6)
    middle = slice(400, -400)
    assert np.abs(smooth - truth)[middle].max() < 2e-3
    assert np.abs(lines - truth)[middle].max() > 0.3
