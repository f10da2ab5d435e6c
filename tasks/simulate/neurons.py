"""What the instruments see of the neurons: an indicator's fluorescence, and spikes."""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from schemas.settings.simulate import SimulateSettings
from tasks.simulate.dynamics import Trajectory
from tasks.simulate.sampling import add_noise, sample_times

REFRACTORY_S = 0.002
SPIKE_CLOCK_HZ = 30_000.0


def image_calcium(
    trajectory: Trajectory, settings: SimulateSettings, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Image the first `calcium_units` units.

    The rate is filtered by the indicator's kinetics, a difference of exponentials of unit area
    (decay as of GCaMP6f, Chen et al. 2013, doi:10.1038/nature12354), sampled at the imaging rate,
    and white noise is added.

    Returns
    -------
    time (frame,) seconds; dF/F (frame, unit), dimensionless
    """
    rate_TU = trajectory.rate_TN[:, : settings.calcium_units]
    calcium_TU = _filter_indicator(rate_TU, settings)
    time_F = sample_times(settings.duration_s, settings.calcium_rate_hz)
    nearest_F = np.rint(time_F / settings.step_s).astype(np.intp)
    noisy_FU = add_noise(calcium_TU[nearest_F], settings.calcium_noise, rng)
    return time_F, noisy_FU.astype(np.float32)


def emit_spikes(
    trajectory: Trajectory, settings: SimulateSettings, rng: np.random.Generator
) -> list[NDArray[np.float64]]:
    """Draw the spikes of the `spike_units` units after the imaged ones.

    A Poisson process with a dead time (a unit of a real sorter has a refractory period too). Its
    rate is the square of the unit's, scaled to a mean of `spike_rate_hz`: a steep input-output
    curve widens the swing of the rate against the noise of the counts.

    Returns
    -------
    spike times of each unit, seconds, ascending
    """
    first = settings.calcium_units
    rate_TU = trajectory.rate_TN[:-1, first : first + settings.spike_units] ** 2
    wanted_TU = settings.spike_rate_hz * rate_TU / rate_TU.mean(0)
    # Spikes that the dead time will take away are drawn in addition.
    hazard_TU = wanted_TU / np.maximum(1 - wanted_TU * REFRACTORY_S, 0.1)
    count_TU = rng.poisson(hazard_TU * settings.step_s)
    step_s, time_T = settings.step_s, trajectory.time_T[:-1]
    return [_place_spikes(time_T, count_T, step_s, rng) for count_T in count_TU.T]


def _filter_indicator(
    rate_TU: NDArray[np.float64], settings: SimulateSettings
) -> NDArray[np.float64]:
    slow = np.exp(-settings.step_s / settings.calcium_decay_s)
    fast = np.exp(-settings.step_s / settings.calcium_rise_s)
    level_U = rate_TU[0]
    filtered_TU = rate_TU - level_U  # starts settled at the first sample: no onset transient
    for pole in (slow, fast):
        filtered_TU = lfilter([1 - pole], [1, -pole], filtered_TU, axis=0)
    return np.asarray(filtered_TU + level_U, np.float64)


def _place_spikes(
    time_T: NDArray[np.float64],
    count_T: NDArray[np.int64],
    step_s: float,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Spread each step's spikes at random within the step, on the recorder's clock."""
    start_S = np.repeat(time_T, count_T)
    time_S = np.sort(start_S + rng.uniform(0, step_s, len(start_S)))
    return np.round(_impose_refractoriness(time_S) * SPIKE_CLOCK_HZ) / SPIKE_CLOCK_HZ


def _impose_refractoriness(time_S: NDArray[np.float64]) -> NDArray[np.float64]:
    """Drop every spike that follows a kept one within the refractory time."""
    kept: list[float] = []
    ready = -np.inf
    for time in time_S.tolist():
        if time >= ready:
            kept.append(time)
            ready = time + REFRACTORY_S
    return np.array(kept)
