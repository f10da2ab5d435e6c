"""The running baseline against numpy.percentile and numpy.interp, window by window."""

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from schemas.settings.clean_neural import CalciumCleaning
from tasks.preprocess.baseline import (
    find_levels,
    percentile_of,
    place_knots,
    remove_baseline,
    subtract_baseline,
)
from tasks.preprocess.clock import Clock


def plain_baseline(
    rows_NT: NDArray[np.float64], runs: list[slice], window: int, percentile: float
) -> NDArray[np.float64]:
    """Return the definition: percentiles of windows that overlap by half, joined by lines."""
    baseline = np.empty(rows_NT.shape)
    for run in runs:
        length = run.stop - run.start
        size = min(window, length)
        count = 1 if size == length else 1 + -(-2 * (length - size) // size)
        starts = np.round(np.linspace(0, length - size, count)).astype(int)
        for row_T, made_T in zip(rows_NT[:, run], baseline[:, run], strict=True):
            levels = [np.percentile(row_T[s : s + size], percentile) for s in starts]
            made_T[:] = np.interp(np.arange(length), starts + (size - 1) / 2, levels)
    return baseline


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    window=st.integers(1, 12),
    percentile=st.floats(0, 50),
    rows=st.integers(1, 50),
)
def test_baseline_is_percentiles_joined_by_lines(
    lengths: list[int], window: int, percentile: float, rows: int
) -> None:
    size = sum(lengths)
    values = np.random.default_rng(size).normal(10, 1, (size, 3))
    time = np.arange(size) + np.repeat(np.arange(len(lengths)), lengths) * 100.0
    clock = Clock(xr.Dataset(coords={"time": time}), 2.5)
    chosen = CalciumCleaning(baseline_window_s=window, baseline_percentile=percentile)
    knots = place_knots(clock, chosen)
    levels = find_levels(values.T, knots, percentile)
    left = remove_baseline(da.from_array(values, (rows, 2)), levels, knots, divide=True)
    runs = [slice(start, stop) for start, stop in clock.runs.tolist()]
    expected = plain_baseline(values.T, runs, max(clock.frames(window), 1), percentile).T
    np.testing.assert_allclose(left.compute(), (values - expected) / expected, atol=1e-12)


@pytest.mark.parametrize("percentile", [0.0, 8.0, 50.0, 100.0])
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_percentile_is_numpys(percentile: float, size: int) -> None:
    rows = np.random.default_rng(size).normal(size=(3, size)).astype(np.float32)
    expected = np.percentile(rows.astype(np.float64), percentile, axis=1)
    np.testing.assert_allclose(percentile_of(rows, percentile), expected, rtol=1e-15)


def test_percentile_is_of_the_finite_values() -> None:
    rows = np.array([[3.0, np.nan, 1.0, np.inf], [np.nan] * 4])
    np.testing.assert_array_equal(percentile_of(rows, 50.0), [2.0, np.nan])


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("divide", [True, False])
def test_baseline_is_the_same_in_whatever_order_samples_lie(kind: type, divide: bool) -> None:
    time = np.concatenate([np.arange(300.0), 1_000.0 + np.arange(50.0)])
    knots = place_knots(Clock(xr.Dataset(coords={"time": time}), 2.5), CalciumCleaning())
    rows = np.random.default_rng(0).normal(1, 1, (5, len(time))).astype(kind)
    levels = find_levels(rows, knots, 8.0)
    expected = remove_baseline(da.from_array(rows.T.copy()), levels, knots, divide=divide)
    subtract_baseline(rows.T, 0, levels, knots, rows.T, divide=divide)
    np.testing.assert_array_equal(rows.T, expected.compute())
