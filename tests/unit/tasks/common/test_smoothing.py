"""Smoothing of counts: borders, missing samples, causality."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from tasks.common.smoothing import smooth_within_runs


def test_far_from_borders_it_is_scipys_gaussian() -> None:
    values = np.random.default_rng(0).poisson(3.0, (200, 2)).astype(float)
    smooth = smooth_within_runs(values, np.zeros(200, int), 2.5)
    np.testing.assert_allclose(smooth[20:-20], gaussian_filter1d(values, 2.5, axis=0)[20:-20])


@pytest.mark.parametrize("causal", [False, True])
def test_a_constant_stays_constant_and_unknown_stays_unknown(causal: bool) -> None:
    values = np.full((30, 2), 3.0)
    values[4, 0] = values[10, 1] = np.nan
    border = np.repeat([0, -1, 1], 10)
    smooth = smooth_within_runs(values, border, 2.0, causal=causal)
    known = np.isfinite(values) & (border >= 0)[:, None]
    np.testing.assert_allclose(smooth[known], 3.0)
    assert np.isnan(smooth[~known]).all()


@given(
    border=st.lists(st.integers(-1, 2), min_size=20, max_size=20),
    at=st.integers(0, 19),
    causal=st.booleans(),
)
def test_no_value_passes_a_border(border: list[int], at: int, causal: bool) -> None:
    label = np.array(border)
    run = np.cumsum(np.diff(label, prepend=label[0]) != 0)
    before = np.random.default_rng(1).random(20)
    after = before.copy()
    after[at] += 1.0
    moved = np.flatnonzero(
        smooth_within_runs(before, label, 1.5, causal=causal)
        - smooth_within_runs(after, label, 1.5, causal=causal)
    )
    touched = moved[label[moved] >= 0]
    assert (run[touched] == run[at]).all()
    if causal:
        assert (touched >= at).all()


def test_no_smoothing_returns_the_values() -> None:
    values = np.arange(5.0)
    assert smooth_within_runs(values, np.zeros(5, int), 0.0) is values
