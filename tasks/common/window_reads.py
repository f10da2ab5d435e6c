"""Random windows of an array too large for memory: each stretch is decoded once for many windows.

Reading windows one by one decodes whole chunks for a few rows each. Here stretches of whole chunks
come in random order, each is read once and cut into several windows at random places, and a buffer
mixes windows of different stretches.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Window = NDArray[np.generic]
Runs = Sequence[tuple[int, int]]

STRETCH_BYTES = 32 * 2**20


class Stored(Protocol):
    """What windows are read from: a Zarr array, or anything that slices its first axis."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, and the shape of a row."""

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the values."""

    def __getitem__(self, rows: slice) -> object:
        """Read some rows."""


def shuffled_windows(
    stored: Stored,
    length: int,
    rng: np.random.Generator,
    *,
    chunk_rows: int,
    each: float = 2.0,
    runs: Runs | None = None,
    buffer: int = 256,
) -> Iterator[tuple[int, Window]]:
    """Yield windows in random order, about `each` for every `length` rows, in one pass.

    Parameters
    ----------
    stored : (time, ...)
    length : rows of a window
    chunk_rows : rows of a chunk of `stored`
    each : how often a row comes, on average; more windows a read, and more alike
    runs : (start, stop) rows without a gap; no window leaves its run. None is the whole array
    buffer : windows held back to be mixed; memory is these and one stretch

    Yields
    ------
    The first row of a window, and its (length, ...) values
    """
    held: list[tuple[int, Window]] = []
    for start, stop in _stretches(stored, length, chunk_rows, runs, rng):
        rows = np.asarray(stored[start:stop])
        count = max(round(each * (stop - start) / length), 1)
        for first in rng.integers(0, stop - start - length + 1, count).tolist():
            # A copy: a view would keep the whole stretch alive in the buffer.
            held.append((start + first, rows[first : first + length].copy()))
            if len(held) > buffer:
                yield _take_any(held, rng)
    while held:
        yield _take_any(held, rng)


def _take_any(held: list[tuple[int, Window]], rng: np.random.Generator) -> tuple[int, Window]:
    place = int(rng.integers(len(held)))
    held[place], held[-1] = held[-1], held[place]
    return held.pop()


def _stretches(
    stored: Stored, length: int, chunk_rows: int, runs: Runs | None, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Return stretches of whole chunks, each at least a window long, in random order.

    Neighbours overlap by a window less one row, so that every window lies in one of them.
    """
    row_bytes = int(np.prod(stored.shape[1:], dtype=np.int64)) * stored.dtype.itemsize
    most = max(STRETCH_BYTES // max(row_bytes, 1), 2 * length)
    step = max(most // chunk_rows, 1) * chunk_rows
    found = []
    for begin, end in [(0, stored.shape[0])] if runs is None else runs:
        for start in range(begin - begin % step, end, step):
            first, last = max(start, begin), min(start + step + length - 1, end)
            if last - first >= length:
                found.append((first, last))
    order = rng.permutation(len(found))
    return [found[n] for n in order]
