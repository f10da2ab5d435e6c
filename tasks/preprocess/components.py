"""Spatial components of a film's motion: a singular value decomposition that sees it once.

A batch of frames at a time (Brand 2002, doi:10.1007/3-540-47969-4_47, as in scikit-learn's
IncrementalPCA): what is kept of all frames before is one row a component, so the film may be of any
length. Unlike there, the scores of the frames before are turned along with the components,
so that one pass gives both. Motion energy's components are those of Facemap (Syeda et al. 2024,
doi:10.1038/s41593-023-01490-6).
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
BATCH = 128
SPARE = 4
"""So many times the components asked for are kept on the way, or late ones would be lost."""


class MotionComponents:
    """The components of rows that come one by one.

    Attributes
    ----------
    count : components asked for
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._kept = SPARE * count
        self._batch: list[Floats] = []
        self._basis = np.zeros((0, 0))
        self._scores: list[Floats] = []
        self._turns: list[Floats] = []

    def add(self, row: NDArray[np.floating]) -> None:
        """Take in the next frame, flattened."""
        self._batch.append(np.asarray(row, np.float64))
        if len(self._batch) == BATCH:
            self._absorb()

    def finish(self) -> tuple[Floats, Floats]:
        """Return the scores (frame, component), centred, and the components (component, pixel).

        Of unit length, the strongest first; the sign is such that the largest weight is positive.
        """
        if self._batch:
            self._absorb()
        scores, basis = self._turned_scores(), self._basis
        if not scores.size:
            return np.zeros((len(scores), 0)), np.zeros((0, basis.shape[1]))
        # Centred here, in the few dimensions kept: the mean is known only at the end.
        centred = scores - scores.mean(0)
        values, turn = np.linalg.eigh(centred.T @ centred)
        best = np.argsort(values)[::-1][: self.count]
        components = turn[:, best].T @ basis
        largest = np.abs(components).argmax(1)
        sign = np.sign(components[np.arange(len(best)), largest])
        return centred @ turn[:, best] * sign, components * sign[:, None]

    def _absorb(self) -> None:
        rows = np.stack(self._batch)
        self._batch = []
        if not self._basis.size:
            self._basis = np.zeros((0, rows.shape[1]))
        # `_basis` holds unit rows; the scores of a frame are its weights on them.
        strength = self._strength()
        stacked = np.concatenate([strength[:, None] * self._basis, rows])
        values, left = np.linalg.eigh(stacked @ stacked.T)
        order = np.argsort(values)[::-1][: self._kept]
        order = order[values[order] > values.max(initial=0.0) * 1e-12]
        basis = (left[:, order].T @ stacked) / np.sqrt(values[order])[:, None]
        self._turns.append(self._basis @ basis.T)
        self._scores.append(rows @ basis.T)
        self._energy = values[order]
        self._basis = basis

    def _strength(self) -> Floats:
        return np.sqrt(self._energy) if len(self._basis) else np.zeros(0)

    def _turned_scores(self) -> Floats:
        """Return the scores of all frames on the last basis."""
        turn = np.eye(len(self._basis))
        done = []
        for scores, change in zip(self._scores[::-1], self._turns[::-1], strict=True):
            done.append(scores @ turn)
            turn = change @ turn
        return np.concatenate(done[::-1]) if done else np.zeros((0, 0))
