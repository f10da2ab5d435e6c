"""Spikes: quality of each sorted unit, and which are good enough to use."""

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.settings.preprocess import PreprocessSettings, SpikeCleaning
from tasks.preprocess.stream import note_operation, set_aside


def assess_spikes(name: str, stream: xr.Dataset, settings: PreprocessSettings) -> xr.Dataset:
    """Add firing rate, refractory violations and presence of each unit; set poor ones aside.

    No spike is removed.

    References
    ----------
    Hill et al. 2011, doi:10.1523/JNEUROSCI.0971-11.2011 (refractory violations);
    ecephys_spike_sorting and brainbox for the definitions and defaults.
    """
    chosen = settings.spikes
    time, unit = _sorted_spikes(stream)
    units = stream.sizes["unit"]
    count = np.bincount(unit, minlength=units)
    observed_s = _observed_seconds(stream, time, units)
    rate = np.divide(count, observed_s, out=np.zeros(units), where=observed_s > 0)
    violations = _isi_violations(time, unit, units, chosen.refractory_s)
    presence = _presence(time, unit, units, chosen.presence_bins)
    reasons = _reasons(count, violations, presence, chosen)
    assessed = stream.assign(
        firing_rate=("unit", rate, {"units": "Hz"}),
        isi_violations=("unit", violations, {"units": "1"}),
        presence_ratio=("unit", presence, {"units": "1"}),
    )
    assessed = set_aside(assessed, "unit", reasons).assign_attrs(raw="spike_time")
    return note_operation(assessed, "assess_spikes", **chosen.model_dump())


def _sorted_spikes(stream: xr.Dataset) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return spike times and their units, by unit and then by time, without NaN times."""
    time = np.asarray(stream["spike_time"].values, np.float64)
    unit = np.asarray(stream["unit_index"].values, np.int64)
    finite = np.isfinite(time)
    time, unit = time[finite], unit[finite]
    order = np.lexsort((time, unit))
    return time[order], unit[order]


def _observed_seconds(
    stream: xr.Dataset, time: NDArray[np.float64], units: int
) -> NDArray[np.float64]:
    """Return how long each unit was observed; where not told, from first to last spike of all."""
    if "observed_start" not in stream:
        return np.full(units, np.ptp(time) if time.size else 0.0)
    lasted = stream["observed_stop"].values - stream["observed_start"].values
    return np.bincount(stream["observed_unit"].values, weights=lasted, minlength=units)


def _isi_violations(
    time: NDArray[np.float64], unit: NDArray[np.int64], units: int, refractory_s: float
) -> NDArray[np.float64]:
    """Return the fraction of intervals between a unit's spikes that are too short."""
    same = unit[1:] == unit[:-1]
    short = same & (np.diff(time) < refractory_s)
    intervals = np.bincount(unit[1:][same], minlength=units)
    return np.bincount(unit[1:][short], minlength=units) / np.maximum(intervals, 1)


def _presence(
    time: NDArray[np.float64], unit: NDArray[np.int64], units: int, bins: int
) -> NDArray[np.float64]:
    """Return the fraction of equal parts of the session in which each unit fires."""
    if not time.size:
        return np.zeros(units)
    span = max(np.ptp(time), np.finfo(float).tiny)
    part = np.minimum(((time - time.min()) / span * bins).astype(np.int64), bins - 1)
    present = np.zeros((units, bins), bool)
    present[unit, part] = True
    return present.mean(1)


def _reasons(
    count: NDArray[np.int64],
    violations: NDArray[np.float64],
    presence: NDArray[np.float64],
    chosen: SpikeCleaning,
) -> dict[int, str]:
    """Return why units are set aside, by position."""
    reasons: dict[int, str] = {}
    for n, (spikes, broken, present) in enumerate(zip(count, violations, presence, strict=True)):
        if spikes < chosen.min_spikes:
            reasons[n] = f"{spikes} spikes, fewer than {chosen.min_spikes}"
        elif broken > chosen.max_isi_violations:
            reasons[n] = f"{broken:.1%} of intervals break the refractory period"
        elif present < chosen.min_presence:
            reasons[n] = f"present in {present:.0%} of the session"
    return reasons
