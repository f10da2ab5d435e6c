"""AUROC and its curve against scikit-learn; what is left out."""

import numpy as np
import pytest
import xarray as xr
from sklearn.metrics import roc_auc_score

from tasks.causal.scoring import score_edges


def pairs(values, names):
    return xr.DataArray(values, {"effect": names, "cause": names}, ("effect", "cause"))


def test_auroc_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    names = [f"n{i}" for i in range(12)]
    truth = rng.random((12, 12)) < 0.2
    score = np.round(rng.random((12, 12)) + 0.3 * truth, 1)  # rounded: many ties
    off = ~np.eye(12, dtype=bool)
    found = score_edges(pairs(score, names), pairs(truth, names))
    assert found.auroc == pytest.approx(roc_auc_score(truth[off], score[off]))
    assert (found.edges, found.pairs) == (truth[off].sum(), 132)
    area = np.trapezoid(found.true_positive_rate, found.false_positive_rate)
    assert area == pytest.approx(found.auroc, abs=0.01)


def test_diagonal_unknown_and_excluded_nodes_do_not_count():
    truth = pairs(np.array([[True, True, False], [False] * 3, [False] * 3]), ["a", "b", "gone"])
    score = pairs(np.array([[np.nan, 0.9, 5], [0.1, np.nan, 5], [9, 9, 9]]), ["a", "b", "pose"])
    found = score_edges(score, truth)
    assert (found.auroc, found.pairs) == (1.0, 2)


def test_an_undefined_score_is_the_lowest():
    truth = pairs(np.array([[False, True], [False, False]]), ["a", "b"])
    score = pairs(np.array([[np.nan, -0.5], [np.nan, np.nan]]), ["a", "b"])
    assert score_edges(score, truth).auroc == 1.0


def test_without_edges_there_is_no_auroc():
    none = pairs(np.zeros((2, 2), bool), ["a", "b"])
    assert np.isnan(score_edges(pairs(np.eye(2), ["a", "b"]), none).auroc)
