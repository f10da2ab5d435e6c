"""Ridge by normal equations: one Cholesky root for every fit that is of the same features.

What costs most is of the features alone, so fits to targets and to last values, with and without
the optional features, share their roots; only systems of other penalties or folds need others.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError
from scipy.linalg.lapack import dpotrf, dtrtrs

from tasks.lnm.data.recording import Bools, Floats, Ints

Doubles = NDArray[np.float64]

PENALTIES = (1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 10.0)
"""Ridge penalties for one training sample, for features of unit variance."""


class Aim(NamedTuple):
    """Targets less one of some shares of last values; share 0 where there are no last values."""

    target_TO: Floats
    last_TO: Floats | None
    share_AO: Doubles

    def take(self, outputs: Ints) -> "Aim":
        """Return some outputs."""
        last_TO = None if self.last_TO is None else self.last_TO[:, outputs]
        return Aim(self.target_TO[:, outputs], last_TO, self.share_AO[:, outputs])

    def centre(self, train: Bools) -> tuple[Doubles, Doubles]:
        """Return (part, output) training means and (time, part * output) departures, 0 for NaN.

        The parts are the targets and, where there are any, the last values.
        """
        known_TO = np.isfinite(self.target_TO)
        parts = [self.target_TO] if self.last_TO is None else [self.target_TO, self.last_TO]
        number_O = np.maximum(known_TO[train].sum(0), 1)
        offset_SO = np.stack(
            [np.where(known_TO, p, 0)[train].sum(0, dtype=np.float64) / number_O for p in parts]
        )
        left = [np.where(known_TO, p - o, 0.0) for p, o in zip(parts, offset_SO, strict=True)]
        return offset_SO, np.concatenate(left, axis=1)

    def less(self, parts_XY: Doubles, share_O: Doubles) -> Doubles:
        """Return (row, output) targets less a share of the last values."""
        outputs = self.target_TO.shape[1]
        if self.last_TO is None:
            return parts_XY
        return np.asarray(parts_XY[:, :outputs] - share_O * parts_XY[:, outputs:])


class Chosen(NamedTuple):
    """What validation likes best for each output.

    anchor_O : number of the share of the last value
    whole_O : true where the optional features are used
    """

    penalty_O: Doubles
    error_O: Doubles
    anchor_O: Ints
    whole_O: Bools


def fit_rows(
    features_TF: Floats,
    aim: Aim,
    fold_T: Ints,
    validation: Bools,
    folds: int,
    group_O: Ints,
    optional: int,
) -> tuple[Doubles, Doubles, Chosen]:
    """Solve the normal equations; fold k's fit subtracts fold k's share of them.

    Parameters
    ----------
    fold_T : (time,) training fold 0 .. K-1; -1 for rows that are not fitted to
    validation : (time,) rows that choose
    group_O : outputs of the same number get the same penalty
    optional : how many features, the last ones, may be left out

    Returns
    -------
    (fold + 1, feature, output) weights, (fold + 1, output) biases, and what was chosen
    """
    train = fold_T >= 0
    centre_F, spread_F = features_TF[train].mean(0), features_TF[train].std(0)
    spread_F = np.where(spread_F > 1e-6, spread_F, 1.0)
    offset_SO, left_TY = aim.centre(train)
    parts = []
    for fold in range(folds):
        rows = fold_T == fold
        # float64 sums: a float32 gram of collinear features is not positive definite
        x = ((features_TF[rows] - centre_F) / spread_F).astype(np.float64)
        parts.append((x.T @ x, x.T @ left_TY[rows]))
    gram_FF = np.sum([gram for gram, _ in parts], axis=0)
    cross_FY = np.sum([cross for _, cross in parts], axis=0)
    samples = float(train.sum())
    valid_X = ((features_TF[validation] - centre_F) / spread_F).astype(np.float64)
    asked = (valid_X, left_TY[validation], group_O, optional)
    chosen = _choose(gram_FF, cross_FY, samples, aim, *asked)
    share_O = aim.share_AO[chosen.anchor_O, np.arange(len(group_O))]
    systems = [(gram_FF - g, cross_FY - c) for g, c in parts] + [(gram_FF, cross_FY)]
    solved = [_solve(g, aim.less(c, share_O), samples, chosen, optional) for g, c in systems]
    weights_KFO = np.stack(solved) / spread_F[:, None]
    offset_O = aim.less(offset_SO.reshape(1, -1), share_O)[0]
    bias_KO = offset_O - centre_F @ weights_KFO
    return weights_KFO, bias_KO, chosen


def _choose(
    gram_FF: Doubles,
    cross_FY: Doubles,
    samples: float,
    aim: Aim,
    x: Doubles,
    y: Doubles,
    group_O: Ints,
    optional: int,
) -> Chosen:
    """Find each group's penalty of least validation error (infinite is the mean), and the rest."""
    outputs = len(group_O)
    if not len(x):
        none = np.zeros(outputs, np.int64)
        return Chosen(np.full(outputs, 0.1), np.full(outputs, np.inf), none, none > 0)
    anchors, kinds = len(aim.share_AO), 1 + (optional > 0)
    tried = np.array([np.inf, *PENALTIES])
    error_MAPO = np.empty((kinds, anchors, len(tried), outputs))

    def weigh(at: int, *left: Doubles) -> None:
        for kind, left_XY in enumerate(left):
            for anchor, share_O in enumerate(aim.share_AO):
                error_MAPO[kind, anchor, at] = (aim.less(left_XY, share_O) ** 2).sum(0)

    weigh(0, *[y] * kinds)
    for at, penalty in enumerate(PENALTIES, 1):
        root = _root(gram_FF, penalty * samples)
        weigh(at, *(y - answer for answer in _answer(root, cross_FY, x, optional)))
    total = np.zeros((*error_MAPO.shape[:3], group_O.max() + 1))
    np.add.at(total.transpose(3, 0, 1, 2), group_O, error_MAPO.transpose(3, 0, 1, 2))
    best_MAO = total.argmin(2)[..., group_O]
    error_MAO = np.take_along_axis(error_MAPO, best_MAO[:, :, None], axis=2)[:, :, 0]
    every = np.arange(outputs)
    anchor_MO = error_MAO.argmin(1)
    error_MO = error_MAO[np.arange(kinds)[:, None], anchor_MO, every]
    kind_O = error_MO.argmin(0)
    anchor_O = anchor_MO[kind_O, every]
    penalty_O = tried[best_MAO[kind_O, anchor_O, every]]
    return Chosen(penalty_O, error_MO[kind_O, every], anchor_O, kind_O == kinds - 1)


