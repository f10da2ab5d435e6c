"""Windows on a grid that only the gapless stretches decide, and short frames along them.

A recursive filter or an FFT rounds differently when its window begins elsewhere. These windows
begin at the same samples however the array is stored, so that chunked equals whole bit for bit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from tasks.common.windows import Window, block_starts, map_windows

PIECE_ROWS = 6_000
MOST_FRAMES = 6_000
BATCH_BYTES = 2**22
"""Memory of the frames that a kernel sees at once."""

Floats = NDArray[np.floating]
Runs = NDArray[np.int64]
FrameKernel = Callable[[NDArray[np.float64]], NDArray[np.float32]]


@dataclass(frozen=True)
class Piece:
    """Rows `start` to `stop` of a stretch, which need those from `low` to `high` to be known."""

    low: int
    start: int
    stop: int
    high: int


def split_pieces(runs: Runs, rows: int, margin: int) -> list[Piece]:
    """Divide each stretch into pieces of `rows`, each with up to `margin` rows of it around."""
    return [
        Piece(max(start - margin, begin), start, stop, min(stop + margin, end))
        for begin, end in runs.tolist()
        for start in range(begin, end, rows)
        for stop in (min(start + rows, end),)
    ]


def filter_pieces(
    values: da.Array, runs: Runs, margin: int, kernel: Callable[[Floats], Floats]
) -> da.Array:
    """Apply a filter of finite reach along the first axis, within each stretch, lazily.

    Parameters
    ----------
    values : (time, column)
    runs : (stretch, [start, stop]) that together cover the axis
    margin : rows after which the filter has forgotten what was before
    kernel : (row, column) of one stretch -> the same shape
    """
    pieces = split_pieces(runs, PIECE_ROWS, margin)
    windows: list[Window] = []
    group: list[Piece] = []
    for piece in pieces:
        # Short stretches share a window, or thousands of trials would be thousands of tasks.
        if group and piece.stop - group[0].start > PIECE_ROWS:
            windows.append(_filter_window(group, kernel))
            group = []
        group.append(piece)
    if group:
        windows.append(_filter_window(group, kernel))
    return map_windows(values, windows, np.float32)


def _filter_window(group: Sequence[Piece], kernel: Callable[[Floats], Floats]) -> Window:
    source = slice(min(p.low for p in group), max(p.high for p in group))
    size = group[-1].stop - group[0].start
    return Window(source, size, partial(_filter_block, group=tuple(group), kernel=kernel))


def _filter_block(
    block: Floats, group: Sequence[Piece], kernel: Callable[[Floats], Floats]
) -> NDArray[np.float32]:
    first, begin = min(p.low for p in group), group[0].start
    made = np.empty((group[-1].stop - begin, block.shape[1]), np.float32)
    for piece in group:
        known = kernel(block[piece.low - first : piece.high - first])
        inner = slice(piece.start - piece.low, piece.stop - piece.low)
        made[piece.start - begin : piece.stop - begin] = known[inner]
    return made


def frame_starts(runs: Runs, step: float, width: int) -> NDArray[np.int64]:
    """Return the first sample of each frame; the step may be a fraction of a sample."""
    starts = [np.zeros(0, np.int64)]
    for begin, end in runs.tolist():
        room = end - begin - width
        if room >= 0:
            starts.append(begin + np.round(np.arange(int(room // step) + 1) * step).astype(int))
    return np.concatenate(starts)


def measure_frames(
    values: da.Array, first: NDArray[np.int64], width: int, kernel: FrameKernel, columns: int
) -> da.Array:
    """Apply a kernel to frames of `width` samples of all columns, lazily.

    Parameters
    ----------
    values : (time, column)
    first : (frame,) first sample of each
    kernel : (frame, column, sample) -> (frame, `columns`)
    """
    starts = block_starts(first, values.shape[1], MOST_FRAMES)
    windows = []
    for low, high in pairwise(starts):
        source = slice(int(first[low]), int(first[high - 1]) + width)
        cut = partial(
            _measure_block, first=first[low:high] - source.start, width=width, kernel=kernel
        )
        windows.append(Window(source, high - low, cut))
    return map_windows(values, windows, np.float32, columns=columns)


def _measure_block(
    block: NDArray[np.generic], first: NDArray[np.int64], width: int, kernel: FrameKernel
) -> NDArray[np.float32]:
    frames = np.lib.stride_tricks.sliding_window_view(block, width, axis=0)
    batch = max(BATCH_BYTES // (8 * width * max(block.shape[1], 1)), 1)
    parts = [
        kernel(frames[first[at : at + batch]].astype(np.float64))
        for at in range(0, len(first), batch)
    ]
    return np.concatenate(parts)
