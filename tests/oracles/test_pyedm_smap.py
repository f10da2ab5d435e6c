"""pyEDM's published local linear maps (S-map): plain least squares in float64."""

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from tasks.causal.kernels.reference import embed, pearson, shift
from tasks.causal.smap import LocalMap, fit_local_maps
from tests.oracles.conftest import ReadTable


def map_beyond(
    states_TV: NDArray[np.float64],
    following_T: NDArray[np.float64],
    library_T: NDArray[np.bool_],
    rows: range,
    theta: float,
) -> NDArray[np.float64]:
    """Predict rows outside the library as pyEDM does: without the farthest library row."""
    found = []
    for row in rows:
        kept_T = without_farthest(library_T, distances(states_TV, row))
        found.append(plain(states_TV, following_T, kept_T, range(row, row + 1), theta).predicted_R)
    return np.concatenate(found)


def distances(states_TV: NDArray[np.float64], row: int) -> NDArray[np.float64]:
    return np.asarray(np.sqrt(((states_TV - states_TV[row]) ** 2).sum(1)))


def without_farthest(
    library_T: NDArray[np.bool_], distance_T: NDArray[np.float64]
) -> NDArray[np.bool_]:
    kept_T = library_T.copy()
    kept_T[np.nanargmax(np.where(library_T, distance_T, np.nan))] = False
    return kept_T


def plain(
    states_TV: NDArray[np.float64],
    following_T: NDArray[np.float64],
    library_T: NDArray[np.bool_],
    rows: range,
    theta: float,
) -> LocalMap:
    return fit_local_maps(
        states_TV, following_T, np.array(rows), theta, 0, library_T=library_T, singular=0.0
    )


def history(
    table: pd.DataFrame, cause: str, effect: str, dimension: int, last: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Return the states of a series, what follows in another, and the rows of the library."""
    x_T, y_T = (table[name].to_numpy(float) for name in (cause, effect))
    segment_T = np.zeros(len(x_T), int)
    library_T = np.arange(len(x_T)) < last - 1
    library_T[: dimension - 1] = False
    states_TE = np.asarray(embed(x_T, segment_T, dimension, 1), np.float64)
    return states_TE, np.asarray(shift(y_T, segment_T, 1), np.float64), library_T


def test_rows_outside_the_library(pyedm: ReadTable):
    table, valid = pyedm("circle"), pyedm("SMap_circle_E4_valid")
    ours = map_beyond(*history(table, "x", "x", 4, 100), range(109, 160), 3.0)
    np.testing.assert_allclose(ours, valid["Predictions"][1:], rtol=0, atol=1e-6)


def test_a_table_without_times(pyedm: ReadTable):
    table, valid = pyedm("circle_noTime"), pyedm("SMap_noTime_valid")
    ours = map_beyond(*history(table, "x", "y", 2, 100), range(100, 150), 3.0)
    np.testing.assert_allclose(ours, valid["Predictions"][1:], rtol=0, atol=1e-6)


def test_states_of_two_series_and_their_slopes(pyedm: ReadTable):
    table, valid = pyedm("circle"), pyedm("SMap_circle_E2_embd_valid")
    states_TV = table[["x", "y"]].to_numpy(float)
    following_T = np.r_[states_TV[1:, 0], np.nan]
    found = plain(states_TV, following_T, np.arange(200) < 199, range(200), 3.0)
    np.testing.assert_allclose(found.predicted_R, valid["Predictions"][1:], rtol=0, atol=1e-6)
    # The means that pyEDM's own test asks for, to five digits.
    np.testing.assert_allclose(found.slope_RV.mean(0), [0.99801, 0.06311], rtol=0, atol=6e-6)


def test_missing_samples(pyedm: ReadTable):
    table, valid = pyedm("circle"), pyedm("SMap_nan_valid")
    table.iloc[[5, 6, 12], 1] = np.nan
    table.iloc[[10, 11, 17], 2] = np.nan
    states_TE, following_T, library_T = history(table, "x", "y", 2, 50)
    expected = valid["Predictions"].to_numpy()[1:]
    compared = np.flatnonzero(np.isfinite(expected))
    assert len(compared) > 40
    for row in compared + 1:
        # pyEDM's mean distance counts states whose target is missing, ours only what it fits.
        distance_T = distances(states_TE, row)
        theirs_T = library_T & np.isfinite(distance_T) & (np.arange(len(distance_T)) != row)
        if not library_T[row]:  # as `map_beyond`
            theirs_T = without_farthest(theirs_T, distance_T)
        ours_T = theirs_T & np.isfinite(following_T)
        theta = 3.0 * distance_T[ours_T].mean() / distance_T[theirs_T].mean()
        found = plain(states_TE, following_T, theirs_T, range(row, row + 1), theta)
        assert found.predicted_R[0] == pytest.approx(expected[row - 1], abs=1e-6)


@pytest.mark.parametrize("row", [0, 4, 8, 12, 17])
def test_nonlinearity_of_the_tent_map(pyedm: ReadTable, row: int):
    table, valid = pyedm("TentMapNoise"), pyedm("PredictNonlinear_valid")
    theta, expected = valid.iloc[row]
    states_TE, following_T, library_T = history(table, "TentMap", "TentMap", 4, 500)
    rows = range(500, 800)
    ours = map_beyond(states_TE, following_T, library_T, rows, float(theta))
    assert pearson(ours, following_T[500:800]) == pytest.approx(expected, abs=1e-6)
