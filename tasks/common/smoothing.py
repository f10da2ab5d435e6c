"""Gaussian smoothing that stays within gapless stretches: the one place that smooths counts."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d

from tasks.common.segments import split_runs

TRUNCATE = 4.0
"""Reach of the kernel in standard deviations, as in scipy.ndimage."""


def smooth_within_runs(
    values_TN: NDArray[np.float64],
    border_T: NDArray[np.integer],
    sigma: float,
    *,
    causal: bool = False,
) -> NDArray[np.float64]:
    """Smooth each column with a Gaussian that reads nothing across a border.

    Near a border, and around missing samples, the kernel is cut off and its weight made up for:
    a constant stays that constant, and the total is not pulled towards the sample at the edge.

    Parameters
    ----------
    values_TN : (time,) or (time, column); NaN counts as unknown and stays NaN
    border_T : (time,) label of the stretch that each sample lies in; a change of label is a
        border, and a negative label is no stretch at all: NaN there
    sigma : standard deviation of the Gaussian in samples; 0 or less returns the values
    causal : use the past half of the kernel only (this sample and those before it), so that
        a smoothed value never knows what comes after it

    Returns
    -------
    Array of the same shape
    """
    if sigma <= 0 or not values_TN.size:
        return values_TN
    kernel = gaussian_kernel(sigma, causal=causal)
    smooth_TN = np.full_like(values_TN, np.nan)
    for run in split_runs(border_T):
        if border_T[run.start] < 0:
            continue
        part = values_TN[run]
        known = np.isfinite(part)
        weight = convolve1d(known.astype(np.float64), kernel, axis=0, mode="constant")
        total = convolve1d(np.where(known, part, 0.0), kernel, axis=0, mode="constant")
        smooth_TN[run] = np.where(known, total / np.where(known, weight, 1.0), np.nan)
    return smooth_TN


def gaussian_kernel(sigma: float, *, causal: bool = False) -> NDArray[np.float64]:
    """Return a Gaussian of unit sum over -4 to 4 sigma; the half before the middle 0 if causal.

    In a convolution the second half of the kernel meets the past.
    """
    reach = int(TRUNCATE * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    if causal:
        kernel[:reach] = 0.0
    total: NDArray[np.float64] = kernel / kernel.sum()
    return total
