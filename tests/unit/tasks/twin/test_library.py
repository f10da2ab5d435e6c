"""The library of training states keeps to gapless stretches and to the training part."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import RecordingTooShortError
from tasks.twin.library import build_library, run_lengths
from tasks.twin.network import Edge, Network

NETWORK = Network(("b", "n"), ("b",), (Edge("n", "b", 0.9), Edge("b", "n", 0.5)))


def _library(values_TN, segment_T, train_T, delay=2, most=10_000):
    return build_library(
        values_TN, segment_T, train_T, NETWORK, {"b": 3, "n": 2}, 2, delay, 0.1, most
    )


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(-1, 3)), min_size=1, max_size=40))
def test_run_lengths_agree_with_counting_by_hand(samples):
    good_T = np.array([good for good, _ in samples])
    segment_T = np.sort(np.array([segment for _, segment in samples]))
    expected, count = [], 0
    for at in range(len(samples)):
        starts_anew = at == 0 or segment_T[at] != segment_T[at - 1]
        count = (0 if starts_anew else count) + 1
        count = count if good_T[at] and segment_T[at] >= 0 else 0
        expected.append(count)
    assert run_lengths(good_T, segment_T).tolist() == expected


def test_no_state_crosses_a_gap_or_leaves_training():
    length = 300
    values_TN = np.random.default_rng(0).standard_normal((length, 2))
    values_TN[40, 1] = np.nan
    segment_T = np.repeat([0, 1, 2], 100)
    train_T = np.arange(length) < 250
    library = _library(values_TN, segment_T, train_T)
    assert library.depth == 5
    for row in library.rows_L:
        span = np.arange(row - 4, row + 2)
        assert len(set(segment_T[span])) == 1
        assert train_T[span].all()
        assert np.isfinite(values_TN[span]).all()
    allowed = sum(100 - 5 for _ in range(2)) + (50 - 5) - 6
    assert len(library.rows_L) == allowed


def test_columns_hold_the_delays_they_claim():
    values_TN = np.random.default_rng(1).standard_normal((200, 2))
    library = _library(values_TN, np.zeros(200, int), np.ones(200, bool))
    for column, node, lag in zip(library.columns_CL, library.node_C, library.lag_C, strict=True):
        np.testing.assert_array_equal(column, values_TN[library.rows_L - lag, node])
    np.testing.assert_array_equal(library.next_NL, values_TN[library.rows_L + 1].T)
    used = library.coordinates[library.first_N1[0] : library.first_N1[1]]
    state = {(int(library.node_C[c]), int(library.lag_C[c])) for c in used}
    assert state == {(0, 0), (0, 2), (0, 4), (1, 0), (1, 2)}


def test_a_long_library_is_thinned_evenly():
    values_TN = np.random.default_rng(2).standard_normal((500, 2))
    library = _library(values_TN, np.zeros(500, int), np.ones(500, bool), most=100)
    assert len(library.rows_L) <= 100
    assert len(set(np.diff(library.rows_L))) == 1


def test_says_how_many_states_are_missing():
    values_TN = np.random.default_rng(3).standard_normal((60, 2))
    with pytest.raises(RecordingTooShortError, match="Only 10 training states"):
        _library(values_TN, np.repeat(np.arange(10), 6), np.ones(60, bool))
