"""Calcium: neuropil, dF/F, noise of each unit, spikes inferred; useless units set aside."""

import re
from collections.abc import Mapping
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.settings.preprocess import CalciumCleaning, PreprocessSettings
from tasks.preprocess.baseline import Rows, percentile_of, running_baseline
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
    around = stream.get(NEUROPIL)
    cleaned = stream.drop_vars(NEUROPIL, errors="ignore").assign_attrs(raw="activity")
    reasons: dict[int, str] = {}
    normalised = measure == "dff"
    if measure == "fluorescence" and stream["activity"].size:
        fluorescence = _subtract(cleaned["activity"], around, chosen)
        lowest = summarise(lambda rows: _lowest_baseline(rows, clock, chosen), fluorescence)
        normalised = bool(np.median(lowest) > 0)
        if normalised:
            cleaned = _normalise(cleaned, fluorescence, around is not None, clock, chosen)
            reasons = {
                int(n): "its baseline is not above zero" for n in np.flatnonzero(lowest <= 0)
            }
    elif measure == "dff" and chosen.detrend:
        cleaned = _detrend(cleaned, clock, chosen)
    cleaned = cleaned.assign_attrs(measure=measure)
    cleaned = _assess(cleaned, clock, chosen, reasons, normalised)
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
        match = next((d for d in around.values() if _same_cells(stream, d)), None)
        if match is not None:
            paired[name] = stream.assign(
                {NEUROPIL: (("time", "unit"), match["activity"].data, match["activity"].attrs)}
            )
    return paired


def _same_cells(one: xr.Dataset, other: xr.Dataset) -> bool:
    same_size = one["activity"].shape == other["activity"].shape
    return same_size and one["unit"].values.tolist() == other["unit"].values.tolist()


def _subtract(
    fluorescence: xr.DataArray, around: xr.DataArray | None, chosen: CalciumCleaning
) -> xr.DataArray:
    if around is None or not chosen.neuropil_coefficient:
        return fluorescence
    kept = as_float(fluorescence) - chosen.neuropil_coefficient * as_float(around)
    return kept.assign_attrs(fluorescence.attrs)


def _normalise(
    stream: xr.Dataset,
    fluorescence: xr.DataArray,
    subtracted: bool,
    clock: Clock,
    chosen: CalciumCleaning,
) -> xr.Dataset:
    """Turn fluorescence F into (F - F0) / F0."""

    def to_dff(rows: Rows) -> Rows:
        baseline = running_baseline(rows, clock, chosen)
        change = rows - baseline
        return np.divide(change, baseline, out=np.full_like(change, np.nan), where=baseline > 0)

    dff = over_time(to_dff, fluorescence).assign_attrs(units="1")
    cleaned = replace_primary(stream, dff)
    cleaned["activity"].attrs["units"] = "1"
    if subtracted:
        cleaned = note_operation(
            cleaned, "subtract_neuropil", coefficient=chosen.neuropil_coefficient
        )
    return note_operation(
        cleaned,
        "baseline_percentile_dff",
        percentile=chosen.baseline_percentile,
        window_s=chosen.baseline_window_s,
    )


def _detrend(stream: xr.Dataset, clock: Clock, chosen: CalciumCleaning) -> xr.Dataset:
    """Subtract the running percentile from what is dF/F already."""
    level = over_time(lambda rows: rows - running_baseline(rows, clock, chosen), stream["activity"])
    return note_operation(
        replace_primary(stream, level), "detrend", window_s=chosen.baseline_window_s
    )


def _deconvolve(stream: xr.Dataset, clock: Clock, chosen: CalciumCleaning) -> xr.Dataset:
    # Imported where it is needed: numba takes a second, and this is off by default.
    from tasks.preprocess.deconvolve import infer_spikes

    def infer(rows: Rows) -> Rows:
        return infer_spikes(rows, clock.segment, clock.rate_hz, chosen.decay_s)

    inferred = over_time(infer, as_float(stream["activity"]))
    inferred.attrs = {"units": "1", "long_name": "inferred spikes, arbitrary scale"}
    return note_operation(
        stream.assign(deconvolved=inferred), "deconvolve_oasis_ar1", decay_s=chosen.decay_s
    )


def _lowest_baseline(rows: Rows, clock: Clock, chosen: CalciumCleaning) -> Rows:
    """Return the lowest baseline of each row; inf where it has no finite value."""
    baseline = running_baseline(rows, clock, chosen)
    lowest: Rows = np.where(np.isfinite(baseline), baseline, np.inf).min(1)
    return lowest


def _assess(
    stream: xr.Dataset,
    clock: Clock,
    chosen: CalciumCleaning,
    reasons: dict[int, str],
    normalised: bool,
) -> xr.Dataset:
    """Add `valid`, `noise`, `noise_level`, `keep` and `reason`."""
    activity = as_float(stream["activity"])
    finite, spread, noise = summarise(lambda rows: _figures(rows, clock), activity, 3)
    found = dict(reasons)
    for n in np.flatnonzero(finite < chosen.min_valid):
        found.setdefault(int(n), f"{finite[n]:.0%} of its samples are finite")
    for n in np.flatnonzero(spread == 0):
        found.setdefault(int(n), "constant")
    assessed = stream.assign(
        valid=_valid(stream["activity"], finite),
        noise=("unit", noise, {"units": stream["activity"].attrs.get("units", "1")}),
    )
    if normalised:
        # noise = 1.4826 / sqrt(2) times the median absolute step, so this is nu in % / sqrt(Hz).
        level = 100 * noise * np.sqrt(2) / 1.4826 / np.sqrt(clock.rate_hz)
        assessed["noise_level"] = ("unit", level, {"units": "%/sqrt(Hz)"})
    return note_operation(
        set_aside(assessed, "unit", found), "assess_units", min_valid=chosen.min_valid
    )


def _valid(activity: xr.DataArray, finite: NDArray[np.float64]) -> xr.DataArray:
    """Tell where values are finite; once for all units where all of them are, always.

    One column instead of thousands; and align sees that there is nothing to mask.
    """
    if (finite == 1).all():
        return xr.DataArray(np.ones(activity.sizes["time"], bool), dims="time")
    return is_finite(activity)


def _figures(rows: Rows, clock: Clock) -> Rows:
    """Return (figure, row): the finite part, the range (0 if none is finite), and the noise."""
    finite = np.isfinite(rows)
    highest = np.where(finite, rows, -np.inf).max(1)
    lowest = np.where(finite, rows, np.inf).min(1)
    spread = np.where(finite.any(1), highest - lowest, 0.0)
    return np.stack([finite.mean(1), spread, noise_level(rows, clock)])


def noise_level(rows: NDArray[np.floating], clock: Clock) -> Rows:
    """Return the robust standard deviation of each unit's noise.

    From the median absolute step between neighbouring samples of a segment, which slow transients
    hardly change (Rupprecht et al. 2021, doi:10.1038/s41593-021-00895-5).
    """
    step = np.abs(np.diff(rows, axis=1))[:, clock.segment[1:] == clock.segment[:-1]]
    noise: Rows = percentile_of(step, 50.0) * 1.4826 / np.sqrt(2.0)
    return noise
