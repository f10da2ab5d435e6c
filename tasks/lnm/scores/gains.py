"""Which gains on blocks of time are sure: costs by block, and the least share that is as good."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from tasks.lnm.data.recording import Floats, Ints
from tasks.lnm.scores.scoring import Measure, Metric

FEWEST_BLOCKS = 4
SURE = 2.0
"""Standard errors that a gain must exceed, as the verdict's 95 % interval asks."""


def block_costs(
    metric: Metric, real_TV: Floats, answers: Iterable[Floats], sd_V: Floats, block: int
) -> NDArray[np.float64]:
    """Return (answer, block) mean costs on blocks of consecutive valid rows.

    No blocks if too few rows are valid.
    """
    measure = Measure.of(metric, real_TV, sd_V)
    if measure is None:
        return np.array([np.zeros(0) for _ in answers])
    block_T = number_blocks(len(measure.norm_T), block)
    size_C, scale = np.bincount(block_T), max(float(measure.norm_T.mean()), 1e-9)
    gains = (measure.gain(answer) for answer in answers)
    return np.array([-np.bincount(block_T, gain_T) / size_C / scale for gain_T in gains])


def least_cost(cost_AGC: NDArray[np.float64]) -> Ints:
    """Return for each group the least share whose gain on the first is as good as the greatest.

    A gain counts if it is there in both halves of the time and, over all blocks, exceeds twice its
    own standard error. Of those that do, the first that falls behind the greatest by no more than
    one standard error of just that is taken (the one-standard-error rule of Breiman et al. 1984, of
    paired blocks): the next hour is never quite like this one, and a small share loses little.
    Blocks are as long as a window, for errors within one depend on each other; fewer than four of
    them tell nothing: 0.

    Parameters
    ----------
    cost_AGC : (share, group, block of time), NaN where a block has none of a group
    """
    gain_AGC = cost_AGC[0] - cost_AGC
    half = first_half(cost_AGC)
    known_AG = np.maximum(np.isfinite(gain_AGC).sum(2), 1)
    gain_AG, error_AG = _mean_and_error(gain_AGC)
    both_AG = (mean_known(gain_AGC[..., :half]) > 0) & (mean_known(gain_AGC[..., half:]) > 0)
    sure_AG = both_AG & (gain_AG > SURE * error_AG)
    sure_AG &= (known_AG >= FEWEST_BLOCKS) | (len(cost_AGC) == 1)
    sure_gain_AG = np.where(sure_AG, gain_AG, 0.0)
    best_G = sure_gain_AG.argmax(0)
    every = np.arange(len(best_G))
    behind_AG, behind_error_AG = _mean_and_error(gain_AGC[best_G, every] - gain_AGC)
    # The first share, of no gain, counts as sure only where no other is.
    is_best_AG = np.arange(len(cost_AGC))[:, None] == best_G
    eligible_AG = (sure_AG & (behind_AG <= behind_error_AG)) | is_best_AG
    return np.asarray(eligible_AG.argmax(0))


def _mean_and_error(
    values_AGC: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return means over the known blocks, 0 where there is none, and their standard errors."""
    known_AG = np.maximum(np.isfinite(values_AGC).sum(2), 1)
    mean_AG = np.nan_to_num(mean_known(values_AGC))
    filled = np.where(np.isfinite(values_AGC), values_AGC - mean_AG[..., None], 0.0)
    spread_AG = np.sqrt((filled**2).sum(2) / np.maximum(known_AG - 1, 1))
    return mean_AG, spread_AG / np.sqrt(known_AG)


def first_half(cost_AGC: NDArray[np.float64]) -> int:
    """Return how many blocks make the first half of the time."""
    return max(1, int(cost_AGC.shape[2]) // 2)


def number_blocks(rows: int, window: int) -> Ints:
    """Number validation samples by blocks as long as a window; a short rest joins the last."""
    return np.minimum(np.arange(rows) // window, max(1, rows // window) - 1)


def mean_known(values_AGC: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return means over blocks; NaN where there is none."""
    known = np.isfinite(values_AGC)
    total, count = np.where(known, values_AGC, 0.0).sum(2), known.sum(2)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
