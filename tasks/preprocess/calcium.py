"""Calcium: neuropil, dF/F, noise of each unit, spikes inferred; useless units set aside."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.settings.clean_neural import CalciumCleaning
from schemas.settings.preprocess import PreprocessSettings
from tasks.preprocess.baseline import (
    Floats,
    Rows,
    find_levels,
    place_knots,
    remove_baseline,
    subtract_baseline,
)
from tasks.preprocess.clock import Clock
from tasks.preprocess.stream import (
    as_float,
    batches,
    is_finite,
    note_operation,
    over_time,
    replace_primary,
    set_aside,
    summarise,
    with_values,
)

Measure = Literal["dff", "fluorescence", "deconvolved", "neuropil"]
PREFERENCE: tuple[Measure, ...] = ("dff", "fluorescence", "deconvolved", "neuropil")
"""Which measure of the same cells is used; the others are set aside."""

CORRECTED = r"neuropil_?(corrected|subtracted)"
PATTERNS: tuple[tuple[str, Measure], ...] = (
    (r"neuropil(?!_?(corrected|subtracted))", "neuropil"),
    (r"deconv|inferred", "deconvolved"),
    (r"df_?over_?f|d_?f_?f|delta_?f", "dff"),
)
NEUROPIL = "neuropil"
"""Variable of a stream that holds the neuropil around each cell, until it is subtracted."""


def clean_calcium(name: str, stream: xr.Dataset, settings: PreprocessSettings) -> xr.Dataset:
    """Return dF/F with a noise level for each unit.

    Neuropil is subtracted where the recording has it for the same cells. Values whose path says
    that they are dF/F, deconvolved or neuropil stay as they are (but see `detrend`), and so does
    fluorescence whose baseline is mostly not above zero: somebody normalised it before. Constant
    and mostly missing units are set aside.

    References
    ----------
    Running percentile baseline: Dombeck et al. 2007, doi:10.1016/j.neuron.2007.08.003; 8 % and
    60 s, and the neuropil's coefficient 0.7, as in suite2p (Pachitariu et al. 2017,
    doi:10.1101/061507).
    """
    chosen, clock = settings.calcium, Clock(stream, settings.max_gap_periods)
    measure = measure_of(name, stream)
    cleaned = stream.drop_vars(NEUROPIL, errors="ignore").assign_attrs(raw="activity")
    found = None
    if measure == "fluorescence" and stream["activity"].size:
        cleaned, found = _normalise(cleaned, stream.get(NEUROPIL), clock, chosen)
    elif measure == "dff" and chosen.detrend:
        cleaned = _detrend(cleaned, clock, chosen)
    cleaned = cleaned.assign_attrs(measure=measure)
    normalised = measure == "dff" or found is not None
    cleaned = _assess(cleaned, found or _figures(cleaned, clock), clock, chosen, normalised)
    if measure == "neuropil":
        return set_aside(cleaned, "unit", dict.fromkeys(range(cleaned.sizes["unit"]), "neuropil"))
    inferable = chosen.deconvolve and measure != "deconvolved"
    return _deconvolve(cleaned, clock, chosen) if inferable else cleaned


def measure_of(name: str, stream: xr.Dataset) -> Measure:
    """Tell what a calcium stream measures from its name and its path in the recording."""
    text = _words(name, stream)
    return next((m for pattern, m in PATTERNS if re.search(pattern, text)), "fluorescence")


def _words(name: str, stream: xr.Dataset) -> str:
    text = f"{name} {stream.attrs.get('source', '')}"
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text).lower()


def pair_neuropil(streams: Mapping[str, xr.Dataset]) -> dict[str, xr.Dataset]:
    """Give each fluorescence the neuropil around the same cells, where the recording has one.

    Returns
    -------
    The streams; those of fluorescence with a neuropil of the same units and number of samples
    have it as the variable `neuropil`
    """
    calcium = {n: d for n, d in streams.items() if d.attrs.get("stream_kind") == "calcium"}
    around = {n: d for n, d in calcium.items() if measure_of(n, d) == "neuropil"}
    paired = dict(streams)
    for name, stream in calcium.items():
        if measure_of(name, stream) != "fluorescence" or re.search(CORRECTED, _words(name, stream)):
            continue
        match = next((d for d in around.values() if are_same_cells(stream, d)), None)
        if match is not None:
            paired[name] = stream.assign(
                {NEUROPIL: (("time", "unit"), match["activity"].data, match["activity"].attrs)}
            )
    return paired


def are_same_cells(one: xr.Dataset, other: xr.Dataset) -> bool:
    """Tell whether two streams measure the same cells: of one table, by name, in as many samples.

    Planes imaged at once have tables of their own, often with as many cells of the same names.
    """
    tables = {d.attrs["rois"] for d in (one, other) if "rois" in d.attrs}
    same_size = one["activity"].shape == other["activity"].shape
    return len(tables) < 2 and same_size and np.array_equal(one["unit"], other["unit"])


def _subtract(
    fluorescence: xr.DataArray, around: xr.DataArray | None, chosen: CalciumCleaning
) -> xr.DataArray:
    if around is None or not chosen.neuropil_coefficient:
        return fluorescence
    kept = as_float(fluorescence) - chosen.neuropil_coefficient * as_float(around)
    return kept.assign_attrs(fluorescence.attrs)


def _normalise(
    stream: xr.Dataset, around: xr.DataArray | None, clock: Clock, chosen: CalciumCleaning
) -> tuple[xr.Dataset, "Figures | None"]:
    """Turn fluorescence F into (F - F0) / F0; return that and the figures of its units.

    Without figures, the stream as it was: its baseline is mostly not above zero.
    """
    fluorescence, knots = _subtract(stream["activity"], around, chosen), place_knots(clock, chosen)

    def measure(rows: Rows) -> Rows:
        # Baseline and figures in one reading; only the few levels are kept, not dF/F itself.
        level_KN = find_levels(rows, knots, chosen.baseline_percentile)
        subtract_baseline(rows.T, 0, level_KN, knots, rows.T, divide=True)
        return np.concatenate([unit_figures(rows, clock), level_KN])

    made = summarise(measure, fluorescence, FIGURES + len(knots.middle))
    level_KN = made[FIGURES:]
    lowest_N = np.where(np.isfinite(level_KN), level_KN, np.inf).min(0)
    if not np.median(lowest_N) > 0:
        return stream, None
    dff = remove_baseline(fluorescence.data, level_KN, knots, divide=True)
    cleaned = replace_primary(stream, with_values(fluorescence, dff))
    cleaned["activity"].attrs["units"] = "1"
    if around is not None:
        cleaned = note_operation(
            cleaned, "subtract_neuropil", coefficient=chosen.neuropil_coefficient
        )
    cleaned = note_operation(
        cleaned,
        "baseline_percentile_dff",
        percentile=chosen.baseline_percentile,
        window_s=chosen.baseline_window_s,
    )
    return cleaned, Figures(made[0], made[1], made[2], np.flatnonzero(lowest_N <= 0))


def _detrend(stream: xr.Dataset, clock: Clock, chosen: CalciumCleaning) -> xr.Dataset:
    """Subtract the running percentile from what is dF/F already."""
    activity, knots = stream["activity"], place_knots(clock, chosen)
    level_KN = summarise(
        lambda rows: find_levels(rows, knots, chosen.baseline_percentile),
        activity,
        len(knots.middle),
    )
    level = with_values(activity, remove_baseline(activity.data, level_KN, knots, divide=False))
    return note_operation(
        replace_primary(stream, level), "detrend", window_s=chosen.baseline_window_s
    )


def _deconvolve(stream: xr.Dataset, clock: Clock, chosen: CalciumCleaning) -> xr.Dataset:
    # Imported where it is needed: numba takes a second, and this is off by default.
    from tasks.preprocess.deconvolve import infer_spikes

    def infer(rows: Floats) -> Floats:
        return infer_spikes(rows, clock.segment, clock.rate_hz, chosen.decay_s)

    inferred = over_time(infer, as_float(stream["activity"]))
    inferred.attrs = {"units": "1", "long_name": "inferred spikes, arbitrary scale"}
    return note_operation(
        stream.assign(deconvolved=inferred), "deconvolve_oasis_ar1", decay_s=chosen.decay_s
    )


FIGURES = 3


@dataclass(frozen=True)
class Figures:
    """What decides whether the units of a stream are kept.

    finite : (unit,) part of the samples that are numbers
    spread : (unit,) largest less smallest value; 0 if there is none
    noise : (unit,) see `noise_level`
    below : units whose baseline is not above zero somewhere
    """

    finite: Floats
    spread: Floats
    noise: Floats
    below: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))


def _figures(stream: xr.Dataset, clock: Clock) -> Figures:
    made = summarise(lambda rows: unit_figures(rows, clock), stream["activity"], FIGURES)
    return Figures(made[0], made[1], made[2])


def unit_figures(rows: Rows, clock: Clock) -> Rows:
    """Return (figure, row): the finite part, the range (0 if none is finite), and the noise."""
    made = [_batch_figures(rows[batch], clock) for batch in batches(rows)]
    return np.concatenate(made, axis=1) if made else np.empty((FIGURES, 0))


def _batch_figures(rows: Rows, clock: Clock) -> Rows:
    lowest, highest = rows.min(1, initial=np.inf), rows.max(1, initial=-np.inf)
    share = np.ones(len(rows))
    # Both are finite unless a value is not: the slow way is for units with a gap.
    for n in np.flatnonzero(~np.isfinite(lowest) | ~np.isfinite(highest)):
        finite = np.isfinite(rows[n])
        share[n] = finite.mean() if finite.size else 0.0
        lowest[n] = rows[n].min(initial=np.inf, where=finite)
        highest[n] = rows[n].max(initial=-np.inf, where=finite)
    spread = np.subtract(highest, lowest, out=np.zeros(len(rows)), where=highest >= lowest)
    return np.stack([share, spread, noise_level(rows, clock)])


def _assess(
    stream: xr.Dataset,
    figures: Figures,
    clock: Clock,
    chosen: CalciumCleaning,
    normalised: bool,
) -> xr.Dataset:
    """Add `valid`, `noise`, `noise_level`, `keep` and `reason`."""
    reasons = {int(n): "its baseline is not above zero" for n in figures.below}
    for n in np.flatnonzero(figures.finite < chosen.min_valid):
        reasons.setdefault(int(n), f"{figures.finite[n]:.0%} of its samples are finite")
    for n in np.flatnonzero(figures.spread == 0):
        reasons.setdefault(int(n), "constant")
    assessed = stream.assign(
        valid=_valid(stream["activity"], figures.finite),
        noise=("unit", figures.noise, {"units": stream["activity"].attrs.get("units", "1")}),
    )
    if normalised:
        # noise = 1.4826 / sqrt(2) times the median absolute step, so this is nu in % / sqrt(Hz).
        level = 100 * figures.noise * np.sqrt(2) / 1.4826 / np.sqrt(clock.rate_hz)
        assessed["noise_level"] = ("unit", level, {"units": "%/sqrt(Hz)"})
    return note_operation(
        set_aside(assessed, "unit", reasons), "assess_units", min_valid=chosen.min_valid
    )


def _valid(activity: xr.DataArray, finite: Floats) -> xr.DataArray:
    """Tell where values are finite; once for all units where all of them are, always.

    One column instead of thousands; and align sees that there is nothing to mask.
    """
    if (finite == 1).all():
        return xr.DataArray(np.ones(activity.sizes["time"], bool), dims="time")
    return is_finite(activity)


def noise_level(rows: Rows, clock: Clock) -> Floats:
    """Return the robust standard deviation of each unit's noise.

    From the median absolute step between neighbouring samples of a segment, which slow transients
    hardly change (Rupprecht et al. 2021, doi:10.1038/s41593-021-00895-5).
    """
    # Compiled when it is first needed; numba takes a second to import.
    from tasks.preprocess.order_kernels import median_absolute_step

    noise: Floats = median_absolute_step(rows, clock.runs[1:, 0]) * 1.4826 / np.sqrt(2.0)
    return noise
