"""Reading aligned trees; runs, windows and splits that never cross a gap."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import NothingToDoError, RecordingTooShortError
from schemas.settings.lnm import LnmSettings
from schemas.settings.split import SplitSettings
from tasks.lnm.data.reading import read_recording
from tasks.lnm.data.recording import fit_scaler, keep_behaviour, usable_columns
from tasks.lnm.data.runs import (
    choose_window,
    cut_folds,
    cut_windows,
    find_runs,
    part_of_each_sample,
    split_with_guard,
)


def test_reads_units_before_channels_with_nan_where_invalid(make_aligned):
    activity = np.random.default_rng(0).standard_normal((40, 3))
    activity[5, 1] = np.nan
    recording = read_recording(make_aligned(activity, np.ones((40, 2))))
    assert recording.columns.names == (
        "calcium/n0",
        "calcium/n1",
        "calcium/n2",
        "running/b0",
        "running/b1",
    )
    assert recording.columns.neural.tolist() == [True] * 3 + [False] * 2
    assert recording.columns.targets == ("calcium",) * 3 + ("running/b0", "running/b1")
    assert np.isnan(recording.values_TV[5, 1])
    assert np.isnan(recording.values_TV).sum() == 1


def test_refuses_a_session_without_columns(make_aligned):
    tree = make_aligned(np.ones((20, 1)))
    del tree["calcium"]
    with pytest.raises(NothingToDoError, match="neither neurons nor behaviour"):
        read_recording(tree)


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    window=st.integers(1, 12),
    stride=st.integers(1, 12),
)
def test_windows_never_cross_segments_and_cover_all_samples(lengths, window, stride):
    segment_T = np.repeat(np.arange(len(lengths)), lengths)
    stride = min(stride, window)
    covered = np.zeros(len(segment_T), bool)
    for start, length in cut_windows(find_runs(segment_T), window, stride):
        assert 1 <= length <= window
        assert len(set(segment_T[start : start + length])) == 1
        covered[start : start + length] = True
    assert covered.all()


def test_runs_end_at_parts_and_leave_out_samples_outside_any_segment():
    segment_T = np.array([0, 0, 0, -1, 1, 1, 1, 1])
    part_T = np.array([0, 0, 1, 1, 1, -1, 2, 2])
    assert find_runs(segment_T) == [(0, 3), (4, 8)]
    assert find_runs(segment_T, part_T) == [(0, 2), (2, 3), (4, 5), (6, 8)]


@pytest.mark.parametrize(
    ("lengths", "window"), [([10_000], 64), ([1061], 64), ([49] * 128, 48), ([300], 18)]
)
def test_window_adapts_to_segments_and_recording(lengths, window):
    segment_T = np.repeat(np.arange(len(lengths)), lengths)
    assert choose_window(segment_T, LnmSettings()) == window


@pytest.mark.parametrize("lengths", [[100], [6] * 500, [0]])
def test_too_little_for_a_window_is_said(lengths):
    with pytest.raises(RecordingTooShortError, match="no window"):
        choose_window(np.repeat(np.arange(len(lengths)), lengths), LnmSettings())


def test_guard_is_at_least_a_window(product_session):
    split = split_with_guard(product_session, SplitSettings(guard_s=0.0), 32)
    part_T = part_of_each_sample(split)
    first, last = np.flatnonzero(part_T == 1)[[0, -1]]
    assert first - np.flatnonzero(part_T == 0)[-1] >= 32
    assert np.flatnonzero(part_T == 2)[0] - last >= 32


@given(st.integers(1, 8), st.integers(2, 7), st.integers(60, 400))
def test_folds_follow_time_and_end_where_a_block_does(blocks, folds, samples):
    own = np.repeat([0, -1, 1, -1, 2, -1], [samples, 3, samples // 4, 3, samples // 3, 3])
    part_T = np.tile(own, blocks)[:-3]
    fold_T = cut_folds(part_T, folds)
    np.testing.assert_array_equal(fold_T >= 0, part_T == 0)
    of_training = fold_T[part_T == 0]
    assert set(of_training) == set(range(folds))
    assert (np.diff(of_training) >= 0).all()
    block = np.repeat(np.arange(blocks), samples)
    joined = len(set(zip(block.tolist(), of_training.tolist(), strict=True)))
    # Folds and blocks that are cut at the same places as often as can be.
    assert joined == max(blocks, folds)
    if blocks == 1:
        even = np.arange(samples) * folds // samples
        np.testing.assert_array_equal(of_training, even)


def test_scaler_and_usable_columns_look_at_training_alone(product_session):
    train = np.arange(2400) < 1000
    values_TV = product_session.values_TV.copy()
    values_TV[:1000, 2] = 7.0
    values_TV[1000:] *= 100
    changed = type(product_session)(
        values_TV,
        product_session.time_T,
        product_session.segment_T,
        10.0,
        product_session.columns,
    )
    assert 2 not in usable_columns(changed, train)
    before = fit_scaler(product_session, train)
    after = fit_scaler(changed, train)
    kept = np.arange(10) != 2
    np.testing.assert_array_equal(before.mean_V[kept], after.mean_V[kept])
    np.testing.assert_array_equal(before.sd_V[kept], after.sd_V[kept])


def test_nothing_varies():
    constant = np.ones((20, 2), np.float32)
    recording = type("Held", (), {"values_TV": constant})()
    with pytest.raises(NothingToDoError, match="none of 2 columns varies"):
        usable_columns(recording, np.ones(20, bool))


def test_the_span_is_that_of_behaviour(product_session):
    values_TV = product_session.values_TV.copy()
    values_TV[1500:, 8:] = np.nan
    values_TV[:100, 8:] = np.nan
    values_TV[700, 8:] = np.nan
    kept = keep_behaviour(replace(product_session, values_TV=values_TV))
    np.testing.assert_array_equal(kept.time_T, product_session.time_T[100:1500])
    np.testing.assert_array_equal(kept.values_TV, values_TV[100:1500])
    neurons = product_session.take(np.arange(8))
    assert keep_behaviour(neurons) is neurons
