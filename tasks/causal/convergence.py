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
