"""Series that share everything with a cause but its tie to the effect."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SurrogateKind = Literal["shift", "phase", "twin", "seasonal"]

_RECURRENCE = (0.125, 0.11, 0.09, 0.07, 0.05, 0.15, 0.18, 0.2)
"""Shares of recurrent pairs tried in turn until enough samples have a twin, as in rEDM."""
_ENOUGH_TWINS = 10
_ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class SurrogateRule:
    """What surrogates of one series keep.

    kind : 'shift' turns the sequence round by a random number of samples; 'phase' gives its
        Fourier components random phases; 'twin' follows the series and changes over, where two
        samples have the same neighbourhood, from one to the other; 'seasonal' keeps the mean
        course of a period and shuffles what is left
    margin : least shift in samples, either way ('shift')
    dimension, tau : delay embedding in which neighbourhoods are compared ('twin')
    period : length of the mean course in samples ('seasonal')
    """

    kind: SurrogateKind
    margin: int = 1
    dimension: int = 3
    tau: int = 1
    period: int = 1


def make_surrogates(
    series_T: NDArray[np.floating], rule: SurrogateRule, count: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return surrogates (surrogate, time) of one series; gaps stay where they are.

    Valid samples are taken as one sequence: at a gap a surrogate may jump, as the series may.
    """
    valid_T = np.isfinite(series_T)
    made_ST = np.full((count, len(series_T)), np.nan, np.float32)
    values_V = series_T[valid_T].astype(np.float64)
    if rule.kind == "seasonal":
        phase_V = np.flatnonzero(valid_T) % rule.period
        made_ST[:, valid_T] = shuffle_anomalies(values_V, phase_V, count, rng)
    else:
        made_ST[:, valid_T] = _MAKERS[rule.kind](values_V, rule, count, rng)
    return made_ST


def shift_round(
    series_T: NDArray[np.float64], rule: SurrogateRule, count: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Turn a series round by random shifts, each different while there are enough.

    Keeps the values and, but for one seam, all that happens in time.
    """
    length = len(series_T)
    margin = min(rule.margin, max(length // 2 - 1, 0))
    possible = np.arange(margin, length - margin)
    shifts_S = rng.choice(possible, count, replace=len(possible) < count)
    turned: NDArray[np.float64] = series_T[(np.arange(length) + shifts_S[:, None]) % length]
    return turned


def randomize_phases(
    series_T: NDArray[np.float64], rule: SurrogateRule, count: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Give the Fourier components of a series random phases; amplitudes and mean are exact.

    Any length, odd ones too. Nothing of `rule` is used.

    References
    ----------
    Ebisuzaki 1997, doi:10.1175/1520-0442(1997)010<2147:AMTETS>2.0.CO;2
    """
    length = len(series_T)
    spectrum_F = np.fft.rfft(series_T)
    turn_SF = np.exp(2j * np.pi * rng.random((count, len(spectrum_F))))
    turn_SF[:, 0] = 1
    if length % 2 == 0:
        # The highest component of an even length is real: it can only keep or change its sign.
        turn_SF[:, -1] = rng.choice([-1.0, 1.0], count)
    randomized: NDArray[np.float64] = np.fft.irfft(spectrum_F * turn_SF, length, axis=1)
    return randomized


def follow_twins(
    series_T: NDArray[np.float64], rule: SurrogateRule, count: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Follow a series from a random sample on, by chance changing over to a twin.

    Twins are samples with the same neighbours: nothing tells which of them comes next. Keeps
    nonlinear dynamics, which random phases do not. Where no sample has a twin (long noisy
    series) this is a shift; at the end the course goes on from a random sample.

    References
    ----------
    Thiel et al. 2006, doi:10.1209/epl/i2006-10147-0
    """
    twin_T = find_twins(series_T, rule)
    members = {int(group): np.flatnonzero(twin_T == group) for group in np.unique(twin_T)}
    length = len(series_T)
    at_S = rng.integers(0, length, count)
    index_ST = np.empty((count, length), np.intp)
    for t in range(length):
        index_ST[:, t] = at_S
        at_S = at_S + 1
        for s in np.flatnonzero(at_S >= length):
            at_S[s] = rng.integers(length)
        for s in np.flatnonzero(twin_T[at_S] >= 0):
            at_S[s] = rng.choice(members[int(twin_T[at_S[s]])])
    followed: NDArray[np.float64] = series_T[index_ST]
    return followed


def find_twins(series_T: NDArray[np.float64], rule: SurrogateRule) -> NDArray[np.int64]:
    """Return the number of each sample's group of twins; -1 without one.

    Two samples are twins if they recur with exactly the same samples: maximum norm in the delay
    embedding, within a distance that so large a share of all pairs lies in.
    """
    span = (rule.dimension - 1) * rule.tau
    if len(series_T) <= span + 1:
        return np.full(len(series_T), -1)
    starts = [span - e * rule.tau for e in range(rule.dimension)]
    count = len(series_T) - span
    columns = [series_T[start : start + count] for start in starts]
    vectors_VE = np.stack(columns, axis=1).astype(np.float32)
    some_VE = vectors_VE[:: max(1, len(vectors_VE) // _ROWS_AT_ONCE)]
    sample = _distances(some_VE, vectors_VE)
    group_T = np.full(len(series_T), -1)
    for share in _RECURRENCE:
        group_T[span:] = _same_neighbours(vectors_VE, float(np.quantile(sample, share)))
        if (group_T >= 0).sum() >= _ENOUGH_TWINS:
            break
    return group_T


def _same_neighbours(vectors_VE: NDArray[np.float32], within: float) -> NDArray[np.int64]:
    digests: list[bytes] = []
    # A digest of each row of the recurrence plot, block by block: the plot itself is length²
    for start in range(0, len(vectors_VE), _ROWS_AT_ONCE):
        near = _distances(vectors_VE[start : start + _ROWS_AT_ONCE], vectors_VE) <= within
        digests += [blake2b(row.tobytes(), digest_size=16).digest() for row in np.packbits(near, 1)]
    _, group_V, size = np.unique(np.array(digests), return_inverse=True, return_counts=True)
    return np.where(size[group_V] > 1, group_V, -1)


def _distances(
    rows_RE: NDArray[np.float32], vectors_VE: NDArray[np.float32]
) -> NDArray[np.float32]:
    distance_RV = np.zeros((len(rows_RE), len(vectors_VE)), np.float32)
    for row_R, vector_V in zip(rows_RE.T, vectors_VE.T, strict=True):
        np.maximum(distance_RV, np.abs(row_R[:, None] - vector_V), out=distance_RV)
    return distance_RV


def shuffle_anomalies(
    series_T: NDArray[np.float64],
    phase_T: NDArray[np.integer],
    count: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Keep the mean of each phase of a period; put the deviations from it in random order.

    For signals that a common period (a repeated stimulus, a trial) would tie together.

    References
    ----------
    Deyle et al. 2016, doi:10.1073/pnas.1607747113
    """
    size = np.maximum(np.bincount(phase_T), 1)
    mean_T = (np.bincount(phase_T, series_T) / size)[phase_T]
    anomaly_ST = np.tile(series_T - mean_T, (count, 1))
    shuffled: NDArray[np.float64] = mean_T + rng.permuted(anomaly_ST, axis=1)
    return shuffled


_Maker = Callable[
    [NDArray[np.float64], SurrogateRule, int, np.random.Generator], NDArray[np.float64]
]
_MAKERS: dict[SurrogateKind, _Maker] = {
    "shift": shift_round,
    "phase": randomize_phases,
    "twin": follow_twins,
}
