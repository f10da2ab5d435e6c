"""Gapless stretches of a time axis: the one place that decides what a gap is."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

TIME_MARGIN = 1e-6
"""Share of a period that rounding of stored times may add to a step."""


def sample_period(time_T: NDArray[np.float64]) -> float:
    """Return the median step between distinct neighbouring times, in seconds.

    NaN where there are fewer than two distinct times. Steps that are not positive (a repeated
    time stamp) are left out, so that they cannot pull the median to zero.
    """
    step = np.diff(time_T)
    step = step[step > 0]
    return float(np.median(step)) if step.size else float("nan")


def find_gaps(time_T: NDArray[np.float64], max_gap_periods: float) -> NDArray[np.int32]:
    """Number the gapless stretches of a time axis 0, 1, 2, ...

    Parameters
    ----------
    time_T : (time,) seconds
    max_gap_periods : a longer step, in median sample periods, starts a new stretch; so does a
        step backwards. A repeated time does not.

    Returns
    -------
    (time,) number of the stretch that each sample lies in
    """
    if len(time_T) == 0:
        return np.zeros(0, np.int32)
    segment_T = np.zeros(len(time_T), np.int32)
    segment_T[gap_starts(time_T, sample_period(time_T), max_gap_periods)] = 1
    return np.cumsum(segment_T, dtype=np.int32)


def gap_starts(
    time_T: NDArray[np.float64], period: float, max_gap_periods: float
) -> NDArray[np.int64]:
    """Return the samples that a new gapless stretch starts at, but for the first of all.

    Parameters
    ----------
    period : usual step in seconds; see `find_gaps` for what a gap is. NaN finds no gap in time.
    """
    step = np.diff(time_T)
    longest = period * (max_gap_periods + TIME_MARGIN)
    return np.flatnonzero((step > longest) | (step < 0)) + 1


def split_runs(label_T: NDArray[np.generic]) -> list[slice]:
    """Return the slices over which `label_T` keeps one value."""
    if len(label_T) == 0:
        return []
    edges = np.flatnonzero(label_T[1:] != label_T[:-1]) + 1
    bounds = [0, *edges.tolist(), len(label_T)]
    return [slice(a, b) for a, b in pairwise(bounds)]


def true_runs(
    mask_T: NDArray[np.bool_], segment_T: NDArray[np.integer] | None = None
) -> list[slice]:
    """Return the slices over which `mask_T` is true without a change of segment."""
    label_T = np.zeros(len(mask_T), np.int64) if segment_T is None else segment_T.astype(np.int64)
    label_T = np.where(mask_T, label_T, -1)
    return [run for run in split_runs(label_T) if mask_T[run.start]]


def merge_spans(spans: NDArray[np.float64], slack: float) -> NDArray[np.float64]:
    """Join spans that overlap or lie no further than `slack` apart; ascending."""
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    reach = np.maximum.accumulate(spans[:, 1])
    starts = np.concatenate([[True], spans[1:, 0] > reach[:-1] + slack])[: len(spans)]
    first = np.flatnonzero(starts)
    stops = reach[np.append(first[1:], len(spans))[: len(first)] - 1]
    return np.stack([spans[first, 0], stops], axis=1)