def _answer(root_FF: Doubles, cross_FY: Doubles, x: Doubles, optional: int) -> list[Doubles]:
    """Return (row, output) answers without and, where there are any, with the optional features.

    The root of a leading block is the leading block of the root: the fit without the optional
    features is a step on the way to that with them.
    """
    needed, half_FY = len(root_FF) - optional, _forward(root_FF, cross_FY)
    if len(x) < cross_FY.shape[1]:
        half_FX = _forward(root_FF, x.T)
        less = half_FX[:needed].T @ half_FY[:needed]
        return [less, less + half_FX[needed:].T @ half_FY[needed:]] if optional else [less]
    sizes = (needed, len(root_FF)) if optional else (needed,)
    blocks = [(size, np.asfortranarray(root_FF[:size, :size])) for size in sizes]
    return [x[:, :size] @ _back(block, half_FY[:size]) for size, block in blocks]


def _solve(
    gram_FF: Doubles, cross_FO: Doubles, samples: float, chosen: Chosen, optional: int
) -> Doubles:
    weights_FO = np.zeros_like(cross_FO)
    penalty_O = chosen.penalty_O
    for penalty in np.unique(penalty_O[np.isfinite(penalty_O)]):
        own = np.flatnonzero(penalty_O == penalty)
        whole = chosen.whole_O[own]
        most = len(gram_FF) if whole.any() else len(gram_FF) - optional
        root = _root(gram_FF[:most, :most], penalty * samples)
        half = _forward(root, cross_FO[:most, own])
        for needed, some in ((len(gram_FF), whole), (len(gram_FF) - optional, ~whole)):
            if some.any():
                block = np.asfortranarray(root[:needed, :needed])
                weights_FO[:needed, own[some]] = _back(block, half[:needed, some])
    return weights_FO


def _root(gram_FF: Doubles, added: float) -> Doubles:
    """Return the lower Cholesky factor of a gram with something added to its diagonal."""
    own_FF = gram_FF.copy()
    own_FF.flat[:: len(own_FF) + 1] += added
    # Turned round, which a symmetric matrix may be, it is laid out as LAPACK wants it.
    root_FF, info = dpotrf(own_FF.T, lower=1, clean=0, overwrite_a=1)
    if info:
        raise LinAlgError(f"the gram is not positive definite at feature {info}")
    return np.asarray(root_FF)


def _forward(root_FF: Doubles, right_FO: Doubles) -> Doubles:
    return np.asarray(dtrtrs(root_FF, right_FO, lower=1)[0])


def _back(root_FF: Doubles, right_FO: Doubles) -> Doubles:
    return np.asarray(dtrtrs(root_FF, right_FO, lower=1, trans=1)[0])
