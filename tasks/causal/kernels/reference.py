"""Cross mapping in plain NumPy: the definition that every other kernel must agree with.

Written to be read, one predicted row at a time. `dtype` is the arithmetic of the distances:
float64 is the definition; float32 shows what the engines, which work in float32, must return to
the bit, near ties included.

Conventions: `segment_T` numbers the gapless stretches of the time axis (-1: no data). A row t is
the vector x[t], x[t-tau], ..., x[t-(E-1)tau]; it exists if its whole span lies in one segment and
no coordinate is NaN. It predicts y[t+tp], which must be in the same segment and not NaN.
"""

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tasks.causal.rule import MIN_WEIGHT, CrossMapRule, neighbour_count

FLAT = 1e-3
"""A prediction whose variance is below this part of its mean square plus the target's is constant
(its spread is 3 % of its size): its correlation is undefined, NaN. Nearer to zero, float32 sums
would correlate their own rounding."""


def embed(
    series_T: NDArray[np.floating], segment_T: NDArray[np.integer], dimension: int, tau: int
) -> NDArray[np.floating]:
    """Return the delay vectors (time, dimension); rows that do not exist are NaN."""
    span = (dimension - 1) * tau
    vectors_TE = np.full((len(series_T), dimension), np.nan, series_T.dtype)
    for t in range(span, len(series_T)):
        vector_E = series_T[t - tau * np.arange(dimension)]
        one_segment = (segment_T[t - span : t + 1] == segment_T[t]).all()
        if segment_T[t] >= 0 and one_segment and np.isfinite(vector_E).all():
            vectors_TE[t] = vector_E
    return vectors_TE


def shift(
    series_T: NDArray[np.floating], segment_T: NDArray[np.integer], tp: int
) -> NDArray[np.floating]:
    """Return y[t+tp] at row t; NaN where a border or the end lies in between."""
    shifted_T = np.full_like(series_T, np.nan)
    for t in range(max(0, -tp), len(series_T) - max(0, tp)):
        between = segment_T[min(t, t + tp) : max(t, t + tp) + 1]
        if segment_T[t] >= 0 and (between == segment_T[t]).all():
            shifted_T[t] = series_T[t + tp]
    return shifted_T


def nearest(
    vectors_TE: NDArray[np.floating],
    row: int,
    candidates: NDArray[np.bool_],
    theiler: int,
    count: int | None = None,
) -> tuple[NDArray[np.intp], NDArray[np.floating]]:
    """Return the simplex of one row: E+1 neighbours and their distances, nearest first.

    Equal distances are ordered by |dt|, then by index. Fewer are returned if there are fewer.
    """
    count = neighbour_count(vectors_TE.shape[1]) if count is None else count
    index = np.arange(len(vectors_TE))
    gap = np.abs(index - row)
    allowed = candidates & (gap > theiler)
    squared = np.zeros(len(vectors_TE), vectors_TE.dtype)
    for column in (vectors_TE - vectors_TE[row]).T:
        squared = squared + column * column
    order = np.lexsort((index, gap, squared))
    chosen = order[allowed[order]][:count]
    return chosen, np.sqrt(squared[chosen])


def simplex_weights(distance_K: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return weights that sum to one: exp(-d/dmin), at least MIN_WEIGHT before the sum.

    Where the nearest distance is zero, neighbours at zero weigh 1 and the rest MIN_WEIGHT: the
    limit of the formula.
    """
    if distance_K[0] > 0:
        weights_K = np.maximum(np.exp(-distance_K / distance_K[0]), MIN_WEIGHT)
    else:
        weights_K = np.where(distance_K == 0, 1.0, MIN_WEIGHT)
    normalised: NDArray[np.floating] = weights_K / weights_K.sum()
    return normalised


def predict(
    library_T: NDArray[np.floating],
    target_T: NDArray[np.floating],
    segment_T: NDArray[np.integer],
    dimension: int,
    rule: CrossMapRule,
    *,
    members_T: NDArray[np.bool_] | None = None,
    stride: int = 1,
    dtype: DTypeLike = np.float64,
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Predict a target from another series' history (simplex projection).

    Parameters
    ----------
    library_T, target_T : (time,), gaps as NaN
    segment_T : (time,) number of the gapless stretch
    members_T : rows that may be neighbours; all by default. Every row is predicted all the same
    stride : predict only every so many samples

    Returns
    -------
    predicted, observed : (time,) at the row of the vector; NaN where not predicted

    References
    ----------
    Sugihara & May 1990, doi:10.1038/344734a0
    """
    vectors_TE = embed(np.asarray(library_T, dtype), segment_T, dimension, rule.tau)
    return predict_from_states(
        vectors_TE, target_T, segment_T, rule, members_T=members_T, stride=stride
    )


def predict_from_states(
    states_TV: NDArray[np.floating],
    target_T: NDArray[np.floating],
    segment_T: NDArray[np.integer],
    rule: CrossMapRule,
    *,
    members_T: NDArray[np.bool_] | None = None,
    stride: int = 1,
    neighbours: int | None = None,
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Predict a target from given states, as of several series at once (see `predict`).

    Parameters
    ----------
    states_TV : (time, variable) such as columns of samples, or `embed` of several series side by
        side; a row with NaN does not exist. Its dtype is that of the arithmetic
    neighbours : how many each prediction rests on; one more than variables by default

    Returns
    -------
    predicted, observed : (time,) at the row of the state; NaN where not predicted

    References
    ----------
    Dixon et al. 1999, doi:10.1126/science.283.5407.1528 (states of several series)
    """
    observed_T = shift(np.asarray(target_T, states_TV.dtype), segment_T, rule.tp)
    usable_T = np.isfinite(states_TV).all(1) & np.isfinite(observed_T)
    candidates_T = usable_T if members_T is None else usable_T & members_T
    predicted_T = np.full_like(observed_T, np.nan)
    for row in np.flatnonzero(usable_T & (np.arange(len(usable_T)) % stride == 0)):
        chosen, distance_K = nearest(states_TV, int(row), candidates_T, rule.theiler, neighbours)
        if len(chosen):
            predicted_T[row] = simplex_weights(distance_K) @ observed_T[chosen]
    return predicted_T, np.where(np.isfinite(predicted_T), observed_T, np.nan)


def pearson(predicted_T: NDArray[np.floating], observed_T: NDArray[np.floating]) -> float:
    """Return Pearson's correlation over the predicted rows; NaN if either is constant."""
    p, y = (np.asarray(a[np.isfinite(predicted_T)], np.float64) for a in (predicted_T, observed_T))
    if len(p) < 2:
        return np.nan
    flat = FLAT * ((p**2).mean() + (y**2).mean())
    if p.var() <= flat or y.var() <= flat:
        return np.nan
    covariance = ((p - p.mean()) * (y - y.mean())).mean()
    return float(covariance / np.sqrt(p.var() * y.var()))


def cross_map(
    library_T: NDArray[np.floating],
    target_T: NDArray[np.floating],
    segment_T: NDArray[np.integer],
    dimension: int,
    rule: CrossMapRule,
    *,
    members_T: NDArray[np.bool_] | None = None,
    stride: int = 1,
    dtype: DTypeLike = np.float64,
) -> float:
    """Score how well the history of `library_T` recovers `target_T`: Pearson over all rows.

    High skill says that the target drives the library's series.

    References
    ----------
    Sugihara et al. 2012, doi:10.1126/science.1227079
    """
    return pearson(
        *predict(
            library_T, target_T, segment_T, dimension, rule,
            members_T=members_T, stride=stride, dtype=dtype,
        )
    )  # fmt: skip
