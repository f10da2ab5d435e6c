"""How far two stretches of behaviour are apart; every distance is 0 for equal statistics."""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import welch
from scipy.spatial.distance import cdist
from scipy.stats import ks_2samp, wasserstein_distance

from tasks.twin.library import Floats

Record = list[Floats]
"""Gapless stretches of behaviour, each (time, channel), in training SDs."""

WELCH_SAMPLES = 64


def channel_of(record: Record, channel: int) -> list[Floats]:
    """Return one channel's stretches."""
    return [stretch_TC[:, channel] for stretch_TC in record]


def ks_distance(a: list[Floats], b: list[Floats]) -> float:
    """Return the largest gap between two cumulative distributions, in [0, 1]."""
    return float(ks_2samp(np.concatenate(a), np.concatenate(b)).statistic)


def wasserstein(a: list[Floats], b: list[Floats]) -> float:
    """Return how far values must be moved to turn one distribution into the other, in SDs."""
    return float(wasserstein_distance(np.concatenate(a), np.concatenate(b)))


def spectrum_hellinger(a: list[Floats], b: list[Floats]) -> float:
    """Return the Hellinger distance of two normalised Welch spectra, in [0, 1].

    Both use segments of the same length: 64 samples, or the shorter record's longest stretch.
    """
    samples = min(WELCH_SAMPLES, max(map(len, a)), max(map(len, b)))
    root_a, root_b = np.sqrt(_spectrum(a, samples)), np.sqrt(_spectrum(b, samples))
    return float(np.sqrt(max(1.0 - float(root_a @ root_b), 0.0)))


def _spectrum(stretches: list[Floats], samples: int) -> Floats:
    long_enough = [stretch for stretch in stretches if len(stretch) >= samples]
    powers = [welch(stretch, nperseg=samples)[1] for stretch in long_enough]
    weights = [len(stretch) for stretch in long_enough]
    power: Floats = np.average(powers, axis=0, weights=weights)[1:]
    total = power.sum()
    return power / total if total > 0 else np.full(len(power), 1.0 / len(power))


def autocorrelation_distance(a: list[Floats], b: list[Floats], lags: int) -> float:
    """Return the mean absolute difference of two autocorrelations at lags 1 to `lags`."""
    return float(np.abs(_correlations(a, a, lags) - _correlations(b, b, lags))[1:].mean())


def crosscorrelation_distance(a: Record, b: Record, lags: int) -> float:
    """Return the RMS difference of all pairs' cross-correlations at lags 0 to `lags`."""
    channels = a[0].shape[1]
    squares = [
        (
            _correlations(channel_of(a, i), channel_of(a, j), lags)
            - _correlations(channel_of(b, i), channel_of(b, j), lags)
        )
        ** 2
        for i in range(channels)
        for j in range(channels)
        if i != j
    ]
    return float(np.sqrt(np.mean(squares)))


def _correlations(x: list[Floats], y: list[Floats], lags: int) -> Floats:
    """Correlate x with y `lag` samples later, products never reaching across stretches.

    A constant record correlates with nothing: 0 at every lag.
    """
    all_x, all_y = np.concatenate(x), np.concatenate(y)
    scale = float(all_x.std() * all_y.std())
    result = np.zeros(lags + 1)
    if scale < 1e-12:
        return result
    for lag in range(lags + 1):
        products = [
            (one[: len(one) - lag] - all_x.mean()) * (two[lag:] - all_y.mean())
            for one, two in zip(x, y, strict=True)
            if len(one) > lag
        ]
        result[lag] = np.concatenate(products).mean() / scale if products else 0.0
    return result


def cut_windows(record: Record, samples: int, hop: int) -> Floats:
    """Cut windows inside the stretches, in time order: (window, time, channel)."""
    windows = [
        stretch_TC[start : start + samples]
        for stretch_TC in record
        for start in range(0, len(stretch_TC) - samples + 1, hop)
    ]
    channels = record[0].shape[1] if record else 0
    return np.stack(windows) if windows else np.zeros((0, samples, channels))


def nearest_distance(windows_WTC: Floats, library_WTC: Floats) -> NDArray[np.float64]:
    """Return each window's RMS distance to the nearest library window, in SDs."""
    flat = windows_WTC.reshape(len(windows_WTC), -1)
    known = library_WTC.reshape(len(library_WTC), -1)
    nearest: Floats = cdist(flat, known).min(axis=1) / np.sqrt(flat.shape[1])
    return nearest
