"""Predict many targets from one table of neighbours, and correlate, in one pass.

Targets lie time-major in tiles of 64, so one neighbour's row of a tile is one vector. The
prediction of 64 targets at one time and their five sums stay in registers; only the sums are
written. This is the step that costs most: libraries x targets x time x neighbours.
"""

import numpy as np

from tasks.causal.kernels.vectors import (
    LANES,
    ZERO,
    add,
    compiled,
    fill,
    load,
    multiply_add,
    store,
)
from tasks.causal.rule import MIN_WEIGHT

SUMS = 5
"""Sums kept for each target: p, p², p·y, y, y² (p predicted, y observed)."""

# float32 sums over this many rows keep seven digits; longer ones are added up in float64.
_ROWS_IN_FLOAT32 = 256


@compiled
def weigh(distance_RK, row_RK, weight_RK):  # type: ignore[no-untyped-def]
    """Turn squared distances into simplex weights that sum to one.

    distance_RK : squared distances, nearest first; row_RK : -1 where there is no neighbour;
    weight_RK : result, 0 where there is no neighbour. `row_RK` is changed: a missing neighbour
    of a row that has some becomes row 0, whose weight is 0.
    """
    floor = np.float32(MIN_WEIGHT)
    one = np.float32(1)
    for t in range(len(row_RK)):
        if row_RK[t, 0] < 0:
            continue
        nearest = np.sqrt(distance_RK[t, 0])
        total = ZERO
        for k in range(row_RK.shape[1]):
            if row_RK[t, k] < 0:
                weight_RK[t, k] = ZERO
                row_RK[t, k] = 0
                continue
            d = np.sqrt(distance_RK[t, k])
            if nearest > ZERO:
                weight = max(np.exp(-d / nearest), floor)
            else:
                weight = one if d == ZERO else floor
            weight_RK[t, k] = weight
            total += weight
        for k in range(row_RK.shape[1]):
            weight_RK[t, k] /= total


@compiled
def add_sums(row_RK, weight_RK, row_R, tile_TJ, sums):  # type: ignore[no-untyped-def]
    """Predict one tile of targets and add what Pearson's correlation needs.

    Parameters
    ----------
    row_RK, weight_RK : neighbours and weights; rows with row_RK[t, 0] < 0 are not predicted
    row_R : the predicted rows
    tile_TJ : (padded time, 64) float32 targets, moved by tp, 0 where invalid
    sums : (5, 64) float64, added to
    """
    part = np.empty((SUMS, LANES), np.float32)
    for start in range(0, len(row_RK), _ROWS_IN_FLOAT32):
        p1 = p2 = py = y1 = y2 = fill(ZERO)
        for t in range(start, min(start + _ROWS_IN_FLOAT32, len(row_RK))):
            if row_RK[t, 0] < 0:
                continue
            p = fill(ZERO)
            for k in range(row_RK.shape[1]):
                p = multiply_add(fill(weight_RK[t, k]), load(tile_TJ, row_RK[t, k] * LANES), p)
            y = load(tile_TJ, row_R[t] * LANES)
            p1 = add(p1, p)
            p2 = multiply_add(p, p, p2)
            py = multiply_add(p, y, py)
            y1 = add(y1, y)
            y2 = multiply_add(y, y, y2)
        store(part, 0, p1)
        store(part, LANES, p2)
        store(part, 2 * LANES, py)
        store(part, 3 * LANES, y1)
        store(part, 4 * LANES, y2)
        sums += part
