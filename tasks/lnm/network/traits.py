"""What each column is like, by its training samples and name: what its embeddings are guessed by.

A unit that a model has never met has statistics, a place, and a tuning to behaviour that has the
same name in every session; see model.Guess.
"""

import hashlib

import numpy as np

from tasks.lnm.data.recording import Bools, Floats, Recording, Scaler
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
    z_TV = np.where(train[:, None], scaler.standardise(recording.values_TV), np.nan)
    neural_V, counts_V = columns.neural, columns.counts
    own = [slice(at, at + BLOCK) for at in range(0, z_TV.shape[1], BLOCK)]
    rate_V = np.maximum(scaler.mean_V, 1e-3)
    log_rate_V = np.where(counts_V, np.log(rate_V * recording.rate_hz) / 3, 0.0)
    fano_V = np.where(counts_V, np.log(scaler.sd_V**2 / rate_V), 0.0)
    skew_V = np.concatenate([np.nanmean(z_TV[:, part] ** 3, axis=0) for part in own])
    drive_T1 = _mean_known(z_TV[:, neural_V])
    coupling_V1 = _correlate(z_TV, drive_T1, own)
    lagged = [
        np.concatenate([_autocorrelation(z_TV[:, part], runs, lag) for part in own]) for lag in LAGS
    ]
    tuning_VC = _correlate(z_TV, z_TV[:, ~neural_V], own)
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


def _mean_known(z_TN: Floats) -> Floats:
    """Return (time, 1) means over the known; NaN where none is."""
    known_TN = np.isfinite(z_TN)
    count_T = known_TN.sum(1, keepdims=True)
    total_T = np.where(known_TN, z_TN, 0).sum(1, keepdims=True)
    return np.where(count_T > 0, total_T / np.maximum(count_T, 1), np.nan)


def _correlate(z_TV: Floats, other_TC: Floats, own: list[slice]) -> Floats:
    """Return (column, other) correlations, shrunk by how few samples they rest on."""
    known_TC = np.isfinite(other_TC)
    other_TC = np.where(known_TC, other_TC, 0)
    found = []
    for part in own:
        known_TV = np.isfinite(z_TV[:, part])
        value_TV = np.where(known_TV, z_TV[:, part], 0)
        power_VC = (value_TV**2).T @ known_TC * (known_TV.T @ other_TC**2)
        product_VC = value_TV.T @ other_TC / np.sqrt(np.maximum(power_VC, 1e-12))
        count_VC = known_TV.astype(float).T @ known_TC
        found.append(product_VC * count_VC / (count_VC + SHRINK))
    return np.concatenate(found)


def _autocorrelation(z_TV: Floats, runs: Runs, lag: int) -> Floats:
    product_TV = z_TV * shift_back(z_TV, runs, lag)
    count_V = np.isfinite(product_TV).sum(0)
    return np.asarray(np.nansum(product_TV, axis=0) / np.maximum(count_V, 1))
