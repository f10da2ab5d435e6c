"""Predict many targets from tables of neighbours, and correlate, in one pass.

Targets lie time-major in tiles of 64, so one neighbour's row of a tile is one vector. The
prediction of 64 targets at one time and its sums stay in registers; only the sums are written. A
tile stays in the second cache while all the tables given are looked up in it. This is the step
that costs most: libraries x targets x time x neighbours.
"""

import numpy as np

from tasks.causal.kernels.reference import FLAT
from tasks.causal.kernels.vectors import (
    LANES,
    ZERO,
    add,
    compiled,
    fill,
    inner,
    load,
    multiply_add,
    store,
    two_to,
)
from tasks.causal.rule import MIN_WEIGHT

# float32 sums over this many rows keep seven digits; longer ones are added up in float64.
_ROWS_IN_FLOAT32 = 256

_ONE, _HALF = np.float32(1), np.float32(0.5)
_INFINITY = np.float32(np.inf)

# exp(x) = 2^n exp(f): adding _ROUNDER leaves the whole number n in the lowest bits of a float32.
_ROUNDER = np.float32(1.5 * 2**23)
_PER_LN2, _LN2_HIGH, _LN2_LOW = (np.float32(v) for v in (1.44269504, 0.693359375, -2.12194440e-4))
_SERIES = tuple(np.float32(1 / n) for n in (720, 120, 24, 6))
_LOWEST = np.float32(np.log(MIN_WEIGHT))


@inner
def _exponential(x):  # type: ignore[no-untyped-def]
    """Return exp(x) for x from -80 to 0 within 3e-7 of itself; a loop over it is one of vectors."""
    rounded = x * _PER_LN2 + _ROUNDER
    n = rounded - _ROUNDER
    f = (x - n * _LN2_HIGH) - n * _LN2_LOW
    a, b, c, d = _SERIES
    series = (((a * f + b) * f + c) * f + d) * f + _HALF
    return (series * f * f + f + _ONE) * two_to(rounded)


@compiled
def weigh(row_RK, near_RK):  # type: ignore[no-untyped-def]
    """Turn squared distances into simplex weights that sum to one, in place.

    row_RK : -1 where there is no neighbour; that of a row that has some becomes row 0, whose
        weight is 0
    near_RK : squared distances, nearest first. The last column of both is room to work in
    """
    count = row_RK.shape[1] - 1
    for t in range(len(row_RK)):
        nearest = near_RK[t, 0]
        scale = _ONE / nearest if nearest > ZERO else _INFINITY
        for k in range(count):
            near = near_RK[t, k]
            # Zero stays zero: neighbours at no distance weigh 1.
            near_RK[t, k] = near * scale if near > ZERO else ZERO
    flat = near_RK.reshape(-1)
    for j in range(len(flat)):
        flat[j] = _exponential(max(-np.sqrt(flat[j]), _LOWEST))
    for t in range(len(row_RK)):
        if row_RK[t, 0] < 0:
            continue
        last = count
        while row_RK[t, last - 1] < 0:
            last -= 1
            row_RK[t, last] = 0
            near_RK[t, last] = ZERO
        total = ZERO
        for k in range(last):
            total += near_RK[t, k]
        share = _ONE / total
        for k in range(last):
            near_RK[t, k] *= share


@compiled
def observed_sums(row_R, tiles_IPJ, sums_ISJ):  # type: ignore[no-untyped-def]
    """Write the sums (tile, 2, 64) of y and y² over the given rows, float64."""
    sums_ISJ[:] = 0
    for i in range(len(tiles_IPJ)):
        for row in row_R:
            for j in range(LANES):
                y = np.float64(tiles_IPJ[i, row, j])
                sums_ISJ[i, 0, j] += y
                sums_ISJ[i, 1, j] += y * y


