"""Samples of one stream onto the time axis, never across a gap, lazily and window by window."""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from schemas.entities import StreamKind
from schemas.settings.align import AlignSettings, Resampling
from tasks.align.band_limited import filter_windows
from tasks.align.clock import Axis
from tasks.align.source import Source, Times
from tasks.common.windows import Window, block_starts, columns_at_once, map_windows

MOST_ROWS = 6_000
FASTER = 0.75
"""A stream whose period is less than this part of the bin is averaged, not interpolated."""
SAME_TIME = 1e-3
"""Samples closer than this part of a period to the axis are taken as they are."""


def choose_method(
    name: str, kind: StreamKind, logical: bool, source: Source, axis: Axis, settings: AlignSettings
) -> Resampling:
    """Return how a stream is sampled: as asked for by name, by its kind, or by its rate.

    logical : whether its values are yes or no
    """
    if name in settings.by_stream:
        return settings.by_stream[name]
    if logical:
        return "previous"
    if kind in settings.by_kind:
        return settings.by_kind[kind]
    return settings.faster if source.period < FASTER * axis.bin_s else settings.slower


def resample(
    values: da.Array, source: Source, axis: Axis, method: Resampling, settings: AlignSettings
) -> da.Array:
    """Bring the columns of a stream onto the axis.

    Parameters
    ----------
    values : (stored sample, column) floats, NaN where not valid

    Returns
    -------
    (axis sample, column) float32; NaN where no real samples back a value. The very array that
    was given, if the axis is the stream's own clock.
    """
    used = source.take(values)
    if not len(source.time):
        return da.full((len(axis.time), values.shape[1]), np.nan, dtype=np.float32)
    if method == "mean":
        return map_windows(used, _mean_windows(used, source, axis, settings), np.float32)
    filtering = method == "band_limited" and np.isfinite(source.period)
    line: Resampling = "linear" if method == "band_limited" else method
    plan = plan_picks(source, axis.time, line, settings.max_gap_periods)
    if plan.copies:
        return used[plan.before[0] : plan.before[0] + len(axis.time)].astype(np.float32)
    if filtering:
        windows = filter_windows(
            source.time, source.segment, source.period, axis.time, axis.bin_s, columns_at_once(used)
        )
    else:
        windows = _pick_windows(used, plan)
    return map_windows(used, windows, np.float32)


def nearest_rows(source: Source, axis: Axis, settings: AlignSettings) -> NDArray[np.int64]:
    """Return the stored row nearest to each point of the axis, -1 where none is near enough."""
    if not len(source.time):
        return np.full(len(axis.time), -1, np.int64)
    plan = plan_picks(source, axis.time, "nearest", settings.max_gap_periods)
    return np.where(plan.backed, source.row[plan.before], -1)


@dataclass(frozen=True)
class Picks:
    """Which two samples each point of the axis lies between.

    Attributes
    ----------
    before, after : (axis,) samples; the same one where a sample is taken as it is
    weight : (axis,) of the sample after, 0 to 1
    backed : (axis,) whether real samples are near enough
    """

    before: NDArray[np.int64]
    after: NDArray[np.int64]
    weight: Times
    backed: NDArray[np.bool_]

    @property
    def copies(self) -> bool:
        """Whether the axis takes a row of neighbouring samples as they are."""
        alone = self.backed.all() and (self.before == self.after).all()
        return bool(alone and (np.diff(self.before) == 1).all())


def plan_picks(
    source: Source, axis_time: Times, method: Resampling, max_gap_periods: float
) -> Picks:
    """Find the samples around each point of the axis.

    A sample within SAME_TIME of a point is taken as it is by every method. 'linear' needs
    neighbours of one gapless stretch, 'nearest' and 'previous' a sample within the longest gap.
    """
    last = len(source.time) - 1
    before = np.clip(np.searchsorted(source.time, axis_time, side="right") - 1, 0, last)
    after = np.minimum(before + 1, last)
    step = source.time[after] - source.time[before]
    weight = np.divide(
        axis_time - source.time[before], step, out=np.zeros(len(step)), where=step > 0
    )
    nearest = np.where(weight > 0.5, after, before)
    distance = np.abs(axis_time - source.time[nearest])
    # With one sample there is no period: only the very same time counts.
    period = source.period if np.isfinite(source.period) else 0.0
    exact = distance <= SAME_TIME * period
    reach = max_gap_periods * period
    if method == "linear":
        joined = (source.segment[after] == source.segment[before]) & (after > before)
        inside = (weight >= 0) & (weight <= 1)
        pick, backed = before, joined & inside
    elif method == "nearest":
        pick = after = nearest
        backed = distance <= reach / 2
    else:
        pick = after = before
        late = axis_time - source.time[before]
        backed = (late >= 0) & (late <= reach)
    before = np.where(exact, nearest, pick)
    after = np.where(exact | ~backed, before, after)
    return Picks(before, after, np.where(before == after, 0.0, weight), backed | exact)


