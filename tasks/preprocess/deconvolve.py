"""Spikes inferred from calcium: OASIS for an indicator that decays exponentially."""

import numba
import numpy as np
from numpy.typing import NDArray

from tasks.common.segments import true_runs

Rows = NDArray[np.float64]


def infer_spikes(
    values_NT: Rows, segment_T: NDArray[np.integer], rate_hz: float, decay_s: float
) -> Rows:
    """Return the spikes that best explain each row as a sum of decaying transients.

    The spikes s >= 0 that minimise the squared error of c_t = g c_(t-1) + s_t, where g =
    exp(-1 / (decay_s rate_hz)): the non-negative least squares of Friedrich et al. 2017,
    doi:10.1371/journal.pcbi.1005423, solved exactly by their algorithm 1 without penalty, as in
    suite2p. Each finite stretch of each segment by itself; NaN elsewhere.

    Parameters
    ----------
    values_NT : dF/F (row, time)
    """
    inferred_NT = np.full(values_NT.shape, np.nan)
    decay = float(np.exp(-1.0 / (decay_s * rate_hz))) if np.isfinite(rate_hz) else 0.0
    for values_T, inferred_T in zip(values_NT, inferred_NT, strict=True):
        for run in true_runs(np.isfinite(values_T), segment_T):
            inferred_T[run] = _oasis(np.ascontiguousarray(values_T[run], np.float64), decay)
    return inferred_NT


@numba.njit(cache=True, nogil=True)
def _oasis(values_T: Rows, decay: float) -> Rows:
    """Pool neighbours until every transient is higher than what is left of the one before."""
    size = len(values_T)
    level, weight = np.empty(size), np.empty(size)
    start, length = np.empty(size, np.int64), np.empty(size, np.int64)
    pools = 0
    for t in range(size):
        level[pools], weight[pools], start[pools], length[pools] = values_T[t], 1.0, t, 1
        while pools > 0 and level[pools] < level[pools - 1] * decay ** length[pools - 1]:
            power = decay ** length[pools - 1]
            joint = weight[pools - 1] + power * power * weight[pools]
            level[pools - 1] = (
                weight[pools - 1] * level[pools - 1] + power * weight[pools] * level[pools]
            ) / joint
            weight[pools - 1] = joint
            length[pools - 1] += length[pools]
            pools -= 1
        pools += 1
    spikes = np.zeros(size)
    for pool in range(pools):
        before = 0.0
        if pool > 0:
            before = max(level[pool - 1], 0.0) * decay ** length[pool - 1]
        spikes[start[pool]] = max(level[pool], 0.0) - before
    # What is there at the start came before it: no spike of this stretch.
    if size:
        spikes[0] = 0.0
    return spikes
