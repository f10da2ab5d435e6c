"""Splits by time: parts disjoint and in order, a guard on both sides of each, nothing shuffled."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import RecordingTooShortError
from schemas.settings.split import SplitSettings
from tasks.common.segments import true_runs
from tasks.common.splits import TimeSplit, keep_segments, split_by_time

PARTS = ("train", "validation", "test")


@st.composite
def sample_times(draw):
    """Ascending seconds with gaps and repeated stamps."""
    steps = draw(st.lists(st.sampled_from([0.0, 0.1, 0.1, 0.1, 3.0]), min_size=60, max_size=400))
    return np.cumsum(steps)


splits = st.builds(
    SplitSettings,
    validation=st.sampled_from([0.0, 0.1, 0.15, 0.3]),
    test=st.sampled_from([0.1, 0.2, 0.35]),
    guard_s=st.sampled_from([0.0, 0.25, 0.5]),
    blocks=st.integers(1, 6),
)


def stretches(split: TimeSplit) -> list[tuple[int, int, str]]:
    """First and last sample and name of each stretch of each part, in order."""
    found = [(r.start, r.stop - 1, name) for name in PARTS for r in true_runs(getattr(split, name))]
    return sorted(found)


@given(sample_times(), splits)
def test_each_block_has_every_part_in_order_with_guards_on_both_sides(time, settings):
    try:
        split = split_by_time(time, settings)
    except RecordingTooShortError:
        return
    assert (split.train.astype(int) + split.validation + split.test).max() == 1
    found = stretches(split)
    wanted = [name for name in PARTS if name != "validation" or settings.validation > 0]
    assert [name for *_, name in found] == wanted * settings.blocks
    for (_, last, _), (first, _, _) in pairwise(found):
        assert time[first] >= time[last] + settings.guard_s
    ends = [last for _, last, name in found if name == "test"]
    assert ends == [
        round(len(time) * block / settings.blocks) - 1 for block in range(1, settings.blocks + 1)
    ]


@given(sample_times(), splits)
def test_what_may_be_fitted_is_the_guards_distance_from_every_test_sample(time, settings):
    try:
        split = split_by_time(time, settings)
    except RecordingTooShortError:
        return
    fitting = split.fitting
    assert fitting[split.train | split.validation].all()
    far = np.abs(time[fitting][:, None] - time[split.test])
    between = np.subtract.outer(np.flatnonzero(fitting), np.flatnonzero(split.test))
    assert far.min() >= settings.guard_s
    assert (between != 0).all()
    if settings.blocks == 1:
        last = np.flatnonzero(split.train | split.validation)[-1]
        np.testing.assert_array_equal(fitting, np.arange(len(time)) <= last)


def test_one_block_is_training_then_validation_then_test():
    split = split_by_time(np.arange(100.0), SplitSettings(guard_s=2.0))
    assert stretches(split) == [(0, 64, "train"), (66, 79, "validation"), (81, 99, "test")]
    assert split.ranges(np.arange(100.0)) == {
        "train": [[0.0, 64.0]],
        "validation": [[66.0, 79.0]],
        "test": [[81.0, 99.0]],
    }


def test_the_lineage_names_all_stretches_of_each_part():
    time = np.arange(100.0)
    split = split_by_time(time, SplitSettings(guard_s=2.0, blocks=2))
    assert split.ranges(time) == {
        "train": [[0.0, 31.0], [51.0, 81.0]],
        "validation": [[33.0, 39.0], [83.0, 89.0]],
        "test": [[41.0, 49.0], [91.0, 99.0]],
    }


def test_too_many_blocks_say_what_is_missing():
    with pytest.raises(RecordingTooShortError, match="no validation part in each of 20 blocks"):
        split_by_time(np.arange(100.0), SplitSettings(guard_s=2.0, blocks=20))


def test_segments_end_where_samples_were_left_out():
    segment = np.array([0, 0, 0, 0, 1, 1, -1, 2, 2], np.int32)
    kept = np.array([1, 0, 0, 1, 1, 1, 1, 0, 1], bool)
    np.testing.assert_array_equal(keep_segments(segment, kept), [0, 1, 2, 2, -1, 4])
    whole = keep_segments(segment, np.ones(9, bool))
    np.testing.assert_array_equal(whole, segment)
    assert whole.dtype == segment.dtype
