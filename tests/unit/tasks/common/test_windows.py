"""Windowed arithmetic: the same numbers however the stored array is chunked."""

from functools import partial

import dask.array as da
import numpy as np
import pytest

from tasks.common import windows
from tasks.common.windows import Window, block_starts, map_windows, whole_time


def sum_of_three(block: np.ndarray, size: int) -> np.ndarray:
    return block[:size] + block[1 : size + 1] + block[2 : size + 2]


@pytest.mark.parametrize("chunks", [(20, 4), (7, 3), (1, 1), (19, 2)])
def test_result_does_not_depend_on_chunks(chunks: tuple[int, int]) -> None:
    values = np.random.default_rng(0).normal(size=(20, 4))
    parts = [
        Window(slice(a, b + 2), b - a, partial(sum_of_three, size=b - a))
        for a, b in ((0, 5), (5, 12), (12, 18))
    ]
    made = map_windows(da.from_array(values, chunks), parts, np.float64)
    np.testing.assert_array_equal(made.compute(), sum_of_three(values, 18))


def test_kernels_may_change_the_columns() -> None:
    values = da.ones((6, 4), chunks=(2, 2))
    doubled = Window(slice(0, 6), 6, lambda block: np.concatenate([block, block], axis=1))
    assert map_windows(values, [doubled], np.float64, columns=8).compute().shape == (6, 8)


def test_no_windows_make_an_empty_array() -> None:
    assert map_windows(da.ones((6, 4)), [], np.float64).shape == (0, 4)


def test_blocks_stay_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "BLOCK_BYTES", 8 * 10 * 50)
    starts = block_starts(np.arange(1000) * 5, columns=10, most_rows=1000)
    # 50 input rows at a time are 10 output rows.
    assert starts[0] == 0
    assert starts[-1] == 1000
    assert max(np.diff(starts)) <= 11


def test_whole_time_keeps_columns_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "BLOCK_BYTES", 8 * 1000 * 2)
    chunked = whole_time(da.ones((1000, 10), chunks=(100, 10)))
    assert chunked.chunks[0] == (1000,)
    assert max(chunked.chunks[1]) <= 2
