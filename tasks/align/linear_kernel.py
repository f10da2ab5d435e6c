"""Straight lines between samples, compiled: each value is read once and written once."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True, error_model="numpy")
def interpolate(
    block: NDArray[np.floating],
    before: NDArray[np.int64],
    after: NDArray[np.int64],
    weight: NDArray[np.floating],
    backed: NDArray[np.bool_],
    made: NDArray[np.float32],
) -> None:
    """Fill made[row] with block[before] + weight * (block[after] - block[before]).

    Where `before` is `after` the sample is taken as it is (0 * inf is no number); NaN where not
    backed.

    Parameters
    ----------
    block : (sample, column)
    before, after : (row,) samples
    weight : (row,) of `after`, 0 to 1, of the type of the samples
    backed : (row,) whether real samples are near enough
    made : (row, column) to be filled
    """
    columns = block.shape[1]
    for row in range(len(before)):
        first, second, share = before[row], after[row], weight[row]
        if not backed[row]:
            for column in range(columns):
                made[row, column] = np.nan
        elif first == second:
            for column in range(columns):
                made[row, column] = block[first, column]
        else:
            for column in range(columns):
                value = block[first, column]
                made[row, column] = value + share * (block[second, column] - value)
