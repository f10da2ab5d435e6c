"""pyEDM's published numbers for states of several series: simplex, convergence, many views.

Libraries are drawn again and ties are the tree's, as told in `test_pyedm_ccm`.
"""

from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from tasks.causal.kernels import reference
from tasks.causal.kernels.reference import embed, pearson, predict_from_states
from tasks.causal.rule import CrossMapRule
from tests.oracles.conftest import ReadTable
from tests.oracles.test_pyedm_ccm import TreeOrder

Floats = NDArray[np.floating]
BLOCK = ["x_t", "y_t", "z_t"]


@dataclass(frozen=True)
class Case:
    """One of pyEDM's tests: its files, the two ends (the first of each is recovered), the call."""

    valid: str
    data: str
    ends: tuple[list[str], list[str]]
    samples: int
    neighbours: int
    rule: CrossMapRule
    dimension: int = 1
    every: int = 1


CASES = (
    # One neighbour more than samples of one series, as pyEDM has it, and not than of all.
    Case("CCM_Lorenz5D_MV_valid", "LorenzData1000", (["V3", "V5"], ["V1"]), 30, 6,
         CrossMapRule(5, 10), 5, every=3),
    Case("CCM_Lorenz5D_MV_Space_valid", "columnNameSpace",
         (["Var 1", "Var3", "Var 5 1"], ["Var 2", "Var 4 A"]), 1, 6, CrossMapRule(), 5),
    Case("CCM_embedded", "LorenzData1000", (["V1", "V2", "V3"], ["V5"]), 20, 4, CrossMapRule(),
         every=9),
)  # fmt: skip


@pytest.fixture(autouse=True)
def no_least_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "MIN_WEIGHT", 0.0)


def states_of(table: pd.DataFrame, names: list[str], dimension: int = 1, tau: int = 1) -> Floats:
    """Return the histories of several series side by side (time, variable)."""
    segment_T = np.zeros(len(table), int)
    return np.hstack(
        [embed(table[name].to_numpy(float), segment_T, dimension, tau) for name in names]
    )


@pytest.mark.parametrize(("dtype", "atol"), [(np.float64, 1e-6), (np.float32, 1e-4)])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.valid)
def test_curves(
    pyedm: ReadTable, case: Case, dtype: type, atol: float, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reference, "nearest", TreeOrder(newest_first=True).nearest)
    table, valid = pyedm(case.data), pyedm(case.valid)
    valid = valid.iloc[:: case.every] if dtype is np.float64 else valid.iloc[-1:]
    for direction, (names, (recovered, *_)) in enumerate(
        zip(case.ends, reversed(case.ends), strict=True)
    ):
        states_TV = states_of(table, names, case.dimension, case.rule.tau).astype(dtype)
        target_T = table[recovered].to_numpy(float)
        ours = [curve(states_TV, target_T, int(size), case) for size in valid["LibSize"]]
        np.testing.assert_allclose(ours, valid.iloc[:, 1 + direction], rtol=0, atol=atol)


def curve(states_TV: Floats, target_T: NDArray[np.float64], size: int, case: Case) -> float:
    """Return the mean skill of pyEDM's random libraries of one size."""
    rng = np.random.default_rng(np.random.SeedSequence(777))
    segment_T = np.zeros(len(target_T), int)
    usable_T = np.isfinite(states_TV).all(1)
    usable_T &= np.isfinite(reference.shift(target_T, segment_T, case.rule.tp))
    row_M = np.flatnonzero(usable_T)
    skills = []
    for _ in range(case.samples):
        members_T = np.zeros(len(target_T), bool)
        members_T[row_M[rng.choice(len(row_M), min(size, len(row_M)), replace=False)]] = True
        found = predict_from_states(
            states_TV, target_T, segment_T, case.rule,
            members_T=members_T, neighbours=case.neighbours,
        )  # fmt: skip
        skills.append(pearson(*found))
    return float(np.mean(skills))


def test_projections_of_columns(pyedm: ReadTable):
    table, valid = pyedm("block_3sp"), pyedm("Smplx_E3_embd_block_3sp_valid")
    members_T = np.arange(len(table)) < 98
    predicted_T = project(table, states_of(table, BLOCK), members_T)
    expected = valid["Predictions"].to_numpy()[1:]
    found = predicted_T[99:197]
    np.testing.assert_allclose(found, expected[: len(found)], rtol=0, atol=1e-6)


def test_the_best_of_many_views_and_their_mean(pyedm: ReadTable):
    # Multiview (Ye & Sugihara 2016): all states of three coordinates, the best sqrt(84) averaged.
    table = pyedm("block_3sp")
    named = [f"{name}(t-{lag})" for name in BLOCK for lag in range(3)]
    # Each lag by itself: a state whose longest lag is one begins a sample before the others.
    lagged_TC = np.stack([table[name].shift(lag) for name in BLOCK for lag in range(3)], 1)
    members_T = np.arange(len(table)) < 99
    view = partial(project, table, members_T=members_T)
    scored, observed_T = slice(100, 197), table["x_t"].to_numpy(float)[101:198]
    views = {
        frozenset(named[c] for c in chosen): view(lagged_TC[:, chosen])[scored]
        for chosen in combinations(range(9), 3)
    }
    skill = {name: pearson(predicted_T, observed_T) for name, predicted_T in views.items()}
    best = sorted(skill, key=lambda name: -skill[name])[: int(np.sqrt(len(views)))]

    published = pyedm("Multiview_combos_valid")
    told = [
        frozenset(part.strip(" '") for part in each.strip("()").split("',"))
        for each in published["Columns"]
    ]
    assert best == told
    np.testing.assert_allclose([skill[name] for name in best], published["rho"], rtol=0, atol=1e-6)
    error = [np.sqrt(((views[name] - observed_T) ** 2).mean()) for name in best]
    np.testing.assert_allclose(error, published["RMSE"], rtol=0, atol=1e-6)
    mean_T = np.mean([views[name] for name in best], axis=0)
    expected = pyedm("Multiview_pred_valid")["Predictions"].to_numpy()[1:]
    np.testing.assert_allclose(mean_T, expected[: len(mean_T)], rtol=0, atol=1e-6)


def project(table: pd.DataFrame, states_TV: Floats, members_T: NDArray[np.bool_]) -> Floats:
    """Predict the first species one sample ahead."""
    x_T, segment_T = table["x_t"].to_numpy(float), np.zeros(len(table), int)
    return predict_from_states(states_TV, x_T, segment_T, CrossMapRule(tp=1), members_T=members_T)[
        0
    ]
