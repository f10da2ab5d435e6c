"""What linear maps and neighbours read: activity smoothed at several scales, and its slopes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.ndimage import convolve1d

from tasks.lnm.data.recording import Floats
from tasks.lnm.data.runs import Runs
from tasks.lnm.linear.normal_equations import Doubles

SLOPES = (1, 2, 4)
"""Samples over which slopes are taken; wider ones told validation less than they told training."""
LEAST_SPREAD = 1e-2
"""Spread of the samples about a line, in squares of its sigma and of their weight."""


def smoothing_kernels(window: int) -> list[Doubles]:
    """Return the identity and Gaussians of 1, 2, 4 ... samples, up to a quarter of a window.

    They look both ways, at most three quarters of a window far: as far as the model does from
    the samples that it is asked for.
    """
    kernels = [np.ones(1)]
    sigma = 1
    while sigma <= window // 4:
        half = min(4 * sigma, 3 * window // 4)
        kernels.append(np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2))
        sigma *= 2
    return kernels


def causal_kernels(context: int) -> list[Doubles]:
    """Return the present sample and decays over 1, 2, 4 ... samples, at most `context` long."""
    kernels = [np.ones(1)]
    tau = 1
    while tau <= context // 2:
        lag = np.arange(-context + 1, context)
        # convolve1d pairs index +lag with the sample lag steps in the past.
        kernels.append(np.where(lag >= 0, np.exp(-np.maximum(lag, 0) / tau), 0.0))
        tau *= 2
    return kernels


class _Known(NamedTuple):
    """(time, column) values, 0 where they are NaN, and 1 where they are not."""

    filled_TI: Floats
    weight_TI: Floats

    @classmethod
    def of(cls, z_TI: Floats) -> "_Known":
        finite_TI = np.isfinite(z_TI)
        return cls(np.where(finite_TI, z_TI, 0).astype(np.float32), finite_TI.astype(np.float32))

    def inside(self, run: tuple[int, int]) -> tuple[Floats, Floats]:
        """Return values and weights of a run; one column of weights where all are alike."""
        filled, weight = (part[slice(*run)] for part in self)
        return filled, weight[:, :1] if weight.all() else weight


def smooth_features(z_TI: Floats, runs: Runs, kernels: Sequence[Doubles]) -> Floats:
    """Smooth each column by each kernel inside each run, leaving out samples that are NaN.

    Returns
    -------
    (time, kernel * column) weighted means; 0 (the training mean) where nothing valid is in reach
    """
    return _smooth(_Known.of(z_TI), runs, kernels)


def _smooth(known: _Known, runs: Runs, kernels: Sequence[Doubles]) -> Floats:
    length, columns = known.filled_TI.shape
    out_TSI = np.zeros((length, len(kernels), columns), np.float32)
    for run in runs:
        filled, weight = known.inside(run)
        for s, kernel in enumerate(kernels):
            total = convolve1d(filled, kernel, axis=0, mode="constant")
            mass = convolve1d(weight, kernel, axis=0, mode="constant")
            out_TSI[slice(*run), s] = total / np.maximum(mass, 1e-6)
    return out_TSI.reshape(length, -1)


def two_sided_features(z_TI: Floats, runs: Runs, window: int) -> Floats:
    """Return what the samples before and after each one tell: means at several scales, and slopes.

    Means that look both ways alike cannot tell time forwards from backwards: they know no velocity,
    nor that an indicator lags behind what it shows.

    Returns
    -------
    (time, feature); see `smooth_features` and `local_slopes`
    """
    known = _Known.of(z_TI)
    smoothed_TF = _smooth(known, runs, smoothing_kernels(window))
    return np.concatenate([smoothed_TF, _slope(known, runs, window)], axis=1)


def depart_from_level(features_TF: Floats, inputs: int, slopes: int) -> Floats:
    """Return each smaller scale's means less those of the largest, and the slopes as they are."""
    means_TSI = features_TF[:, : features_TF.shape[1] - slopes].reshape(
        len(features_TF), -1, inputs
    )
    departure_TSI = means_TSI[:, :-1] - means_TSI[:, -1:]
    slopes_TF = features_TF[:, features_TF.shape[1] - slopes :]
    return np.concatenate([departure_TSI.reshape(len(features_TF), -1), slopes_TF], axis=1)


def weigh_levels(weights_KFO: Floats, inputs: int, slopes: int) -> Floats:
    """Turn (fold, feature, output) weights of departures into those of means and slopes."""
    folds, features, outputs = weights_KFO.shape
    of_means = weights_KFO[:, : features - slopes]
    of_level = -of_means.reshape(folds, -1, inputs, outputs).sum(1)
    return np.concatenate([of_means, of_level, weights_KFO[:, features - slopes :]], axis=1)


def count_slopes(window: int) -> int:
    """Return how many slopes of each column a window is long enough for."""
    return sum(sigma <= window // 4 for sigma in SLOPES)


def local_slopes(z_TI: Floats, runs: Runs, window: int) -> Floats:
    """Fit straight lines about each sample, weighted by Gaussians, inside each run.

    NaN is left out, so neither gaps nor the ends of a run look like a slope.

    Returns
    -------
    (time, sigma * column) change over one sigma; 0 where fewer than two valid samples are in reach
    """
    return _slope(_Known.of(z_TI), runs, window)


def _slope(known: _Known, runs: Runs, window: int) -> Floats:
    sigmas = SLOPES[: count_slopes(window)]
    length, columns = known.filled_TI.shape
    out_TSI = np.zeros((length, len(sigmas), columns), np.float32)
    for run in runs:
        filled, weight = known.inside(run)
        for s, sigma in enumerate(sigmas):
            half = min(4 * sigma, 3 * window // 4)
            # convolve1d pairs index +lag with the sample lag steps in the past.
            ahead = -np.arange(-half, half + 1) / sigma
            bell = np.exp(-0.5 * ahead**2)
            mass, first, second = (
                convolve1d(weight, bell * ahead**power, axis=0, mode="constant")
                for power in range(3)
            )
            total, moment = (
                convolve1d(filled, bell * ahead**power, axis=0, mode="constant")
                for power in range(2)
            )
            spread = mass * second - first**2
            rise = mass * moment - first * total
            out_TSI[slice(*run), s] = np.where(spread > LEAST_SPREAD, rise, 0) / np.maximum(
                spread, LEAST_SPREAD
            )
    return out_TSI.reshape(length, -1)


def latest_features(recent_BLI: Floats, kernels: Sequence[Doubles]) -> Floats:
    """Return `smooth_features` of causal kernels at the last sample only, for several pasts."""
    length = recent_BLI.shape[1]
    weight_SL = np.zeros((len(kernels), length), np.float32)
    for s, kernel in enumerate(kernels):
        # The future half of a causal kernel is zero; the rest, turned round, ends at the present.
        past = kernel[len(kernel) // 2 :][:length]
        weight_SL[s, length - len(past) :] = past[::-1]
    finite_BLI = np.isfinite(recent_BLI)
    filled_BLI = np.where(finite_BLI, recent_BLI, 0).astype(np.float32)
    total_BSI = np.einsum("sl,bli->bsi", weight_SL, filled_BLI, optimize=True)
    mass_BSI = np.einsum("sl,bli->bsi", weight_SL, finite_BLI.astype(np.float32), optimize=True)
    mean_BSI = total_BSI / np.maximum(mass_BSI, 1e-6)
    return np.asarray(mean_BSI.reshape(len(recent_BLI), -1))
