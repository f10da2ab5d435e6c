"""One compiled loop: every node of the network predicts its next value from its own neighbours."""

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RIDGE = 0.01
"""Share of the mean diagonal added to the normal equations: neighbours may lie on a line."""


@numba.njit(cache=True, nogil=True)
def _nearest(distance_L: Floats, nearest_K: Ints, nearest_distance_K: Floats) -> None:
    """Put the K smallest distances, ascending, and where they are into the two given arrays."""
    count = nearest_K.size
    nearest_distance_K[:] = np.inf
    for row in range(distance_L.size):
        distance = distance_L[row]
        if distance >= nearest_distance_K[count - 1]:
            continue
        slot = count - 1
        while slot > 0 and nearest_distance_K[slot - 1] > distance:
            nearest_distance_K[slot] = nearest_distance_K[slot - 1]
            nearest_K[slot] = nearest_K[slot - 1]
            slot -= 1
        nearest_distance_K[slot] = distance
        nearest_K[slot] = row


@numba.njit(cache=True, nogil=True)
def _draw(weight_K: Floats, total: float, uniform: float) -> int:
    """Return a position with probability proportional to its weight."""
    rest = uniform * total
    for position in range(weight_K.size):
        rest -= weight_K[position]
        if rest < 0:
            return position
    return weight_K.size - 1


@numba.njit(cache=True, nogil=True)
def _solve(normal_PP: Floats, moment_P: Floats) -> None:
    """Solve a symmetric positive definite system in place; the solution replaces `moment_P`."""
    size = moment_P.size
    for col in range(size):
        for row in range(col, size):
            total = normal_PP[row, col]
            for inner in range(col):
                total -= normal_PP[row, inner] * normal_PP[col, inner]
            if row == col:
                normal_PP[col, col] = np.sqrt(max(total, 1e-300))
            else:
                normal_PP[row, col] = total / normal_PP[col, col]
    for row in range(size):
        for inner in range(row):
            moment_P[row] -= normal_PP[row, inner] * moment_P[inner]
        moment_P[row] /= normal_PP[row, row]
    for row in range(size - 1, -1, -1):
        for inner in range(row + 1, size):
            moment_P[row] -= normal_PP[inner, row] * moment_P[inner]
        moment_P[row] /= normal_PP[row, row]


@numba.njit(cache=True, nogil=True)
def _fit_plane(
    offset_KD: Floats, step_K: Floats, weight_K: Floats, normal_PP: Floats, moment_P: Floats
) -> None:
    """Fit step = slope . offset + intercept by weighted ridge; slopes then intercept."""
    dims = offset_KD.shape[1]
    normal_PP[:] = 0.0
    moment_P[:] = 0.0
    for k in range(step_K.size):
        weight = weight_K[k]
        for i in range(dims):
            scaled = weight * offset_KD[k, i]
            moment_P[i] += scaled * step_K[k]
            normal_PP[dims, i] += scaled
            for j in range(i + 1):
                normal_PP[i, j] += scaled * offset_KD[k, j]
        moment_P[dims] += weight * step_K[k]
        normal_PP[dims, dims] += weight
    trace = 0.0
    for i in range(dims):
        trace += normal_PP[i, i]
    # The intercept is not shrunk: with no usable slope the fit is the neighbours' mean step.
    for i in range(dims):
        normal_PP[i, i] += RIDGE * trace / dims + 1e-12
    _solve(normal_PP, moment_P)


@numba.njit(cache=True, nogil=True)
def _find_neighbours(
    columns_CL: Floats, used: Ints, here_D: Floats, nearest_K: Ints, distance_K: Floats
) -> None:
    """Find the library rows whose coordinates `used` are nearest to a state."""
    distance_L = np.zeros(columns_CL.shape[1])
    for d in range(used.size):
        column_L = columns_CL[used[d]]
        here = here_D[d]
        for row in range(distance_L.size):
            difference = column_L[row] - here
            distance_L[row] += difference * difference
    _nearest(distance_L, nearest_K, distance_K)
    for k in range(distance_K.size):
        distance_K[k] = np.sqrt(distance_K[k])


@numba.njit(cache=True, nogil=True)
def _weigh(distance_K: Floats, theta: float, weight_K: Floats) -> float:
    """Fill in each neighbour's weight and return their total."""
    # By the mean distance, not simplex's nearest: a state that is in the library would give that
    # row all the weight, and the run would replay the recording.
    scale = max(distance_K.mean(), 1e-12)
    total = 0.0
    for k in range(distance_K.size):
        weight_K[k] = np.exp(-theta * distance_K[k] / scale)
        total += weight_K[k]
    return total


