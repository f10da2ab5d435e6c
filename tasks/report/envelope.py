"""Long recordings made small enough to draw, without hiding anything that a reader would miss."""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.common.segments import find_gaps

Floats = NDArray[np.floating]
Indices = NDArray[np.intp]

BLOCK = 1_000_000
"""Samples read at once."""
GAP_PERIODS = 3.0
"""A longer step than this many sampling periods breaks a line."""


@dataclass(frozen=True)
class Trace:
    """A line to draw: real samples only, NaN where the line must break.

    samples : how many samples it stands for
    """

    time: NDArray[np.float64]
    value: NDArray[np.float32]
    samples: int

    @property
    def reduced(self) -> bool:
        """Whether samples were left out."""
        return bool(self.samples > np.isfinite(self.value).sum())


def draw_envelope(
    time_T: NDArray[np.float64],
    values: xr.DataArray,
    max_points: int,
    stretch_T: NDArray[np.integer] | None = None,
) -> Trace:
    """Reduce a series to the smallest and the largest sample of each stretch of equal length.

    Read block by block, so a series longer than memory is fine. Every point of the result is a
    sample of the input at its own time; gaps in time and NaN stay gaps.

    Parameters
    ----------
    time_T : (time,) seconds, ascending
    values : (time,) lazy or not, NaN where not valid
    max_points : how many points the result has at most, breaks not counted
    stretch_T : (time,) number of the gapless stretch of each sample; by default from the times
    """
    samples = len(time_T)
    per_bin = 1 if samples <= max_points else -(-2 * samples // max_points)
    block = per_bin * max(1, BLOCK // per_bin)
    kept: list[Indices] = []
    found: list[Floats] = []
    for start in range(0, samples, block):
        part_T = np.asarray(values.isel(time=slice(start, start + block)).values, np.float32)
        at = envelope_samples(part_T, per_bin)
        kept.append(at + start)
        found.append(part_T[at])
    if not kept:
        return Trace(np.empty(0), np.empty(0, np.float32), 0)
    stretch_T = find_gaps(time_T, GAP_PERIODS) if stretch_T is None else stretch_T
    at = np.concatenate(kept)
    time, value = break_lines(time_T[at], np.concatenate(found), stretch_T[at])
    return Trace(time, value.astype(np.float32), samples)


def envelope_samples(values_T: Floats, per_bin: int) -> Indices:
    """Return the indices of each bin's smallest, largest and first missing sample, in order."""
    samples = len(values_T)
    if per_bin <= 1 or samples == 0:
        return np.arange(samples)
    bins = -(-samples // per_bin)
    padded = np.full(bins * per_bin, np.nan)
    padded[:samples] = values_T
    grid_BP = padded.reshape(bins, per_bin)
    missing_BP = ~np.isfinite(grid_BP)
    missing_BP.ravel()[samples:] = False
    absent_BP = ~np.isfinite(grid_BP)
    low_B = np.where(absent_BP, np.inf, grid_BP).argmin(axis=1)
    high_B = np.where(absent_BP, -np.inf, grid_BP).argmax(axis=1)
    gap_B = np.where(missing_BP.any(axis=1), missing_BP.argmax(axis=1), low_B)
    within_B3 = np.stack([low_B, high_B, gap_B], axis=1)
    at = np.unique(within_B3 + np.arange(bins)[:, None] * per_bin)
    return at[at < samples]


def break_lines(
    time_T: NDArray[np.float64], values_T: Floats, stretch_T: NDArray[np.integer]
) -> tuple[NDArray[np.float64], Floats]:
    """Put a NaN between two neighbouring points that are not of the same stretch."""
    breaks = np.flatnonzero(np.diff(stretch_T) != 0) + 1
    times = np.insert(time_T, breaks, time_T[breaks - 1])
    return times, np.insert(np.asarray(values_T, float), breaks, np.nan)


@dataclass(frozen=True)
class Image:
    """A matrix to draw: one row a unit, one column a bin of time.

    rows : index of each row's unit
    seconds : width of a column
    averaged : samples in a typical bin
    """

    start: float
    seconds: float
    mean_RB: NDArray[np.float32]
    rows: Indices
    averaged: float


def average_bins(
    time_T: NDArray[np.float64], values: xr.DataArray, max_columns: int, max_rows: int
) -> Image:
    """Average (time, unit) values over equal bins of time; NaN where a bin has no valid sample.

    Of more than `max_rows` units every so-many-th is taken: averaging unlike units shows neither.
    """
    rows = spread_rows(values.shape[1], max_rows)
    edges = bin_edges(time_T, max_columns)
    bins = len(edges) - 1
    total_BR = np.zeros((bins, len(rows)))
    count_BR = np.zeros((bins, len(rows)))
    picked = values.isel({values.dims[1]: rows})
    block = max(1, 20 * BLOCK // max(len(rows), 1))
    for start in range(0, len(time_T), block):
        part_TR = np.asarray(picked.isel(time=slice(start, start + block)).values, float)
        bin_T = np.searchsorted(edges, time_T[start : start + block], side="right") - 1
        bin_T = np.clip(bin_T, 0, bins - 1)
        valid_TR = np.isfinite(part_TR)
        first = np.flatnonzero(np.diff(bin_T, prepend=-1))
        total_BR[bin_T[first]] += np.add.reduceat(np.where(valid_TR, part_TR, 0), first, axis=0)
        count_BR[bin_T[first]] += np.add.reduceat(valid_TR.astype(float), first, axis=0)
    mean_RB = np.full((len(rows), bins), np.nan, np.float32)
    np.divide(total_BR.T, count_BR.T, out=mean_RB, where=count_BR.T > 0, casting="unsafe")
    per_bin = max(len(time_T) / max(int((count_BR > 0).any(axis=1).sum()), 1), 1.0)
    return Image(float(edges[0]), float(edges[1] - edges[0]), mean_RB, rows, per_bin)


def bin_edges(time_T: NDArray[np.float64], max_columns: int) -> NDArray[np.float64]:
    """Return edges of equal bins, none of them narrower than a sampling period.

    A bin as wide as a period would stay empty now and then where the clock has jitter, so bins
    are either one sample wide on an even axis or at least a period and a half.
    """
    if len(time_T) < 2:
        at = float(time_T[0]) if len(time_T) else 0.0
        return np.array([at - 0.5, at + 0.5])
    steps_T = np.diff(time_T)
    period = float(np.median(steps_T)) or float(steps_T.mean()) or 1.0
    duration = float(time_T[-1] - time_T[0]) + period
    even = bool(np.allclose(steps_T, period, rtol=1e-3))
    columns = len(time_T) if even else max(1, int(duration / (1.5 * period)))
    return np.linspace(
        time_T[0] - period / 2, time_T[-1] + period / 2, min(columns, max_columns) + 1
    )


def spread_rows(count: int, most: int) -> Indices:
    """Return at most `most` indices of `count`, evenly spread."""
    if count <= most:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, most).round().astype(np.intp))


def scale_rows(values_RB: Floats) -> NDArray[np.float32]:
    """Scale each row so that its 1st percentile is 0 and its 99th is 100; constant rows are 0."""
    scaled = np.full(values_RB.shape, np.nan, np.float32)
    for row, values_B in enumerate(values_RB):
        valid_B = np.isfinite(values_B)
        if not valid_B.any():
            continue
        low, high = np.percentile(values_B[valid_B], [1, 99])
        span = high - low if high > low else np.inf
        scaled[row] = np.clip((values_B - low) / span, 0, 1) * 100
    return scaled
