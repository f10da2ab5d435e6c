"""Taking a baseline off, compiled: one walk over the samples where NumPy takes eight."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True, error_model="numpy")
def subtract_line(
    block: NDArray[np.floating],
    level: NDArray[np.float64],
    slope: NDArray[np.float64],
    along: NDArray[np.float64],
    divide: bool,
    made: NDArray[np.floating],
) -> None:
    """Fill `made` with F - F0, or (F - F0) / F0: NaN where F0 is not above zero.

    Parameters
    ----------
    block : (sample, column) F; may be `made`
    level, slope : (column,) F0 is level + along * slope
    along : (sample,)
    made : (sample, column)
    """
    samples, columns = block.shape
    # Along the axis that is together in memory.
    if block.strides[0] < block.strides[1]:
        for column in range(columns):
            for sample in range(samples):
                base = along[sample] * slope[column] + level[column]
                made[sample, column] = _change(block[sample, column], base, divide)
    else:
        for sample in range(samples):
            for column in range(columns):
                base = along[sample] * slope[column] + level[column]
                made[sample, column] = _change(block[sample, column], base, divide)


@njit(nogil=True, error_model="numpy")
def _change(value: float, base: float, divide: bool) -> float:
    change = value - base
    if divide:
        return change / base if base > 0 else np.nan
    return change
