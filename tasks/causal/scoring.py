"""How well a score finds the true edges of a simulated animal."""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import rankdata

_GRID = np.linspace(0, 1, 201)


@dataclass(frozen=True)
class EdgeScore:
    """A receiver operating characteristic over ordered pairs of nodes.

    auroc : probability that a true edge scores higher than a pair without one; ties count half
    false_positive_rate, true_positive_rate : the curve, on a fixed grid of 201 points
    edges, pairs : how many true edges among how many pairs
    """

    auroc: float
    false_positive_rate: NDArray[np.float64]
    true_positive_rate: NDArray[np.float64]
    edges: int
    pairs: int


def score_edges(score_EC: xr.DataArray, truth_EC: xr.DataArray) -> EdgeScore:
    """Compare a score of every pair with the true edges.

    Parameters
    ----------
    score_EC : (effect, cause), higher for likelier edges; NaN counts as the lowest score
    truth_EC : (effect, cause) bool

    The diagonal is left out, and so are nodes that either side does not know (nodes excluded
    from the graph). AUROC is NaN if there is no edge, or nothing but edges.
    """
    names = common_nodes(score_EC, truth_EC)
    score_NN = score_EC.sel(effect=names, cause=names).to_numpy()
    edge_NN = truth_EC.sel(effect=names, cause=names).to_numpy().astype(bool)
    off_diagonal = ~np.eye(len(names), dtype=bool)
    score_P = np.nan_to_num(score_NN[off_diagonal].astype(np.float64), nan=-np.inf)
    edge_P = edge_NN[off_diagonal]
    fpr, tpr = _roc(score_P, edge_P)
    return EdgeScore(_auroc(score_P, edge_P), fpr, tpr, int(edge_P.sum()), len(edge_P))


def common_nodes(score_EC: xr.DataArray, truth_EC: xr.DataArray) -> list[str]:
    """Return the nodes that both know, in the order of the score."""
    known = {str(name) for name in truth_EC["effect"].values}
    return [str(name) for name in score_EC["effect"].values if str(name) in known]


def _auroc(score_P: NDArray[np.float64], edge_P: NDArray[np.bool_]) -> float:
    edges, others = int(edge_P.sum()), int((~edge_P).sum())
    if not edges or not others:
        return float("nan")
    ranks = rankdata(score_P)  # ties share their mean rank
    return float((ranks[edge_P].sum() - edges * (edges + 1) / 2) / (edges * others))


def _roc(
    score_P: NDArray[np.float64], edge_P: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the curve on the fixed grid: linear between thresholds, as the trapezoid rule is."""
    order = np.argsort(-score_P, kind="stable")
    last_of_tie = np.r_[score_P[order][1:] != score_P[order][:-1], True] if len(order) else []
    true = np.r_[0, np.cumsum(edge_P[order])[last_of_tie]] / max(int(edge_P.sum()), 1)
    false = np.r_[0, np.cumsum(~edge_P[order])[last_of_tie]] / max(int((~edge_P).sum()), 1)
    return _GRID, np.interp(_GRID, false, true)