def _pick_windows(values: da.Array, plan: Picks) -> list[Window]:
    starts = block_starts(plan.before, columns_at_once(values), MOST_ROWS)
    windows = []
    for first, last in pairwise(starts):
        part = slice(first, last)
        low, high = int(plan.before[part].min()), int(plan.after[part].max()) + 1
        kernel = partial(
            pick_samples,
            before=plan.before[part] - low,
            after=plan.after[part] - low,
            weight=plan.weight[part],
            backed=plan.backed[part],
        )
        windows.append(Window(slice(low, high), last - first, kernel))
    return windows


def pick_samples(
    block: NDArray[np.floating],
    before: NDArray[np.int64],
    after: NDArray[np.int64],
    weight: Times,
    backed: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Return straight lines between samples; where both are one sample, that sample exactly."""
    # Compiled when it is first needed; numba takes a second to import.
    from tasks.align.linear_kernel import interpolate

    made = np.empty((len(before), block.shape[1]), np.float32)
    floats = np.asarray(block, np.result_type(block.dtype, np.float32))
    interpolate(floats, before, after, weight.astype(floats.dtype), backed, made)
    return made


def _mean_windows(
    values: da.Array, source: Source, axis: Axis, settings: AlignSettings
) -> list[Window]:
    last = len(source.time) - 1
    from_T = np.clip(np.searchsorted(source.time, axis.low, side="right") - 1, 0, last)
    to_T = np.clip(np.searchsorted(source.time, axis.high, side="left"), 0, last)
    joined = np.diff(source.segment) == 0
    starts = block_starts(from_T, columns_at_once(values), MOST_ROWS)
    windows = []
    for first, stop in pairwise(starts):
        rows = slice(int(from_T[first]), int(to_T[stop - 1]) + 1)
        kernel = partial(
            average_bins,
            time=source.time[rows],
            joined=joined[rows.start : rows.stop - 1],
            low=axis.low[first:stop],
            high=axis.high[first:stop],
            min_coverage=settings.min_coverage,
        )
        windows.append(Window(rows, stop - first, kernel))
    return windows


def average_bins(
    block: NDArray[np.floating],
    time: Times,
    joined: NDArray[np.bool_],
    low: Times,
    high: Times,
    min_coverage: float,
) -> NDArray[np.float32]:
    """Return the mean over each bin of the straight lines between neighbouring samples.

    Unlike the mean of the samples inside, it does not move in time with where the samples
    happen to lie in the bin. Each bin is summed by itself, so a wild value elsewhere cannot
    reach it through rounding.

    Parameters
    ----------
    block : (sample, column), NaN where not valid
    time : (sample,) seconds, strictly ascending
    joined : (sample - 1,) whether a sample and the next lie in one gapless stretch
    low, high : (bin,) seconds
    min_coverage : least part of the bin under such lines, else NaN
    """
    made = np.full((len(low), block.shape[1]), np.nan, np.float32)
    edges = np.unique(np.concatenate([time, low, high]))
    middle, length = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    into = np.searchsorted(low, middle, side="right") - 1
    step = np.searchsorted(time, middle, side="right") - 1
    inside = (into >= 0) & (middle < high[np.maximum(into, 0)])
    inside &= (step >= 0) & (step < len(time) - 1)
    inside[inside] = joined[step[inside]]
    if not inside.any():
        return made
    middle, length, into, step = (a[inside] for a in (middle, length, into, step))
    share = ((middle - time[step]) / (time[step + 1] - time[step]))[:, None]
    # The integral of a straight line is its value in the middle times its length.
    value = block[step] + share * (block[step + 1].astype(np.float64) - block[step])
    known = np.isfinite(value)
    bins, first = np.unique(into, return_index=True)
    area = np.add.reduceat(np.where(known, value, 0.0) * length[:, None], first, axis=0)
    covered = np.add.reduceat(known * length[:, None], first, axis=0)
    enough = covered >= (high - low)[bins, None] * (min_coverage - 1e-9)
    made[bins] = np.divide(area, covered, out=np.full_like(area, np.nan), where=enough)
    return made
