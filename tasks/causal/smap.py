"""Locally weighted linear maps: how nonlinear a node is, and how strongly causes act when."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.causal.kernels.reference import pearson

COPIES = 3e-3
"""Directions with less than this part of the largest spread are left out: causes that are nearly
copies of each other (two points of one body) would get huge strengths of opposite sign."""


@dataclass(frozen=True)
class LocalMap:
    """What a sequence of local linear maps found.

    predicted_R : (row,) predictions, NaN where there is none
    slope_RV : (row, variable) derivative of the prediction by each coordinate: the Jacobian
    """

    predicted_R: NDArray[np.float64]
    slope_RV: NDArray[np.float64]


def fit_local_maps(
    vectors_TV: NDArray[np.floating],
    observed_T: NDArray[np.floating],
    row_R: NDArray[np.integer],
    theta: float,
    theiler: int,
    *,
    library_T: NDArray[np.bool_] | None = None,
    singular: float = COPIES,
) -> LocalMap:
    """Predict rows by linear regression on all others, near ones weighing more (S-map).

    A row weighs exp(-theta d / d_mean), d its distance and d_mean the mean over the rows allowed.
    theta = 0 is one global linear model; the larger the skill at theta > 0 beside it, the more
    the dynamics depend on the state.

    Parameters
    ----------
    vectors_TV : (time, variable) states; a row with NaN does not exist
    observed_T : (time,) what follows each state
    row_R : rows to predict
    theiler : rows at most this far in time from the predicted one are not used
    library_T : rows that may be used; all by default
    singular : directions with less than this part of the largest spread are left out; 0 leaves
        out none that float64 can tell from rounding (plain least squares, as pyEDM)

    References
    ----------
    Sugihara 1994, doi:10.1098/rsta.1994.0106; Deyle et al. 2016, doi:10.1098/rspb.2015.2258
    """
    vectors_TV, observed_T = np.asarray(vectors_TV, np.float64), np.asarray(observed_T, np.float64)
    whole_T = np.isfinite(vectors_TV).all(1)
    usable_T = whole_T & np.isfinite(observed_T)
    usable = np.flatnonzero(usable_T if library_T is None else usable_T & library_T)
    least = max(singular, float(np.finfo(np.float64).eps) * len(usable))
    predicted_R = np.full(len(row_R), np.nan)
    slope_RV = np.full((len(row_R), vectors_TV.shape[1]), np.nan)
    for r, row in enumerate(row_R):
        allowed = usable[np.abs(usable - row) > theiler]
        if not whole_T[row] or len(allowed) <= vectors_TV.shape[1] + 1:
            continue
        # From the row itself: the constant is then the prediction, and offsets cost no digits.
        step_UV = vectors_TV[allowed] - vectors_TV[row]
        distance = np.sqrt((step_UV**2).sum(1))
        weight = np.exp(-theta * distance / max(distance.mean(), 1e-12))
        weighted_UV = weight[:, None] * np.column_stack([np.ones(len(allowed)), step_UV])
        # Least squares of weighted rows by QR: V x V is left for the singular values, and no
        # digits are lost as in normal equations.
        q_UV, r_VV = np.linalg.qr(weighted_UV)
        # Singular directions (two causes that are copies) share their slope: least norm.
        solved = np.linalg.pinv(r_VV, rcond=least) @ (q_UV.T @ (weight * observed_T[allowed]))
        predicted_R[r] = solved[0]
        slope_RV[r] = solved[1:]
    return LocalMap(predicted_R, slope_RV)


def skill_by_theta(
    vectors_TV: NDArray[np.floating],
    observed_T: NDArray[np.floating],
    row_R: NDArray[np.integer],
    thetas: tuple[float, ...],
    theiler: int,
) -> tuple[NDArray[np.float64], list[LocalMap]]:
    """Return the correlation of prediction and observation for each theta, and the maps."""
    maps = [fit_local_maps(vectors_TV, observed_T, row_R, theta, theiler) for theta in thetas]
    observed_R = np.asarray(observed_T, np.float64)[row_R]
    skill = []
    for each in maps:
        both = np.isfinite(each.predicted_R) & np.isfinite(observed_R)
        skill.append(pearson(each.predicted_R[both], observed_R[both]) if both.any() else np.nan)
    return np.array(skill), maps
