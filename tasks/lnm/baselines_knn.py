"""Nearest neighbours: what followed, or went with, the most similar moments of training."""

import numpy as np

from tasks.lnm.baselines import Fitted
from tasks.lnm.members import Neighbours, summarise_nearest
from tasks.lnm.problems import Problem
from tasks.lnm.recording import Floats, Ints

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
    costs = [_cost(problem, rows, target_XO, last_XO, k, a) for k, a in options]
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


def _cost(
    problem: Problem, rows: Ints, target_XO: Floats, last_XO: Floats, count: int, anchor: float
) -> Floats:
    """Return (output,) squared errors on validation."""
    truth_TO, value_XO = problem.target_TO[rows], target_XO
    if anchor and problem.last_TO is not None:
        truth_TO, value_XO = truth_TO - problem.last_TO[rows], value_XO - last_XO
    found_TO = summarise_nearest(value_XO, problem.seen.neighbours[rows, :count], "mean")
    return np.asarray(np.nansum((truth_TO - found_TO) ** 2, axis=0))