@inner
def _predicted_sums(row_RK, weight_RK, row_R, tile_PJ, part, sums_SJ):  # type: ignore[no-untyped-def]
    """Write the sums of p, p² and p·y over the rows that have a neighbour."""
    count = row_RK.shape[1] - 1
    sums_SJ[:3] = 0
    for start in range(0, len(row_RK), _ROWS_IN_FLOAT32):
        p1 = p2 = py = fill(ZERO)
        for t in range(start, min(start + _ROWS_IN_FLOAT32, len(row_RK))):
            if row_RK[t, 0] < 0:
                continue
            p = fill(ZERO)
            for k in range(count):
                p = multiply_add(fill(weight_RK[t, k]), load(tile_PJ, row_RK[t, k] * LANES), p)
            p1 = add(p1, p)
            p2 = multiply_add(p, p, p2)
            py = multiply_add(p, load(tile_PJ, row_R[t] * LANES), py)
        store(part, 0, p1)
        store(part, LANES, p2)
        store(part, 2 * LANES, py)
        for s in range(3):
            for j in range(LANES):
                sums_SJ[s, j] += part[s, j]


@inner
def _pearson(sums_SJ, n, skill_J):  # type: ignore[no-untyped-def]
    """Write Pearson's correlation from the sums over n rows of p, p², p·y, y, y²."""
    for j in range(LANES):
        p, pp, py = sums_SJ[0, j] / n, sums_SJ[1, j] / n, sums_SJ[2, j] / n
        y, yy = sums_SJ[3, j] / n, sums_SJ[4, j] / n
        variance_p, variance_y = pp - p * p, yy - y * y
        flat = FLAT * (pp + yy)
        defined = variance_p > flat and variance_y > flat
        scale = np.sqrt(variance_p * variance_y) if defined else 1.0
        skill_J[j] = (py - p * y) / scale if defined else np.nan


@compiled
def recover(row_DRK, near_DRK, row_R, tiles_IPJ, observed_ISJ, skill_DIJ):  # type: ignore[no-untyped-def]
    """Predict every target from every table and correlate with what was observed.

    Parameters
    ----------
    row_DRK, near_DRK : (table, row, neighbour) padded rows and squared distances as `nearest_rows`
        leaves them; rows without a neighbour are not predicted. The distances become weights
    row_R : the predicted rows
    tiles_IPJ : (tile, padded time, 64) float32 targets, moved by tp, 0 where invalid
    observed_ISJ : (tile, 2, 64) `observed_sums` of all of row_R
    skill_DIJ : result (table, tile, 64); NaN where undefined
    """
    tables, rows = row_DRK.shape[:2]
    part, sums_SJ = np.empty((3, LANES), np.float32), np.empty((5, LANES))
    # Sums of y over all rows are known: what is added up anew is the fewer, rows left out or kept.
    counted_DR, counted_D = np.empty((tables, rows), np.int64), np.zeros(tables, np.int64)
    predicted_D, left_out_D = np.empty(tables, np.int64), np.empty(tables, np.bool_)
    for d in range(tables):
        weigh(row_DRK[d], near_DRK[d])
        predicted_D[d] = (row_DRK[d, :, 0] >= 0).sum()
        left_out_D[d] = 2 * predicted_D[d] > rows
        for t in range(rows):
            if (row_DRK[d, t, 0] < 0) == left_out_D[d]:
                counted_DR[d, counted_D[d]] = row_R[t]
                counted_D[d] += 1
    counted_ISJ = np.empty((1, 2, LANES))
    for i in range(len(tiles_IPJ)):
        for d in range(tables):
            if predicted_D[d] < 2:
                skill_DIJ[d, i] = np.nan
                continue
            _predicted_sums(row_DRK[d], near_DRK[d], row_R, tiles_IPJ[i], part, sums_SJ)
            observed_sums(counted_DR[d, : counted_D[d]], tiles_IPJ[i : i + 1], counted_ISJ)
            counted = counted_ISJ[0]
            sums_SJ[3:] = observed_ISJ[i] - counted if left_out_D[d] else counted
            _pearson(sums_SJ, predicted_D[d], skill_DIJ[d, i])
