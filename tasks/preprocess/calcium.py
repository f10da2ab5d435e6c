"""Calcium: fluorescence to dF/F, noise of each unit, useless units set aside."""

import re
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.settings.preprocess import CalciumCleaning, PreprocessSettings
from tasks.common.segments import split_runs
from tasks.preprocess.clock import Clock
from tasks.preprocess.stream import (
    as_float,
    is_finite,
    note_operation,
    over_time,
    replace_primary,
    set_aside,
    summarise,
)

Measure = Literal["dff", "fluorescence", "deconvolved", "neuropil"]
PREFERENCE: tuple[Measure, ...] = ("dff", "fluorescence", "deconvolved", "neuropil")
"""Which measure of the same cells is used; the others are set aside."""

PATTERNS: tuple[tuple[str, Measure], ...] = (
    (r"neuropil(?!_?(corrected|subtracted))", "neuropil"),
    (r"deconv|inferred", "deconvolved"),
    (r"df_?over_?f|d_?f_?f|delta_?f", "dff"),
)

Rows = NDArray[np.float64]


def clean_calcium(name: str, stream: xr.Dataset, settings: PreprocessSettings) -> xr.Dataset:
    """Return dF/F with a noise level for each unit.

    Values whose path says that they are dF/F, deconvolved or neuropil stay as they are, and so
    does fluorescence whose baseline is mostly not above zero: somebody normalised it before.
    Constant and mostly missing units are set aside.

    References
    ----------
    Running percentile baseline: Dombeck et al. 2007, doi:10.1016/j.neuron.2007.08.003; 8 % and
    60 s as in suite2p.
    """
    chosen, clock = settings.calcium, Clock(stream, settings.max_gap_periods)
    measure = measure_of(name, stream)
    cleaned = stream.assign_attrs(raw="activity")
    reasons: dict[int, str] = {}
    if measure == "fluorescence" and stream["activity"].size:
        lowest = summarise(lambda rows: _lowest_baseline(rows, clock, chosen), stream["activity"])
        if np.median(lowest) > 0:
            cleaned = _normalise(stream, clock, chosen)
            reasons = {
                int(n): "its baseline is not above zero" for n in np.flatnonzero(lowest <= 0)
            }
    cleaned = _assess(cleaned.assign_attrs(measure=measure), clock, chosen, reasons)
    if measure == "neuropil":
        return set_aside(cleaned, "unit", dict.fromkeys(range(cleaned.sizes["unit"]), "neuropil"))
    return cleaned


def measure_of(name: str, stream: xr.Dataset) -> Measure:
    """Tell what a calcium stream measures from its name and its path in the recording."""
    text = f"{name} {stream.attrs.get('source', '')}"
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text).lower()
    return next((m for pattern, m in PATTERNS if re.search(pattern, text)), "fluorescence")


def _normalise(stream: xr.Dataset, clock: Clock, chosen: CalciumCleaning) -> xr.Dataset:
    """Turn fluorescence F into (F - F0) / F0."""

    def to_dff(rows: Rows) -> Rows:
        baseline = running_baseline(rows, clock, chosen)
        change = rows - baseline
        return np.divide(change, baseline, out=np.full_like(change, np.nan), where=baseline > 0)

    dff = over_time(to_dff, stream["activity"]).assign_attrs(units="1")
    cleaned = replace_primary(stream, dff)
    cleaned["activity"].attrs["units"] = "1"
    return note_operation(
        cleaned,
        "baseline_percentile_dff",
        percentile=chosen.baseline_percentile,
        window_s=chosen.baseline_window_s,
    )


def running_baseline(rows: NDArray[np.floating], clock: Clock, chosen: CalciumCleaning) -> Rows:
    """Return the slow baseline F0 of each row: a running percentile, within gapless stretches.

    The percentile is taken in windows that overlap by half and joined by straight lines; a
    stretch shorter than a window has one value.

    Parameters
    ----------
    rows : (unit, time)
    """
    baseline = np.empty(rows.shape, np.float64)
    window = max(clock.frames(chosen.baseline_window_s), 1)
    for run in split_runs(clock.segment):
        baseline[:, run] = _segment_baseline(rows[:, run], window, chosen.baseline_percentile)
    return baseline


def _segment_baseline(rows: NDArray[np.floating], window: int, percentile: float) -> Rows:
    length = rows.shape[1]
    size = min(window, length)
    count = 1 if size == length else 1 + -(-2 * (length - size) // size)
    starts = np.round(np.linspace(0, length - size, count)).astype(int)
    levels = np.stack([_percentile(rows[:, s : s + size], percentile) for s in starts], axis=1)
    centres = starts + (size - 1) / 2
    at = np.arange(length)
    return np.array([np.interp(at, centres, level) for level in levels]).reshape(rows.shape)


def _percentile(rows: NDArray[np.floating], percentile: float) -> Rows:
    """Percentile of the finite values of each row; NaN where there are none."""
    if np.isfinite(rows).all():
        return np.asarray(np.percentile(rows, percentile, axis=1), np.float64)
    finite = [row[np.isfinite(row)] for row in rows]
    return np.array([np.percentile(row, percentile) if row.size else np.nan for row in finite])


def _lowest_baseline(rows: Rows, clock: Clock, chosen: CalciumCleaning) -> Rows:
    """Return the lowest baseline of each row; inf where it has no finite value."""
    baseline = running_baseline(rows, clock, chosen)
    lowest: Rows = np.where(np.isfinite(baseline), baseline, np.inf).min(1)
    return lowest


def _assess(
    stream: xr.Dataset, clock: Clock, chosen: CalciumCleaning, reasons: dict[int, str]
) -> xr.Dataset:
    """Add `valid`, `noise`, `keep` and `reason`."""
    activity = as_float(stream["activity"])
    finite = summarise(lambda rows: np.isfinite(rows).mean(1), activity)
    spread = summarise(_spread, activity)
    noise = summarise(lambda rows: noise_level(rows, clock), activity)
    found = dict(reasons)
    for n in np.flatnonzero(finite < chosen.min_valid):
        found.setdefault(int(n), f"{finite[n]:.0%} of its samples are finite")
    for n in np.flatnonzero(spread == 0):
        found.setdefault(int(n), "constant")
    valid = is_finite(stream["activity"])
    assessed = stream.assign(
        valid=valid, noise=("unit", noise, {"units": stream["activity"].attrs.get("units", "1")})
    )
    return note_operation(
        set_aside(assessed, "unit", found), "assess_units", min_valid=chosen.min_valid
    )


def _spread(rows: Rows) -> Rows:
    """Return the range of the finite values of each row, 0 where there are none."""
    finite = np.isfinite(rows)
    highest = np.where(finite, rows, -np.inf).max(1)
    lowest = np.where(finite, rows, np.inf).min(1)
    return np.where(finite.any(1), highest - lowest, 0.0)


def noise_level(rows: Rows, clock: Clock) -> Rows:
    """Return the robust standard deviation of each unit's noise.

    From the median absolute step between neighbouring samples of a segment, which slow transients
    hardly change (Rupprecht et al. 2021, doi:10.1038/s41593-021-00895-5).
    """
    step = np.abs(np.diff(rows, axis=1))[:, clock.segment[1:] == clock.segment[:-1]]
    noise: Rows = _percentile(step, 50.0) * 1.4826 / np.sqrt(2.0)
    return noise
