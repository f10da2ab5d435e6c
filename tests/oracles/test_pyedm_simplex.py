"""pyEDM's published simplex projections: lags, gaps, ties, exclusion and horizons of any sign.

Two differences stand. pyEDM has no least weight, so ours is put to zero here. And a neighbour whose
target is missing makes its prediction missing, where we take the next neighbour.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from tasks.causal.kernels import reference
from tasks.causal.kernels.reference import pearson, predict
from tasks.causal.rule import CrossMapRule
from tests.oracles.conftest import ReadTable

Span = tuple[int, ...]
LEAST = 1e-6


@dataclass(frozen=True)
class Case:
    """One of pyEDM's tests: names of its files and the parameters of the call."""

    valid: str
    data: str
    columns: tuple[str, str]
    library: Span
    dimension: int
    tp: int = 1
    tau: int = 1
    theiler: int = 0
    lost: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    digits: float = LEAST


CASES = (
    Case("Smplx_E3_block_3sp", "block_3sp", ("x_t", "x_t"), (1, 100), 3),
    Case("Smplx_negTp_block_3sp", "block_3sp", ("x_t", "y_t"), (1, 100), 3, tp=-2),
    Case("Smplx_disjointLib", "circle", ("x", "x"), (1, 40, 50, 130), 2, tau=3),
    Case("Smplx_exclRadius", "circle", ("x", "y"), (1, 100), 2, theiler=5),
    Case(
        "Smplx_nan", "circle", ("x", "y"), (1, 100), 2, lost=((5, 6, 12), (10, 11, 17))
    ),
    Case(
        "Smplx_nan2", "circle", ("y", "x"), (1, 200), 2, lost=((10, 11, 17), (5, 6, 12))
    ),
    Case(
        "Smplx_disjointPred_nan", "LorenzData1000", ("V1", "V2"),
        (1, 50, 101, 200, 251, 500), 5, tp=2, lost=((8, 50, 501), (8, 50, 501)),
        digits=5e-6 + LEAST,  # published with five digits
    ),
    Case(
        "Smplx_DateTime", "S12CD-S333-SumFlow_1980-2005", ("S12.C.D.S333", "S12.C.D.S333"),
        (1, 800), 3,
    ),
    Case("Smplx_NeighborTies", "Smplx_NeighborTies", ("1137", "1135"), (1, 96), 1, tp=0, theiler=1),
)  # fmt: skip


@pytest.fixture(autouse=True)
def no_least_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "MIN_WEIGHT", 0.0)


def members(
    case_library: Span, length: int, dimension: int, rule: CrossMapRule
) -> NDArray[np.bool_]:
    """Return pyEDM's library rows of spans (first, last), which count from one."""
    allowed_T = np.zeros(length, bool)
    spans = list(zip(case_library[::2], case_library[1::2], strict=True))
    for first, last in spans:
        start = first - 1 + rule.span(dimension) + max(0, -rule.tp - 1)
        # Only the last span ends early: its targets may not lie beyond the library.
        stop = last - (rule.tp if (first, last) == spans[-1] else 0) if rule.tp >= 0 else last
        allowed_T[start:stop] = True
    return allowed_T


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.valid)
def test_projections(pyedm: ReadTable, case: Case):
    table, valid = pyedm(case.data), pyedm(f"{case.valid}_valid")
    library_T, target_T = (table[name].to_numpy(float).copy() for name in case.columns)
    for series_T, rows in zip((library_T, target_T), case.lost, strict=True):
        series_T[list(rows)] = np.nan
    rule = CrossMapRule(case.tau, case.tp, case.theiler)
    allowed_T = members(case.library, len(table), case.dimension, rule)
    given = library_T, target_T, np.zeros(len(table), int), case.dimension, rule
    predicted_T, _ = predict(*given, members_T=allowed_T)
    row = rows_of(valid, table)
    expected = pd.Series(valid["Predictions"].to_numpy()[row >= 0], row[row >= 0]).dropna()
    ours = pd.Series(predicted_T, np.arange(len(table)) + case.tp).reindex(expected.index)
    # Where the target is not known there is nothing to score, so we predict nothing.
    known = np.isfinite(target_T[expected.index])
    assert known.sum() > 10
    assert ours[known].notna().all()
    np.testing.assert_allclose(ours[known], expected[known], rtol=1e-7, atol=case.digits)
    at = expected.index[known]
    in_float32_T, _ = predict(*given, members_T=allowed_T, dtype=np.float32)
    skill, in_float32 = (
        pearson(found_T[at - case.tp], target_T[at]) for found_T in (predicted_T, in_float32_T)
    )
    assert in_float32 == pytest.approx(skill, abs=1e-4)


def rows_of(valid: pd.DataFrame, table: pd.DataFrame) -> NDArray[np.int64]:
    """Return the data row of each line of a validation table; -1 beyond the data's end."""
    if table.columns[0].lower() not in ("time", "date"):
        return valid["Time"].to_numpy() - 1
    at = {value: row for row, value in enumerate(table.iloc[:, 0])}
    return np.array([at.get(value, -1) for value in valid["Time"]])


def test_a_library_of_chosen_rows(pyedm: ReadTable):
    x_T = pyedm("circle")["x"].to_numpy(float)
    valid = pyedm("Smplx_validLib_valid")
    rule = CrossMapRule(tp=1)
    allowed_T = members((1, 200), len(x_T), 2, rule) & (np.abs(x_T) > 0.5)
    predicted_T, _ = predict(x_T, x_T, np.zeros(len(x_T), int), 2, rule, members_T=allowed_T)
    expected = valid["Predictions"].to_numpy()[1:-1]
    at = valid["Time"].to_numpy(int)[1:-1] - 2
    np.testing.assert_allclose(predicted_T[at], expected, rtol=0, atol=LEAST)


def skill_of(
    series_T: NDArray[np.float64], dimension: int, rule: CrossMapRule, library: Span, rows: Span
) -> float:
    allowed_T = members(library, len(series_T), dimension, rule)
    predicted_T, observed_T = predict(
        series_T, series_T, np.zeros(len(series_T), int), dimension, rule, members_T=allowed_T
    )
    scored = np.arange(rows[0] - 1, rows[1] - rule.tp)
    return pearson(predicted_T[scored], observed_T[scored])


def test_dimensions(pyedm: ReadTable):
    v1_T = pyedm("LorenzData1000")["V1"].to_numpy(float)
    rule = CrossMapRule(5, 15, 20)
    ours = [skill_of(v1_T, e, rule, (1, 500), (501, 800 + 15)) for e in range(1, 13)]
    np.testing.assert_allclose(ours, pyedm("EmbedDim_valid")["rho"], rtol=0, atol=LEAST)


def test_horizons(pyedm: ReadTable):
    x_T = pyedm("block_3sp")["x_t"].to_numpy(float)
    ours = [skill_of(x_T, 3, CrossMapRule(1, tp), (1, 150), (151, 198)) for tp in range(1, 16)]
    np.testing.assert_allclose(ours, pyedm("PredictInterval_valid")["rho"], rtol=0, atol=LEAST)


def test_theiler_windows(pyedm: ReadTable):
    flow_T = pyedm("S12CD-S333-SumFlow_1980-2005")["S12.C.D.S333"].to_numpy(float)[:900]
    valid = pyedm("PredictExclusionRadius_valid")
    for radius, expected in valid.iloc[::6].itertuples(index=False):
        ours = skill_of(flow_T, 7, CrossMapRule(3, 0, int(radius)), (1, 900), (1, 900))
        assert ours == pytest.approx(expected, abs=LEAST)
