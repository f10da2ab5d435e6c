"""Medians and percentiles are those of NumPy, whatever the type, the gaps and what is missing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.preprocess.order_kernels import median_absolute_step, values_at


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 300), st.sampled_from(["f4", "f8"]))
def test_the_median_step_is_that_of_numpy(seed: int, size: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((5, size)).astype(kind)
    rows[1] = rng.integers(0, 3, size)
    rows[2] *= 10.0 ** rng.integers(-30, 30, size)
    rows[3, rng.random(size) < 0.3] = rng.choice([np.nan, np.inf, -np.inf])
    rows[4] = np.nan
    starts = np.unique(rng.integers(1, size, 3)) if size > 1 else np.zeros(0, np.int64)
    with np.errstate(invalid="ignore"):
        steps = np.delete(np.abs(np.diff(rows, axis=1)), starts - 1, axis=1)
    finite = [step[np.isfinite(step)].astype(np.float64) for step in steps]
    expected = [np.percentile(step, 50.0) if step.size else np.nan for step in finite]
    np.testing.assert_array_equal(median_absolute_step(rows, starts), expected)


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_the_largest_and_smallest_steps_have_a_place(kind: str) -> None:
    largest, least = np.finfo(kind).max, np.finfo(kind).smallest_subnormal
    rows = np.array([[0, largest, 0, largest], [0, least, 0, least]], kind)
    made = median_absolute_step(rows, np.zeros(0, np.int64))
    np.testing.assert_array_equal(made, [largest, least])


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**31),
    st.integers(1, 300),
    st.floats(0, 100),
    st.sampled_from(["f4", "f8"]),
)
def test_percentiles_are_those_of_numpy(seed: int, size: int, percentile: float, kind: str) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((6, size)).astype(kind)
    rows[1] = rng.integers(0, 3, size)
    rows[2] *= 10.0 ** rng.integers(-30, 30, size)
    rows[3, 0] = np.finfo(kind).max
    rows[4, : size // 2] = -np.finfo(kind).max
    rows[4, size // 2 :] = np.finfo(kind).max
    rows[5] = np.finfo(kind).smallest_subnormal * rng.integers(0, 3, size)
    low = int((size - 1) * percentile / 100)
    high = min(low + 1, size - 1)
    made = np.empty((2, len(rows)))
    values_at(rows, low, high, made)
    np.testing.assert_array_equal(made, np.sort(rows, axis=1)[:, [low, high]].T)
