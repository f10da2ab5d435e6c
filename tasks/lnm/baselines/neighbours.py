"""Nearest neighbours: what followed, or went with, the most similar moments of training."""

from itertools import pairwise

import numpy as np

from tasks.lnm.baselines.plain import Fitted
from tasks.lnm.data.recording import Floats, Ints
from tasks.lnm.linear.members import Neighbours, gather_nearest
from tasks.lnm.linear.problems import Problem

COUNTS = (4, 8, 16, 32, 64)


def fit_neighbours(problem: Problem) -> Fitted | None:
    """Choose on validation how many neighbours each output takes, and of what.

    Euclidean distance over the leading principal components of ridge's features.
    """
    rows = np.flatnonzero(problem.validation & np.isfinite(problem.target_TO).any(1))
    if not len(rows) or problem.seen.library is None:
        return None
    known = problem.seen.known
    target_XO = problem.target_TO[known].astype(np.float32)
    last_XO = target_XO[:0] if problem.last_TO is None else problem.last_TO[known]
    anchors = (0.0,) if problem.last_TO is None else (0.0, 1.0)
    options = [(count, anchor) for anchor in anchors for count in COUNTS]
    costs = np.concatenate([_costs(problem, rows, target_XO, last_XO, a) for a in anchors])
    best_O = np.argmin(costs, axis=0)
    counts, chosen = np.array(options).T
    member = Neighbours(
        target_XO,
        last_XO,
        counts[best_O].astype(np.int64),
        chosen[best_O].astype(np.float32),
        problem.scaler,
        problem.counts_O,
    )
    return Fitted(problem, member)


def _costs(
    problem: Problem, rows: Ints, target_XO: Floats, last_XO: Floats, anchor: float
) -> Floats:
    """Return (count, output) squared errors on validation."""
    truth_TO, less_XO = problem.target_TO[rows], None
    if anchor and problem.last_TO is not None:
        truth_TO, less_XO = truth_TO - problem.last_TO[rows], last_XO
    every = np.arange(len(problem.outputs))
    costs = np.zeros((len(COUNTS), len(every)))
    near_TK = problem.seen.neighbours[rows, : COUNTS[-1]]
    pieces = [slice(*ends) for ends in pairwise((0, *COUNTS))]
    for own, found_BKO in gather_nearest(target_XO, less_XO, near_TK, every):
        known_BKO = np.isfinite(found_BKO)
        filled_BKO = found_BKO if known_BKO.all() else np.where(known_BKO, found_BKO, 0)
        # Sums over ever more neighbours, so that all counts are tried for the price of one.
        total_NBO = np.cumsum([filled_BKO[:, p].sum(1, dtype=np.float64) for p in pieces], axis=0)
        number_NBO = np.cumsum([known_BKO[:, p].sum(1) for p in pieces], axis=0)
        mean_NBO = total_NBO / np.maximum(number_NBO, 1)
        costs += np.nansum((truth_TO[own] - mean_NBO) ** 2, axis=1)
    return costs
