"""Shuffled windows: real rows, every place reachable, each stretch read once, no gap crossed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.common import window_reads
from tasks.common.window_reads import shuffled_windows


class Counted:
    """An array that counts the rows that are read."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.shape, self.dtype, self.rows = values, values.shape, values.dtype, 0

    def __getitem__(self, rows: slice) -> np.ndarray:
        self.rows += rows.stop - rows.start
        return self.values[rows]


@given(st.integers(1, 30), st.integers(1, 50), st.integers(0, 100), st.integers(0, 2**31))
def test_windows_are_rows_of_one_run(length: int, chunk: int, buffer: int, seed: int) -> None:
    values = np.arange(600).reshape(300, 2)
    runs = [(0, 90), (100, 101), (101, 300)]
    stored = Counted(values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(window_reads, "STRETCH_BYTES", 16 * 64)
        made = list(
            shuffled_windows(
                stored, length, np.random.default_rng(seed), chunk_rows=chunk, runs=runs,
                buffer=buffer,
            )
        )  # fmt: skip
    assert made
    for first, window in made:
        np.testing.assert_array_equal(window, values[first : first + length])
        assert any(a <= first and first + length <= b for a, b in runs)


def test_one_pass_reads_each_stretch_once_and_reaches_everywhere() -> None:
    stored = Counted(np.zeros((20_000, 4), np.float32))
    rng = np.random.default_rng(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(window_reads, "STRETCH_BYTES", 16 * 1000)
        firsts = np.array([f for f, _ in shuffled_windows(stored, 50, rng, chunk_rows=100)])
    assert stored.rows < 1.1 * 20_000
    assert 760 <= len(firsts) <= 880
    assert np.histogram(firsts, 20, (0, 20_000))[0].min() > 5
    # Mixed: neighbours in time are no neighbours in order.
    assert np.median(np.abs(np.diff(firsts))) > 1000
