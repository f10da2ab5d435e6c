"""What each column is like, by its training samples and name: what its embeddings are guessed by.

A unit that a model has never met has statistics, a place, and a tuning to behaviour that has the
same name in every session; see model.Guess.
"""

import hashlib
from collections.abc import Iterable

import numpy as np

from tasks.lnm.data.recording import Bools, Floats, Ints, Recording, Scaler
from tasks.lnm.data.runs import Runs
from tasks.lnm.linear.skip import shift_back

HASHED = 8
"""Numbers that a name becomes."""
LAGS = (1, 4, 16)
COORDINATES = 3
TRAITS = 5 + len(LAGS) + COORDINATES + 2 * HASHED
SHRINK = 100.0
"""Samples that a correlation must be worth to be believed by half."""
BLOCK = 4096
"""Columns at a time, so that memory does not grow with the units of a whole brain."""


def describe_columns(recording: Recording, runs: Runs, train: Bools, scaler: Scaler) -> Floats:
    """Return (column, TRAITS) what each column is like, from training samples only.

    In this order: whether it is a unit; log rate and log Fano factor of spike counts; skewness;
    coupling to the mean of the units (Okun et al. 2015, doi:10.1038/nature14273); autocorrelation
    at LAGS; coordinates; kind, region or name hashed; correlation with each behaviour channel, at
    the place to which the channel's name is hashed (Weinberger et al. 2009, arXiv:0902.2206).
    """
    columns = recording.columns
    neural_V, counts_V = columns.neural, columns.counts
    parts = np.split(np.arange(len(neural_V)), range(BLOCK, len(neural_V), BLOCK))

    def known(own: Ints) -> Floats:
        z_TV = scaler.take(own).standardise(recording.values_TV[:, own])
        return np.where(train[:, None], z_TV, np.nan)

    rate_V = np.maximum(scaler.mean_V, 1e-3)
    log_rate_V = np.where(counts_V, np.log(rate_V * recording.rate_hz) / 3, 0.0)
    fano_V = np.where(counts_V, np.log(scaler.sd_V**2 / rate_V), 0.0)
    drive_T1 = _mean_known(known(own[neural_V[own]]) for own in parts)
    behaviour_TC = known(np.flatnonzero(~neural_V))
    found: list[list[Floats]] = [[] for _ in range(3 + len(LAGS))]
    for own in parts:
        z_TV = known(own)
        told = [np.nanmean(z_TV**3, axis=0), _correlate(z_TV, drive_T1)]
        told += [_autocorrelation(z_TV, runs, lag) for lag in LAGS]
        for kept, part in zip(found, [*told, _correlate(z_TV, behaviour_TC)], strict=True):
            kept.append(part)
    skew_V, coupling_V1, *lagged, tuning_VC = map(np.concatenate, found)
    channels = [hash_name(name) for name in np.array(columns.names)[~neural_V]]
    tuning_VH = tuning_VC @ np.reshape(channels, (-1, HASHED))
    traits_VF = np.column_stack(
        [neural_V, log_rate_V, fano_V, np.arcsinh(skew_V), coupling_V1, *lagged,
         _coordinates(recording), [hash_name(label) for label in columns.labels], tuning_VH]
    )  # fmt: skip
    return np.asarray(np.nan_to_num(traits_VF), np.float32)


def hash_name(name: str) -> Floats:
    """Return HASHED numbers of unit length together that are the same for a name everywhere."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    drawn = np.random.default_rng(seed).standard_normal(HASHED)
    return np.asarray(drawn / np.linalg.norm(drawn))


def _coordinates(recording: Recording) -> Floats:
    """Return (column, COORDINATES) places in standard deviations from the middle; 0 if unknown."""
    place_VX = recording.place_VX
    if place_VX is None:
        return np.zeros((len(recording.columns.names), COORDINATES))
    known_VX = np.isfinite(place_VX)
    count_X = np.maximum(known_VX.sum(0), 1)
    apart_VX = np.where(known_VX, place_VX - np.where(known_VX, place_VX, 0).sum(0) / count_X, 0)
    return np.asarray(apart_VX / np.sqrt(np.maximum((apart_VX**2).sum(0) / count_X, 1e-12)))


def _mean_known(parts: Iterable[Floats]) -> Floats:
    """Return (time, 1) means over the known of all parts; NaN where none is."""
    sums = [(np.nansum(z, axis=1, keepdims=True), np.isfinite(z).sum(1)[:, None]) for z in parts]
    total_T1, count_T1 = (sum(part) for part in zip(*sums, strict=True))
    return np.where(count_T1 > 0, total_T1 / np.maximum(count_T1, 1), np.nan)


def _correlate(z_TV: Floats, other_TC: Floats) -> Floats:
    """Return (column, other) correlations, shrunk by how few samples they rest on."""
    known_TC, known_TV = np.isfinite(other_TC), np.isfinite(z_TV)
    other_TC, value_TV = np.where(known_TC, other_TC, 0), np.where(known_TV, z_TV, 0)
    power_VC = (value_TV**2).T @ known_TC * (known_TV.T @ other_TC**2)
    product_VC = value_TV.T @ other_TC / np.sqrt(np.maximum(power_VC, 1e-12))
    count_VC = known_TV.astype(float).T @ known_TC
    return np.asarray(product_VC * count_VC / (count_VC + SHRINK))


def _autocorrelation(z_TV: Floats, runs: Runs, lag: int) -> Floats:
    product_TV = z_TV * shift_back(z_TV, runs, lag)
    count_V = np.isfinite(product_TV).sum(0)
    return np.asarray(np.nansum(product_TV, axis=0) / np.maximum(count_V, 1))
