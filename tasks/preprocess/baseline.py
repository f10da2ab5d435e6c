"""The slow baseline of fluorescence: a running percentile, kept as the levels it joins by lines."""

from dataclasses import dataclass
from itertools import pairwise

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from schemas.settings.clean_neural import CalciumCleaning
from tasks.preprocess.clock import Clock

Rows = NDArray[np.floating]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Knots:
    """The windows that a running baseline is measured in, within gapless stretches.

    Windows overlap by half; a stretch shorter than a window is one. Between the middles of two
    windows of a stretch the baseline is a straight line, before the first and after the last of
    them it is level.

    Attributes
    ----------
    start, stop : (knot,) samples of each window
    middle : (knot,) sample, or half way between two
    first : (piece,) sample that each piece of the baseline begins at
    left, right : (piece,) knots that a piece lies between; the same one where it is level
    """

    start: Ints
    stop: Ints
    middle: Floats
    first: Ints
    left: Ints
    right: Ints


def place_knots(clock: Clock, chosen: CalciumCleaning) -> Knots:
    """Return the windows of the running baseline of a stream."""
    window = max(clock.frames(chosen.baseline_window_s), 1)
    starts: list[Ints] = [np.zeros(0, np.int64)]
    stops: list[Ints] = [np.zeros(0, np.int64)]
    for begin, end in clock.runs.tolist():
        size = min(window, end - begin)
        count = 1 if size == end - begin else 1 + -(-2 * (end - begin - size) // size)
        places = np.round(np.linspace(0, end - begin - size, count)).astype(np.int64)
        own = begin + np.unique(places)  # windows of a sample or two fall on each other
        starts.append(own)
        stops.append(own + size)
    start, stop = np.concatenate(starts), np.concatenate(stops)
    middle = (start + stop - 1) / 2
    # A piece begins with each stretch and at each knot.
    last = np.cumsum([len(own) for own in starts[1:]], dtype=np.int64) - 1
    opening = np.append(0, last[:-1] + 1)[: len(last)]
    knot = np.arange(len(middle))
    after = np.minimum(knot + 1, np.repeat(last, last - opening + 1))
    first = np.concatenate([clock.runs[:, 0], np.ceil(middle).astype(np.int64)])
    order = np.argsort(first, kind="stable")
    left, right = np.concatenate([opening, knot])[order], np.concatenate([opening, after])[order]
    return Knots(start, stop, middle, first[order], left, right)


def find_levels(rows_NT: Rows, knots: Knots, percentile: float) -> Floats:
    """Return the baseline's level (knot, row) in each window; NaN where nothing is finite."""
    levels = [
        percentile_of(rows_NT[:, start:stop], percentile)
        for start, stop in zip(knots.start, knots.stop, strict=True)
    ]
    return np.stack(levels) if levels else np.zeros((0, len(rows_NT)))


def remove_baseline(values: da.Array, levels_KN: Floats, knots: Knots, *, divide: bool) -> da.Array:
    """Subtract the baseline F0 of each column, and divide by it if asked to, lazily.

    Parameters
    ----------
    values : (time, column)
    divide : return (F - F0) / F0, NaN where F0 is not above zero

    Returns
    -------
    Floats in the blocks that the values came in
    """
    values = da.asarray(values)
    kind = np.result_type(values.dtype, np.float32)
    levels = da.from_array(levels_KN, (-1, values.chunks[1]))
    samples = da.arange(len(values), chunks=(values.chunks[0],))

    def on_block(block: Rows, sample: Ints, level_KN: Floats) -> Rows:
        made = np.empty_like(block, kind)
        start = int(sample[0]) if len(sample) else 0
        subtract_baseline(block, start, level_KN, knots, made, divide=divide)
        return made

    return da.blockwise(
        on_block, "tn", values, "tn", samples, "t", levels, "kn", concatenate=True,
        dtype=kind, meta=np.empty((0, 0), kind),
    )  # fmt: skip


def subtract_baseline(
    block_TN: Rows, start: int, level_KN: Floats, knots: Knots, made_TN: Rows, *, divide: bool
) -> None:
    """Fill `made_TN` with what `remove_baseline` makes of the samples from `start` on."""
    # Compiled when it is first needed; numba takes a second to import.
    from tasks.preprocess.row_kernels import subtract_line

    stop = start + len(block_TN)
    piece = max(int(np.searchsorted(knots.first, start, side="right")) - 1, 0)
    bounds = [*knots.first[piece : np.searchsorted(knots.first, stop)].tolist(), stop]
    for low, high in pairwise(bounds):
        left, right = knots.left[piece], knots.right[piece]
        piece += 1
        rows = slice(max(low - start, 0), high - start)
        slope = np.zeros_like(level_KN[left])
        if right != left:
            slope = (level_KN[right] - level_KN[left]) / (knots.middle[right] - knots.middle[left])
        along = np.arange(start + rows.start, high) - knots.middle[left]
        subtract_line(block_TN[rows], level_KN[left], slope, along, divide, made_TN[rows])


def percentile_of(rows: Rows, percentile: float) -> Floats:
    """Percentile of the finite values of each row; NaN where there are none."""
    if rows.shape[1] and np.isfinite(rows).all():
        return _percentile(rows, percentile)
    finite = [row[np.isfinite(row)][None] for row in rows]
    return np.array([_percentile(row, percentile)[0] if row.size else np.nan for row in finite])


def _percentile(rows: Rows, percentile: float) -> Floats:
    """Return what numpy.percentile does, between two values by a straight line."""
    place = (rows.shape[1] - 1) * percentile / 100
    low = int(place)
    high = min(low + 1, rows.shape[1] - 1)
    # Compiled when it is first needed; numba takes a second to import.
    from tasks.preprocess.order_kernels import values_at

    made = np.empty((2, len(rows)))
    values_at(rows, low, high, made)
    lower, upper = made
    share, step = place - low, upper - lower
    between: Floats = lower + step * share if share < 0.5 else upper - step * (1 - share)
    return between
