"""Quality of sorted units, a group of units in memory at a time."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from schemas.settings.clean_neural import SpikeCleaning
from tasks.preprocess.observation import Observation, read_observation

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

GROUP_SPIKES = 2**20
"""Spikes read at once; a unit with more is read by itself."""
AMPLITUDES = ("spike_amplitudes", "amplitudes", "amplitude", "spike_amplitude")
"""Variables along `spike` that hold how large each spike was; the last is read off waveforms."""
CUTOFF_BINS, CUTOFF_SMOOTH = 500, 3
"""Histogram of the amplitudes and its smoothing (ecephys_spike_sorting, IBL's brainbox)."""
CUTOFF_FEWEST = 100


@dataclass(frozen=True)
class Train:
    """The spikes of some units: time, unit and amplitude, by unit and then by time."""

    time: Floats
    unit: Integers
    amplitude: Floats | None


@dataclass
class UnitQuality:
    """One figure a unit, (unit,) each; see `measure_units`."""

    units: int
    count: Integers = field(init=False)
    rate: Floats = field(init=False)
    violations: Floats = field(init=False)
    contamination: Floats = field(init=False)
    presence: Floats = field(init=False)
    cutoff: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.count = np.zeros(self.units, np.int64)
        self.rate, self.violations, self.presence = (np.zeros(self.units) for _ in range(3))
        self.contamination, self.cutoff = (np.full(self.units, np.nan) for _ in range(2))


def measure_units(stream: xr.Dataset, chosen: SpikeCleaning) -> UnitQuality:
    """Measure each unit of a stream of spikes by those that it fired while it was observed.

    Where the recording does not tell when, all units were from the first to the last spike of all.

    Returns
    -------
    count : spikes
    rate : spikes a second of the time it was observed
    violations : fraction of intervals between its spikes that break the refractory period
    contamination : fraction of its spikes that are of other neurons; see `contaminated`
    presence : fraction of equal parts of the session in which it fires
    cutoff : fraction of its spikes that were too small to be found; NaN without amplitudes
    """
    found = UnitQuality(stream.sizes["unit"])
    first, last = np.inf, -np.inf
    observation = read_observation(stream)
    for train in read_trains(stream):
        if train.time.size:
            first, last = min(first, train.time.min()), max(last, train.time.max())
    extent = np.full(found.units, max(last - first, 0.0))
    observed_s = extent if observation is None else observation.seconds
    for train in _observed_trains(stream, observation):
        here = np.unique(train.unit)
        found.count[here] = np.bincount(train.unit, minlength=found.units)[here]
        short, pairs = count_violations(train, found.units, chosen.refractory_s)
        found.violations[here] = (short / np.maximum(found.count - 1, 1))[here]
        contamination = contaminated(found.count, pairs, observed_s, chosen.refractory_s)
        found.contamination[here] = contamination[here]
        found.presence[here] = _presence(train, found.units, first, last, chosen)[here]
        if train.amplitude is not None:
            for unit in here.tolist():
                found.cutoff[unit] = lost_fraction(train.amplitude[train.unit == unit])
    found.rate = np.divide(found.count, observed_s, out=np.zeros(found.units), where=observed_s > 0)
    return found


def read_trains(stream: xr.Dataset) -> Iterator[Train]:
    """Yield the spikes of a group of units at a time, without those whose time is not finite.

    Spikes that do not come unit by unit are all read at once.
    """
    total, units = stream.sizes["spike"], stream.sizes["unit"]
    count, ordered, before = np.zeros(units, np.int64), True, -1
    for start in range(0, total, GROUP_SPIKES):
        block = np.asarray(stream["unit_index"][start : start + GROUP_SPIKES].values, np.int64)
        ordered &= bool(block[0] >= before and (np.diff(block) >= 0).all())
        before = int(block[-1])
        count += np.bincount(block, minlength=units)
    ends = np.cumsum(count)
    start = 0
    while start < total:
        stop = total
        if ordered:
            fits = int(np.searchsorted(ends, start + GROUP_SPIKES, side="right"))
            # The first unit whose spikes end after `start` is read even if it does not fit.
            first = int(np.searchsorted(ends, start, side="right"))
            stop = int(ends[max(fits - 1, first)])
        yield _read_train(stream.isel(spike=slice(start, stop)))
        start = stop


def _read_train(part: xr.Dataset) -> Train:
    time = np.asarray(part["spike_time"].values, np.float64)
    unit = np.asarray(part["unit_index"].values, np.int64)
    name = next((n for n in AMPLITUDES if n in part and part[n].dims == ("spike",)), None)
    amplitude = None if name is None else np.asarray(part[name].values, np.float64)
    finite = np.isfinite(time)
    order = np.flatnonzero(finite)[np.lexsort((time[finite], unit[finite]))]
    return Train(time[order], unit[order], None if amplitude is None else amplitude[order])


def _observed_trains(stream: xr.Dataset, observation: Observation | None) -> Iterator[Train]:
    for train in read_trains(stream):
        if observation is None:
            yield train
            continue
        seen = observation.holds(train.time, train.unit)
        amplitude = None if train.amplitude is None else train.amplitude[seen]
        yield Train(train.time[seen], train.unit[seen], amplitude)


def count_violations(train: Train, units: int, refractory_s: float) -> tuple[Integers, Integers]:
    """Count the intervals, and the pairs of spikes, of each unit that are too close.

    Of three spikes within the refractory period two intervals are too short, but three pairs.
    """
    pairs = np.zeros(units, np.int64)
    short = pairs
    for lag in range(1, len(train.time)):
        close = train.unit[lag:] == train.unit[:-lag]
        close &= train.time[lag:] - train.time[:-lag] < refractory_s
        found = np.bincount(train.unit[lag:][close], minlength=units)
        if lag == 1:
            short = found
        if not close.any():
            break
        pairs = pairs + found
    return short, pairs


def contaminated(
    count: Integers, pairs: Integers, observed_s: Floats, refractory_s: float
) -> Floats:
    """Return the fraction of a unit's spikes that belong to other neurons.

    Under the assumption that the others fire independently of it and of each other: 1 - sqrt(1 -
    n T / (N^2 t)), where n of the pairs of N spikes in T seconds are closer than t. 1 where there
    are more than even that explains, NaN without spikes.

    References
    ----------
    Llobet, Wyngaard and Barbour 2022, doi:10.1101/2022.02.08.479192, as in SpikeInterface
    """
    expected = np.square(count, dtype=np.float64) * refractory_s
    share = np.divide(
        pairs * observed_s, expected, out=np.full(len(count), np.nan), where=expected > 0
    )
    part: Floats = 1.0 - np.sqrt(np.clip(1.0 - share, 0.0, 1.0))
    return part


def _presence(train: Train, units: int, first: float, last: float, chosen: SpikeCleaning) -> Floats:
    """Return the fraction of equal parts of the session in which each unit fires."""
    bins = chosen.presence_bins
    span = max(last - first, np.finfo(float).tiny)
    part = np.minimum(((train.time - first) / span * bins).astype(np.int64), bins - 1)
    present = np.zeros((units, bins), bool)
    present[train.unit, part] = True
    return present.mean(1)


def lost_fraction(amplitude: Floats) -> float:
    """Return the fraction of a unit's spikes that were too small to be found.

    If amplitudes are spread evenly around their mode, the histogram's cut-off side lacks what its
    other side has beyond the point of equal height (Hill et al. 2011). NaN with fewer than 100.
    """
    size = np.abs(amplitude[np.isfinite(amplitude)])
    if size.size < CUTOFF_FEWEST or np.ptp(size) == 0:
        return float("nan")
    density, edges = np.histogram(size, CUTOFF_BINS, density=True)
    smooth = gaussian_filter1d(density, CUTOFF_SMOOTH)
    peak = int(np.argmax(smooth))
    beyond = peak + int(np.argmin(np.abs(smooth[peak:] - smooth[0])))
    lost = float(smooth[beyond:].sum() * np.mean(np.diff(edges)))
    return min(lost, 0.5)
