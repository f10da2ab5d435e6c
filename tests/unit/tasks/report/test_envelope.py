"""What is left out of a drawn trace or matrix, and what must not be."""

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tasks.report import envelope
from tasks.report.envelope import (
    average_bins,
    bin_edges,
    draw_envelope,
    envelope_samples,
    scale_rows,
    spread_rows,
)

SERIES = hnp.arrays(
    np.float32,
    st.integers(0, 200),
    elements=st.one_of(st.just(np.nan), st.floats(-100, 100, width=32)),
)


@given(SERIES, st.integers(2, 30))
def test_keeps_the_extremes_of_every_bin_and_every_gap(values_T: np.ndarray, per_bin: int) -> None:
    kept = envelope_samples(values_T, per_bin)
    assert np.all(np.diff(kept) > 0)
    for start in range(0, len(values_T), per_bin):
        here_T = values_T[start : start + per_bin]
        drawn = values_T[kept[(kept >= start) & (kept < start + per_bin)]]
        assert len(drawn) <= 3
        assert np.isnan(drawn).any() == np.isnan(here_T).any()
        if np.isfinite(here_T).any():
            assert np.nanmin(drawn) == np.nanmin(here_T)
            assert np.nanmax(drawn) == np.nanmax(here_T)


def test_a_single_spike_survives_any_reduction() -> None:
    values = np.zeros(100_000, np.float32)
    values[77_777] = 5
    trace = draw_envelope(np.arange(100_000) / 1000, xr.DataArray(values, dims="time"), 200)
    assert trace.reduced
    assert len(trace.value) <= 200
    assert trace.value.max() == 5
    assert trace.time[trace.value.argmax()] == pytest.approx(77.777)


def test_short_series_are_drawn_in_full() -> None:
    values = xr.DataArray(np.arange(50.0), dims="time")
    trace = draw_envelope(np.arange(50.0), values, 100)
    assert not trace.reduced
    np.testing.assert_array_equal(trace.value, np.arange(50.0))


def test_reading_in_blocks_gives_the_same_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal(10_007).astype(np.float32)
    values[3000:3500] = np.nan
    time_T = np.arange(10_007.0)
    whole = draw_envelope(time_T, xr.DataArray(values, dims="time"), 300)
    monkeypatch.setattr(envelope, "BLOCK", 512)
    lazy = xr.DataArray(da.from_array(values, chunks=1000), dims="time")
    parts = draw_envelope(time_T, lazy, 300)
    np.testing.assert_array_equal(whole.value, parts.value)
    np.testing.assert_array_equal(whole.time, parts.time)


def test_lines_break_at_gaps_in_time() -> None:
    time_T = np.r_[np.arange(10.0), 50 + np.arange(10.0)]
    trace = draw_envelope(time_T, xr.DataArray(np.ones(20), dims="time"), 100)
    assert np.isnan(trace.value).sum() == 1
    assert trace.time[np.isnan(trace.value)] == 9


def test_nothing_to_draw() -> None:
    trace = draw_envelope(np.empty(0), xr.DataArray(np.empty(0), dims="time"), 100)
    assert len(trace.time) == 0


@settings(max_examples=30)
@given(st.integers(1, 120), st.integers(1, 7), st.integers(2, 40))
def test_bins_hold_the_mean_of_their_valid_samples(samples: int, units: int, columns: int) -> None:
    rng = np.random.default_rng(samples)
    values_TN = rng.standard_normal((samples, units))
    values_TN[rng.random((samples, units)) < 0.2] = np.nan
    time_T = np.sort(rng.uniform(0, 50, samples)) + np.arange(samples) * 1e-6
    image = average_bins(time_T, xr.DataArray(values_TN, dims=("time", "unit")), columns, 100)
    edges = image.start + image.seconds * np.arange(image.mean_RB.shape[1] + 1)
    bin_T = np.clip(np.searchsorted(edges, time_T, side="right") - 1, 0, len(edges) - 2)
    for unit in range(units):
        for column in range(len(edges) - 1):
            own = values_TN[bin_T == column, unit]
            own = own[np.isfinite(own)]
            expected = own.mean() if own.size else np.nan
            assert image.mean_RB[unit, column] == pytest.approx(expected, abs=1e-5, nan_ok=True)


def test_an_even_axis_has_a_column_a_sample() -> None:
    assert len(bin_edges(np.arange(100) / 10, 900)) == 101
    assert len(bin_edges(np.arange(100) / 10, 50)) == 51
    assert len(bin_edges(np.array([3.0]), 50)) == 2
    assert len(bin_edges(np.empty(0), 50)) == 2


def test_rows_are_spread_over_all_units() -> None:
    np.testing.assert_array_equal(spread_rows(5, 10), np.arange(5))
    rows = spread_rows(1000, 10)
    assert (rows[0], rows[-1], len(rows)) == (0, 999, 10)


def test_scaling_keeps_gaps_and_does_not_divide_by_zero() -> None:
    scaled = scale_rows(np.array([[0.0, 1, 2, np.nan], [3, 3, 3, 3], [np.nan] * 4]))
    assert np.nanmin(scaled[0]) == 0
    assert np.nanmax(scaled[0]) == 100
    assert np.isnan(scaled[0, 3])
    assert (scaled[1] == 0).all()
    assert np.isnan(scaled[2]).all()
