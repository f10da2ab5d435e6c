"""Nearest neighbours: what followed, or went with, the most similar moments of training."""

from dataclasses import dataclass

import numpy as np

from tasks.lnm.problems import NEAREST, Problem
from tasks.lnm.recording import Floats, Ints
from tasks.lnm.skip import as_location

COUNTS = (4, 8, 16, 32, 64)
ROWS = 256


@dataclass(frozen=True)
class Neighbours:
    """The mean of the targets of nearest training rows.

    count_O : how many neighbours each output takes
    anchor_O : 1 where changes since the last known value are averaged, 0 where values are
    """

    problem: Problem
    count_O: Ints
    anchor_O: Floats

    def locate(self, rows: Ints) -> Floats:
        """Return (row, output) predictions."""
        z = np.zeros((len(rows), len(self.count_O)), np.float32)
        for anchor in (0.0, 1.0):
            for count in COUNTS:
                own = (self.count_O == count) & (self.anchor_O == anchor)
                if own.any():
                    z[:, own] = _average(self.problem, rows, count, anchor, np.flatnonzero(own))
        return as_location(z, self.problem.scaler, self.problem.counts_O)


def fit_neighbours(problem: Problem) -> Neighbours | None:
    """Choose on validation how many neighbours each output takes, and of what.

    Euclidean distance over the leading principal components of ridge's features.
    """
    rows = np.flatnonzero(problem.validation & np.isfinite(problem.target_TO).any(1))
    if not len(rows) or len(problem.seen.known) < NEAREST:
        return None
    every = np.arange(len(problem.outputs))
    truth_TO = problem.target_TO[rows]
    options = [
        (k, a) for a in ((0.0, 1.0) if problem.last_TO is not None else (0.0,)) for k in COUNTS
    ]
    costs = [
        np.nansum((truth_TO - _average(problem, rows, k, a, every)) ** 2, axis=0)
        for k, a in options
    ]
    best_O = np.argmin(costs, axis=0)
    counts, anchors = np.array(options).T
    return Neighbours(problem, counts[best_O].astype(np.int64), anchors[best_O].astype(np.float32))


def _average(problem: Problem, rows: Ints, count: int, anchor: float, outputs: Ints) -> Floats:
    target_TO, last_TO = problem.target_TO[:, outputs], problem.last_TO
    if anchor and last_TO is not None:
        target_TO = target_TO - last_TO[:, outputs]
    finite_TO = np.isfinite(target_TO)
    filled_TO = np.where(finite_TO, target_TO, 0).astype(np.float32)
    out = np.empty((len(rows), len(outputs)), np.float32)
    for at in range(0, len(rows), ROWS):
        near_BK = problem.seen.neighbours[rows[at : at + ROWS], :count]
        known = finite_TO[near_BK].sum(1)
        out[at : at + ROWS] = filled_TO[near_BK].sum(1) / np.maximum(known, 1)
    if anchor and last_TO is not None:
        out += last_TO[rows][:, outputs]
    return out
