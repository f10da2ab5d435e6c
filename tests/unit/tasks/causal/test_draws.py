"""Random libraries: of the size asked for, uniform, independent, and the same every time."""

import numpy as np

from tasks.causal.draws import LibraryDraws


def test_random_streams_are_independent_and_repeat():
    draws = LibraryDraws((50, 50), seed=4)
    rows = np.arange(1000, dtype=np.int32)
    first = draws.members(0, 0, rows)
    np.testing.assert_array_equal(first, draws.members(0, 0, rows))
    assert len(np.unique(first)) == 50
    for library, draw in ((0, 1), (1, 0)):
        assert len(np.intersect1d(first, draws.members(library, draw, rows))) < 15


def test_every_candidate_is_as_likely_and_none_is_taken_twice():
    rows = np.arange(3, 203, 2)
    draws = LibraryDraws((7, 60, 100, 500) * 500, seed=5)
    taken = np.array([np.isin(rows, draws.members(2, d, rows)) for d in range(len(draws.sizes))])
    for k, size in enumerate((7, 60, 100, 100)):
        mine = taken[k::4]
        assert (mine.sum(1) == size).all()
        expected = size / 100
        spread = np.sqrt(500 * expected * (1 - expected))
        assert (np.abs(mine.sum(0) - 500 * expected) <= 4.5 * spread).all()
        pairs = mine[:, :-1] & mine[:, 1:]
        assert abs(pairs.mean() - expected * (size - 1) / 99) < 0.01


def test_words_hold_all_candidates_then_each_draw_and_no_other_row():
    rows = np.array([4, 5, 9, 70, 71])
    draws = LibraryDraws((2,) * 70, seed=1)
    word_WP = draws.words(0, rows, 80)
    assert word_WP.shape == (2, 80)
    bit_DP = (word_WP[:, None] >> np.arange(64, dtype=np.uint64)[:, None] & np.uint64(1)).reshape(
        128, 80
    )
    np.testing.assert_array_equal(np.flatnonzero(bit_DP[0]), rows)
    for d in range(70):
        np.testing.assert_array_equal(np.flatnonzero(bit_DP[1 + d]), draws.members(0, d, rows))
    assert not bit_DP[71:].any()


def test_draws_do_not_depend_on_how_libraries_are_divided():
    rows = np.arange(50)
    whole, rest = LibraryDraws((9, 20), seed=3), LibraryDraws((9, 20), seed=3, first=5)
    np.testing.assert_array_equal(whole.words(6, rows, 50), rest.words(1, rows, 50))
