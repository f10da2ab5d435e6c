"""Samples into slots in order, compiled: each goes where it belongs or one slot later."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def place_samples(
    goal: NDArray[np.int64],
    samples: NDArray[np.int64],
    end: NDArray[np.int64],
    row: NDArray[np.int64],
) -> None:
    """Fill `row` with samples; one whose slot is taken moves on by one, or is left out.

    Parameters
    ----------
    goal : (sample,) slot that each sample lies in, hardly ever descending
    samples : (sample,) their numbers
    end : (sample,) first slot behind the stretch without a gap that the goal lies in
    row : (slot,) filled with -1, to be filled
    """
    last = -1
    for at in range(len(goal)):
        slot = max(goal[at], last + 1)
        if slot <= goal[at] + 1 and slot < end[at]:
            row[slot] = samples[at]
            last = slot
