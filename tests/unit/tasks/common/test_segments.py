"""Gaps of a time axis."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.common.segments import find_gaps, sample_period, split_runs, true_runs


def test_a_gap_starts_a_new_segment_and_jitter_does_not() -> None:
    time = np.array([0.0, 1.0, 2.1, 4.3, 5.3, 5.3, 6.3, 9.0, 10.0])
    assert find_gaps(time, 2.5).tolist() == [0, 0, 0, 0, 0, 0, 0, 1, 1]


def test_a_step_of_exactly_the_limit_is_no_gap() -> None:
    time = np.array([0.0, 0.1, 0.2, 0.3, 0.55, 0.65])
    assert find_gaps(time, 2.5).max() == 0


def test_a_step_backwards_starts_a_new_segment() -> None:
    assert find_gaps(np.array([0.0, 1.0, 2.0, 0.5, 1.5]), 2.5).tolist() == [0, 0, 0, 1, 1]


def test_short_axes_have_no_gaps() -> None:
    assert find_gaps(np.zeros(0), 2.5).tolist() == []
    assert find_gaps(np.array([3.0]), 2.5).tolist() == [0]
    assert np.isnan(sample_period(np.array([3.0, 3.0])))


@given(st.lists(st.booleans(), max_size=30))
def test_runs_cover_exactly_the_true_samples(flags: list[bool]) -> None:
    mask = np.array(flags, bool)
    covered = np.zeros(len(mask), bool)
    for run in true_runs(mask):
        assert mask[run].all()
        covered[run] = True
    assert (covered == mask).all()
    assert sum(run.stop - run.start for run in split_runs(mask)) == len(mask)


def test_runs_end_at_a_change_of_segment() -> None:
    runs = true_runs(np.array([True, True, True, False]), np.array([0, 0, 1, 1]))
    assert runs == [slice(0, 2), slice(2, 3)]
