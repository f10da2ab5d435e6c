"""Does skill rise with the library? What tells a cause from a coincidence."""

import numpy as np
from numpy.typing import NDArray


def mean_of_draws(
    skill_DBM: NDArray[np.floating], size_D: NDArray[np.integer]
) -> NDArray[np.floating]:
    """Return the mean skill (size, effect, cause) over the draws of each size, sizes ascending.

    A draw whose skill is undefined is left out; NaN where all are.
    """
    return np.stack([_mean(skill_DBM[size_D == size]) for size in np.unique(size_D)])


def kendall_trend(
    skill_DBM: NDArray[np.floating], size_D: NDArray[np.integer]
) -> NDArray[np.floating]:
    """Return Kendall's rank correlation (effect, cause) of skill with library size, over draws.

    Of all pairs of draws of different size: the fraction in which the larger library has the
    higher skill, less the fraction in which it has the lower. Pairs of equal size say nothing
    about the trend and do not count. NaN where no pair is defined.

    References
    ----------
    Kendall 1938, doi:10.1093/biomet/30.1-2.81
    """
    order = np.argsort(size_D, kind="stable")
    skill_DBM, size_D = skill_DBM[order], size_D[order]
    balance = np.zeros(skill_DBM.shape[1:], np.float32)
    count = np.zeros(skill_DBM.shape[1:], np.float32)
    for d in range(1, len(size_D)):
        smaller = size_D < size_D[d]
        # Undefined skills make the sign NaN: they count as no pair.
        signs = np.sign(skill_DBM[d] - skill_DBM[smaller])
        balance += np.nansum(signs, axis=0)
        count += np.isfinite(signs).sum(axis=0)
    return np.where(count > 0, balance / np.maximum(count, 1), np.nan)


def _mean(values_DBM: NDArray[np.floating]) -> NDArray[np.floating]:
    defined = np.isfinite(values_DBM)
    total = np.where(defined, values_DBM, 0).sum(axis=0)
    count = defined.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def fisher_rise(
    largest: NDArray[np.floating], smallest: NDArray[np.floating], rows: float
) -> NDArray[np.float64]:
    """Return by how many standard errors the skill with the largest library exceeds the smallest's.

    Fisher's z of both, whose standard error is sqrt(2 / (rows - 3)). `rows` is the number of
    independent predictions; those nearer in time than the Theiler window are none.

    References
    ----------
    Fisher 1921; Deyle et al. 2013, doi:10.1073/pnas.1215506110 (the test of convergence)
    """
    high, low = (
        np.arctanh(np.clip(np.asarray(skill, np.float64), -0.999999, 0.999999))
        for skill in (largest, smallest)
    )
    return np.asarray((high - low) / np.sqrt(2 / max(rows - 3, 1)))


def fit_rise(
    skill_LP: NDArray[np.floating], size_L: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit skill = limit - gain exp(-size / scale) to convergence curves.

    The scale is the best of 33 between a tenth and three times the largest size; the rest is
    linear. A curve that rises in a straight line has a limit far beyond what was seen: it is
    cut to [-1, 1].

    Parameters
    ----------
    skill_LP : (size, pair); size_L : ascending

    Returns
    -------
    limit : (pair,) skill that an endless library is expected to reach
    scale : (pair,) library size by which 63 % of the rise is done
    """
    skill_LP = np.asarray(skill_LP, np.float64)
    pairs = skill_LP.shape[1]
    least, limit, scale = np.full(pairs, np.inf), np.full(pairs, np.nan), np.full(pairs, np.nan)
    for tried in size_L[-1] * np.geomspace(0.1, 3, 33):
        design_L2 = np.stack([np.ones(len(size_L)), -np.exp(-np.asarray(size_L) / tried)], 1)
        fitted_2P = np.linalg.pinv(design_L2) @ skill_LP
        error = ((skill_LP - design_L2 @ fitted_2P) ** 2).sum(0)
        better = error < least
        least[better], limit[better], scale[better] = error[better], fitted_2P[0, better], tried
    return np.clip(limit, -1, 1), scale
