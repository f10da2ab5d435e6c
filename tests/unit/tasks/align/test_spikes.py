"""Spike counts in bins."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.align.clock import Axis, rate_axis, stream_axis
from tasks.align.spike_kernel import count_in_bins
from tasks.align.spikes import count_spikes as count_lazily
from tasks.align.spikes import covered_bins, touched_bins

Factory = Callable[..., xr.Dataset]


def count_spikes(stream: xr.Dataset, axis: Axis) -> tuple[np.ndarray, np.ndarray]:
    counts, valid = count_lazily(stream, axis)
    return counts.compute(scheduler="synchronous"), valid


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([1.0, 10.0, 33.3]))
def test_every_spike_inside_a_bin_is_counted_once(seed: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    trains = [np.sort(rng.uniform(0, 20, n)) for n in (0, 3, 200)]
    stream = xr.Dataset(
        {
            "spike_time": ("spike", np.concatenate(trains)),
            "unit_index": ("spike", np.repeat([0, 1, 2], [0, 3, 200])),
            "keep": ("unit", np.array([True, False, True])),
        },
        {"unit": ["a", "b", "c"]},
    )
    axis = rate_axis(np.array([[1.0, 8.0], [12.0, 19.0]]), rate)
    counts, valid = count_spikes(stream, axis)
    assert counts.shape == (len(axis.time), 2)
    inside = [((axis.low <= t) & (t < axis.high)).any() for t in trains[2]]
    assert counts[:, 1].sum() == counts[valid, 1].sum() == sum(inside)
    assert counts[:, 0].sum() == 0


def test_bins_outside_the_observed_intervals_are_not_valid(make_spikes: Factory) -> None:
    stream = make_spikes([np.array([0.05, 0.15, 0.95]), np.array([0.5])]).assign(
        observed_start=("observation", [0.0, 0.3, 0.0]),
        observed_stop=("observation", [0.3, 0.8, 0.4]),
        observed_unit=("observation", [0, 0, 1]),
    )
    counts, valid = count_spikes(stream, rate_axis(np.array([[0.0, 1.0]]), 10.0))
    assert valid[:, 0].tolist() == [True] * 8 + [False] * 2
    assert valid[:, 1].tolist() == [True] * 4 + [False] * 6
    assert counts[:, 0].tolist() == [1, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    assert counts[:, 1].sum() == 0


def test_without_observed_intervals_the_spikes_tell(make_spikes: Factory) -> None:
    axis = stream_axis("calcium", np.arange(10.0), 2.5)
    _, valid = count_spikes(make_spikes([np.array([2.1, 5.9])]), axis)
    assert np.flatnonzero(valid).tolist() == [2, 3, 4, 5, 6]


def test_covered_and_touched_bins() -> None:
    axis = rate_axis(np.array([[0.0, 1.0]]), 10.0)
    spans = np.array([[0.25, 0.5], [0.5, 0.72], [np.nan, 1.0]])
    assert np.flatnonzero(covered_bins(axis, spans)).tolist() == [3, 4, 5, 6]
    assert np.flatnonzero(touched_bins(axis, spans)).tolist() == [2, 3, 4, 5, 6, 7]
    assert not touched_bins(axis, np.zeros((0, 2))).any()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 40))
def test_blocks_of_bins_and_the_order_of_spikes_make_no_difference(seed: int, block: int) -> None:
    rng = np.random.default_rng(seed)
    time, unit = rng.uniform(0, 20, 300), rng.integers(0, 4, 300)
    time[::37] = np.nan
    stream = xr.Dataset(
        {
            "spike_time": ("spike", time),
            "unit_index": ("spike", unit),
            "keep": ("unit", np.array([True, False, True, True])),
        },
        {"unit": list("abcd")},
    )
    axis = rate_axis(np.array([[1.0, 8.0], [12.0, 19.0]]), 5.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.align.spikes.MOST_BINS", block)
        counts, _ = count_spikes(stream, axis)
    expected = [
        [((time[unit == n] >= a) & (time[unit == n] < b)).sum() for n in (0, 2, 3)]
        for a, b in zip(axis.low, axis.high, strict=True)
    ]
    np.testing.assert_array_equal(counts, expected)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 40), st.sampled_from([0.0, 0.3, 3.0]), st.booleans())
def test_counts_are_those_of_every_bin_by_itself(
    seed: int, bins: int, wander: float, gaps: bool
) -> None:
    rng = np.random.default_rng(seed)
    low = np.arange(bins) / 10 + wander * np.cumsum(rng.uniform(0, 1, bins))
    high = np.append(low[1:], low[-1] + 0.1)
    if gaps:
        high -= (high - low) * rng.uniform(0, 0.8, bins)
    trains = [np.sort(rng.choice([*low, *high, *rng.uniform(-1, 6, 50)], 60)) for _ in range(19)]
    trains[3][-2:] = np.nan
    ends = np.cumsum([len(train) for train in trains])
    valid = rng.random((bins, 19)) < 0.8
    made = np.empty((bins, 19), np.int32)
    time = np.concatenate(trains)
    for known in (valid, valid[:, :1]):
        count_in_bins(time, np.append(0, ends[:-1]), ends, low, high, known, made)
        inside = [((low[:, None] <= t) & (t < high[:, None])).sum(1) for t in trains]
        np.testing.assert_array_equal(made, np.where(known, np.stack(inside, axis=1), 0))
