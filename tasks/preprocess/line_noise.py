"""Hum of the mains: found in a sample of the recording, taken out by notches without delay."""

from functools import partial

import dask.array as da
import numpy as np
from numpy.typing import NDArray
from scipy import signal

from schemas.settings.clean_neural import LfpCleaning
from tasks.common.segments import true_runs
from tasks.preprocess.pieces import Runs, filter_pieces

MAINS_HZ = (50.0, 60.0)
BANDWIDTH_HZ = 2.0
MARGIN_S = 2.0
"""A notch of 2 Hz forgets by a factor e in 0.16 s: after 2 s less than 1e-5 is left."""
BESIDE_HZ = (3.0, 8.0)
LEAST_SHARE = 1e-5
"""Hum that holds less of a channel's power than this does no harm."""
HIGHEST = 0.8
"""Part of the Nyquist frequency above which the anti-aliasing has removed the hum already."""

Floats = NDArray[np.floating]


def find_hum(blocks: list[Floats], rate_hz: float, chosen: LfpCleaning) -> float:
    """Return the frequency of the mains to be taken out; 0 for none.

    Parameters
    ----------
    blocks : (sample, channel) each, a second or so of good channels
    """
    if chosen.notch != "auto":
        return 0.0 if chosen.notch == "off" else float(chosen.notch)
    ratios = [_hum_ratio(blocks, rate_hz, hertz) for hertz in MAINS_HZ]
    best = int(np.argmax(ratios))
    return MAINS_HZ[best] if ratios[best] > chosen.notch_ratio else 0.0


def _hum_ratio(blocks: list[Floats], rate_hz: float, hertz: float) -> float:
    """Return the power at a frequency over that beside it, the median channel's."""
    longest = max((len(block) for block in blocks), default=0)
    long = [block for block in blocks if len(block) == longest]
    if not long or longest < rate_hz / 2 or hertz + BESIDE_HZ[1] > rate_hz / 2:
        return 0.0
    frequency = np.fft.rfftfreq(longest, 1 / rate_hz)
    # Block by block: the spectra of all at once would be half a gigabyte for 384 channels.
    power = sum(signal.periodogram(block, rate_hz, "hann", axis=0)[1] for block in long)
    away = np.abs(frequency - hertz)
    peak = power[away <= 1.0].max(0)
    beside = np.median(power[(away >= BESIDE_HZ[0]) & (away <= BESIDE_HZ[1])], axis=0)
    # Less than rounding leaves of a pure tone is no hum.
    known = (beside > 0) & (peak > LEAST_SHARE * power.sum(0))
    share = np.divide(peak, beside, out=np.zeros(len(peak)), where=known)
    return float(np.median(share)) if share.size else 0.0


def remove_hum(voltage: da.Array, runs: Runs, rate_hz: float, hertz: float) -> da.Array:
    """Take a frequency and its harmonics out of each gapless stretch, lazily.

    Second-order notches, forwards and backwards (scipy.signal.iirnotch), on a fixed grid of
    pieces that overlap by two seconds.
    """
    if not 0 < hertz < HIGHEST * rate_hz / 2:
        return voltage
    harmonics = np.arange(hertz, HIGHEST * rate_hz / 2, hertz)
    notches = [signal.tf2sos(*signal.iirnotch(h, h / BANDWIDTH_HZ, rate_hz)) for h in harmonics]
    kernel = partial(_notch, sos=np.concatenate(notches), shortest=round(rate_hz / 2))
    return filter_pieces(voltage, runs, round(MARGIN_S * rate_hz), kernel)


def _notch(block: Floats, sos: NDArray[np.float64], shortest: int) -> Floats:
    """Filter one stretch; missing samples are bridged for the filter and stay missing."""
    if len(block) < shortest:
        # Shorter than the filter rings: it would take the signal with the hum.
        return block
    missing = ~np.isfinite(block)
    filled = block.astype(np.float64)
    for column in np.flatnonzero(missing.any(0)):
        _bridge(filled[:, column], missing[:, column])
    filtered = signal.sosfiltfilt(sos, filled, axis=0, padlen=min(3 * shortest, len(block) - 1))
    made: Floats = np.where(missing, np.nan, filtered)
    return made


def _bridge(values: NDArray[np.float64], missing: NDArray[np.bool_]) -> None:
    """Fill missing samples by straight lines in place; nothing known becomes zero."""
    if missing.all():
        values[:] = 0.0
        return
    known = np.flatnonzero(~missing)
    for hole in true_runs(missing):
        values[hole] = np.interp(np.arange(hole.start, hole.stop), known, values[known])
