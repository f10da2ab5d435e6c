"""Spikes: quality of each sorted unit, and which are good enough to use."""

import numpy as np
import xarray as xr

from schemas.settings.clean_neural import SpikeCleaning
from schemas.settings.preprocess import PreprocessSettings
from tasks.preprocess.spike_quality import Floats, UnitQuality, measure_units
from tasks.preprocess.stream import note_operation, set_aside


def assess_spikes(name: str, stream: xr.Dataset, settings: PreprocessSettings) -> xr.Dataset:
    """Add rate, refractory violations, contamination, presence and lost spikes of each unit.

    Poor units are set aside. No spike is removed.

    References
    ----------
    Hill et al. 2011, doi:10.1523/JNEUROSCI.0971-11.2011 (refractory violations, lost spikes);
    Llobet et al. 2022, doi:10.1101/2022.02.08.479192 (contamination); ecephys_spike_sorting and
    brainbox for definitions and defaults.
    """
    chosen = settings.spikes
    found = measure_units(stream, chosen)
    figures: dict[str, tuple[Floats, str]] = {
        "firing_rate": (found.rate, "Hz"),
        "isi_violations": (found.violations, "1"),
        "contamination": (found.contamination, "1"),
        "presence_ratio": (found.presence, "1"),
    }
    if np.isfinite(found.cutoff).any() or "amplitude_cutoff" not in stream:
        # A file's own figure stays where ours cannot be had.
        figures["amplitude_cutoff"] = (found.cutoff, "1")
    assessed = stream.assign(
        {key: ("unit", values, {"units": units}) for key, (values, units) in figures.items()}
    )
    assessed = set_aside(assessed, "unit", _reasons(found, chosen)).assign_attrs(raw="spike_time")
    return note_operation(assessed, "assess_spikes", **chosen.model_dump())


def _reasons(found: UnitQuality, chosen: SpikeCleaning) -> dict[int, str]:
    """Return why units are set aside, by position."""
    reasons: dict[int, str] = {}
    for n, spikes in enumerate(found.count.tolist()):
        if spikes < chosen.min_spikes:
            reasons[n] = f"{spikes} spikes, fewer than {chosen.min_spikes}"
        elif found.violations[n] > chosen.max_isi_violations:
            reasons[n] = f"{found.violations[n]:.1%} of intervals break the refractory period"
        elif found.contamination[n] > chosen.max_contamination:
            reasons[n] = f"{found.contamination[n]:.0%} of its spikes are of other neurons"
        elif found.presence[n] < chosen.min_presence:
            reasons[n] = f"present in {found.presence[n]:.0%} of the session"
        elif found.cutoff[n] > chosen.max_amplitude_cutoff:
            reasons[n] = f"{found.cutoff[n]:.0%} of its spikes were too small to be found"
    return reasons