@numba.njit(cache=True, nogil=True)
def _predict_plane(
    columns_CL: Floats,
    used: Ints,
    here_D: Floats,
    nearest_K: Ints,
    weight_K: Floats,
    target_K: Floats,
    drawn: int,
    noise: float,
) -> float:
    """Return a local linear fit at a state, with a share of one neighbour's residual."""
    dims = used.size
    offset_KD = np.empty((nearest_K.size, dims))
    for k in range(nearest_K.size):
        for d in range(dims):
            offset_KD[k, d] = columns_CL[used[d], nearest_K[k]] - here_D[d]
    normal_PP = np.empty((dims + 1, dims + 1))
    moment_P = np.empty(dims + 1)
    _fit_plane(offset_KD, target_K, weight_K, normal_PP, moment_P)
    expected = float(moment_P[dims])
    fitted = expected
    for d in range(dims):
        fitted += float(moment_P[d]) * offset_KD[drawn, d]
    return expected + noise * (float(target_K[drawn]) - float(fitted))


@numba.njit(cache=True, nogil=True)
def _hold(value: float, next_L: Floats, nearest_K: Ints, margin: float) -> float:
    """Hold a value to what followed the neighbours: a local fit extrapolates beyond all bounds,
    and an animal at rest, whose neighbours all rest, would tremble."""
    low, high = np.inf, -np.inf
    for k in range(nearest_K.size):
        low = min(low, next_L[nearest_K[k]])
        high = max(high, next_L[nearest_K[k]])
    room = margin * (high - low)
    return min(max(value, low - room), high + room)


@numba.njit(cache=True, nogil=True)
def free_run(
    columns_CL: Floats,
    now_NL: Floats,
    next_NL: Floats,
    first_N1: Ints,
    coordinates: Ints,
    node_C: Ints,
    lag_C: Ints,
    history_SHN: Floats,
    uniform_STN: Floats,
    neighbours: int,
    theta: float,
    noise: float,
    margin: float,
    rule: int,
) -> Floats:
    """Run S copies of the network for T steps, each from its own past outputs: (S, T, N).

    Parameters
    ----------
    columns_CL : value of each coordinate (a node, some samples ago) at each library row
    now_NL, next_NL : value of each node at each library row, and one sample later
    first_N1, coordinates : node n's state is coordinates[first_N1[n]:first_N1[n + 1]]
    node_C, lag_C : what each coordinate is
    history_SHN : the last samples of each run, newest last; at least max(lag_C) + 1
    uniform_STN : random numbers in [0, 1): whose residual a node gets
    margin : share of the range of its neighbours' next values by which a value may leave it
    rule : 0 mean next value, 1 mean step, 2 local linear step
    """
    samples, depth, nodes = history_SHN.shape
    steps = uniform_STN.shape[1]
    path_SPN = np.empty((samples, depth + steps, nodes))
    path_SPN[:, :depth] = history_SHN
    nearest_K = np.zeros(neighbours, np.int64)
    distance_K = np.empty(neighbours)
    weight_K = np.empty(neighbours)
    target_K = np.empty(neighbours)
    for sample in range(samples):
        for at in range(depth, depth + steps):
            for node in range(nodes):
                used = coordinates[first_N1[node] : first_N1[node + 1]]
                here_D = np.empty(used.size)
                for d in range(used.size):
                    here_D[d] = path_SPN[sample, at - 1 - lag_C[used[d]], node_C[used[d]]]
                _find_neighbours(columns_CL, used, here_D, nearest_K, distance_K)
                total = _weigh(distance_K, theta, weight_K)
                expected = 0.0
                for k in range(neighbours):
                    row = nearest_K[k]
                    target_K[k] = next_NL[node, row] - (0.0 if rule == 0 else now_NL[node, row])
                    expected += weight_K[k] * target_K[k] / total
                drawn = _draw(weight_K, total, uniform_STN[sample, at - depth, node])
                if rule == 2:
                    value = _predict_plane(
                        columns_CL, used, here_D, nearest_K, weight_K, target_K, drawn, noise
                    )
                else:
                    value = expected + noise * (target_K[drawn] - expected)
                if rule != 0:
                    value += path_SPN[sample, at - 1, node]
                path_SPN[sample, at, node] = _hold(value, next_NL[node], nearest_K, margin)
    return path_SPN[:, depth:]
