"""Can a classifier tell generated from real windows? The classifier two-sample test."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import rankdata

from tasks.twin.distances import Record, cut_windows
from tasks.twin.library import Floats

FOLDS = 4
RIDGE = 10.0
NEWTON_STEPS = 10


def classifier_auc(a: Record, b: Record, samples: int) -> float:
    """Return the AUC with which a logistic regression tells windows of a and b apart.

    0.5 or less: no better than chance. Folds are contiguous in time, and training windows that
    overlap a tested one are left out, so that neighbours in time cannot give a window away. NaN
    if either record has fewer windows than folds.

    References
    ----------
    Lopez-Paz & Oquab 2017, arXiv:1610.06545
    """
    hop = max(samples // 2, 1)
    windows_a, windows_b = cut_windows(a, samples, hop), cut_windows(b, samples, hop)
    if min(len(windows_a), len(windows_b)) < FOLDS:
        return float("nan")
    features = np.concatenate([summarise_windows(windows_a), summarise_windows(windows_b)])
    label = np.repeat([0, 1], [len(windows_a), len(windows_b)])
    place = np.concatenate([np.arange(len(windows_a)), np.arange(len(windows_b))])
    fold = np.concatenate([_folds(len(windows_a)), _folds(len(windows_b))])
    return float(np.mean([_fold_auc(features, label, place, fold, k) for k in range(FOLDS)]))


def summarise_windows(windows_WTC: Floats) -> Floats:
    """Return each window's features: per channel mean, SD, extremes, trend, roughness, memory;
    for each pair of channels their covariance."""
    steps = np.diff(windows_WTC, axis=1)
    centred = windows_WTC - windows_WTC.mean(axis=1, keepdims=True)
    covariance = np.einsum("wti,wtj->wij", centred, centred) / windows_WTC.shape[1]
    variance = np.einsum("wii->wi", covariance)
    shifted = (centred[:, 1:] * centred[:, :-1]).mean(axis=1)
    upper = np.triu_indices(windows_WTC.shape[2], k=1)
    return np.concatenate(
        [
            windows_WTC.mean(axis=1),
            np.sqrt(variance),
            windows_WTC.min(axis=1),
            windows_WTC.max(axis=1),
            windows_WTC[:, -1] - windows_WTC[:, 0],
            np.log(np.abs(steps).mean(axis=1) + 1e-3),
            shifted / (variance + 1e-6),
            covariance[:, upper[0], upper[1]],
        ],
        axis=1,
    )


def _folds(windows: int) -> NDArray[np.int64]:
    return np.arange(windows) * FOLDS // windows


def _fold_auc(
    features: Floats,
    label: NDArray[np.int64],
    place: NDArray[np.int64],
    fold: NDArray[np.int64],
    k: int,
) -> float:
    tested = fold == k
    near = np.zeros(len(label), bool)
    for which in (0, 1):
        own = label == which
        inside = place[own & tested]
        near |= own & (place >= inside.min() - 1) & (place <= inside.max() + 1)
    trained = ~near
    mean, sd = features[trained].mean(axis=0), features[trained].std(axis=0)
    scaled = (features - mean) / np.where(sd > 1e-9, sd, 1.0)
    weights = fit_logistic(scaled[trained], label[trained])
    return area_under_curve(label[tested], scaled[tested] @ weights[1:])


def fit_logistic(features: Floats, label: NDArray[np.int64]) -> Floats:
    """Return intercept and weights of a ridge logistic regression, by Newton's method.

    Written out because scikit-learn's solver spends 100 ms on these few rows when the machine's
    cores are busy, and a twin needs hundreds of fits. The ridge keeps Newton's steps short.
    """
    design = np.column_stack([np.ones(len(features)), features])
    penalty = np.diag(np.r_[1e-6, np.full(features.shape[1], RIDGE)])
    weights = np.zeros(design.shape[1])
    for _ in range(NEWTON_STEPS):
        chance = expit(design @ weights)
        gradient = design.T @ (label - chance) - penalty @ weights
        curvature = (design.T * (chance * (1 - chance))) @ design + penalty
        step = np.linalg.solve(curvature, gradient)
        weights = weights + step
        if np.abs(step).max() < 1e-6:
            break
    return weights


def area_under_curve(label: NDArray[np.int64], score: Floats) -> float:
    """Return the chance that a sample of label 1 scores above one of label 0, ties half."""
    ones, zeros = int((label == 1).sum()), int((label == 0).sum())
    above = float(rankdata(score)[label == 1].sum()) - ones * (ones + 1) / 2
    return above / (ones * zeros)
