"""Closed-form linear prediction: ridge on activity smoothed at several time scales (features.py).

The same maps are the ridge baseline and the linear skip of the model. Fitted on training samples;
the penalty of each target chosen on validation samples.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from tasks.lnm.data.recording import Bools, Floats, Ints

Doubles = NDArray[np.float64]

PENALTIES = (1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 10.0)
"""Ridge penalties for one training sample, for features of unit variance."""
MOST_PATTERNS = 8
MOST_INPUTS = 128
"""More input columns than this are reduced to as many principal components first."""


def principal_axes(z_TI: Floats, rank: int, rng: np.random.Generator) -> Floats:
    """Return (column, rank) leading axes of training data by subspace iteration."""
    filled_TI = np.nan_to_num(z_TI)
    start_IR = rng.standard_normal((z_TI.shape[1], rank)).astype(filled_TI.dtype)
    axes_IR: Floats = np.linalg.qr(start_IR)[0]
    for _ in range(4):
        axes_IR = np.linalg.qr(filled_TI.T @ (filled_TI @ axes_IR))[0]
    return axes_IR


@dataclass(frozen=True)
class Ridge:
    """Affine maps fitted to all training folds but one (0 .. K-1) and to all of them (last).

    weights_KFO : (fold + 1, feature, output); no feature where the answer is the bias alone
    bias_KO : (fold + 1, output)
    penalty_O : (output,) chosen penalty; infinite where the mean did best on validation
    error_O : (output,) squared error on validation with it
    """

    weights_KFO: Floats
    bias_KO: Floats
    penalty_O: Floats
    error_O: Floats

    def take(self, outputs: Ints) -> "Ridge":
        """Return the maps to some outputs only."""
        # Contiguous: a product with a transposed array rounds otherwise than with a saved one.
        return Ridge(
            np.ascontiguousarray(self.weights_KFO[:, :, outputs]),
            np.ascontiguousarray(self.bias_KO[:, outputs]),
            self.penalty_O[outputs],
            self.error_O[outputs],
        )

    def predict(self, features_TF: Floats, fold_T: Ints | None = None) -> Floats:
        """Predict rows, each by the fit that has not seen its fold (-1: by the whole fit)."""
        features_TF = features_TF[:, : self.weights_KFO.shape[1]]
        if fold_T is None:
            return np.asarray(features_TF @ self.weights_KFO[-1] + self.bias_KO[-1])
        out_TO = np.empty((len(features_TF), self.bias_KO.shape[1]), np.float32)
        for fold in np.unique(fold_T):
            rows = fold_T == fold
            out_TO[rows] = features_TF[rows] @ self.weights_KFO[fold] + self.bias_KO[fold]
        return out_TO


def fit_ridge_with_or_without(
    features_TF: Floats, last: int, target_TO: Floats, fold_T: Ints, validation: Bools
) -> Ridge:
    """Fit ridge with and without the `last` features; validation chooses for each output.

    Few samples cannot pay for more features, and one penalty for all cannot leave some out.
    """
    whole = fit_ridge(features_TF, target_TO, fold_T, validation)
    if not last:
        return whole
    less = fit_ridge(features_TF[:, :-last], target_TO, fold_T, validation)
    better_O = whole.error_O < less.error_O
    padded_KFO = np.pad(less.weights_KFO, ((0, 0), (0, last), (0, 0)))
    return Ridge(
        np.where(better_O, whole.weights_KFO, padded_KFO),
        np.where(better_O, whole.bias_KO, less.bias_KO),
        np.where(better_O, whole.penalty_O, less.penalty_O),
        np.where(better_O, whole.error_O, less.error_O),
    )


def fit_ridge(
    features_TF: Floats,
    target_TO: Floats,
    fold_T: Ints,
    validation: Bools,
    group_O: Ints | None = None,
) -> Ridge:
    """Fit ridge by normal equations for each pattern of missing target rows.

    Parameters
    ----------
    features_TF : (time, feature)
    target_TO : (time, output), NaN rows are left out; a single NaN in a row that others of the
        same pattern have counts as the mean
    fold_T : (time,) training fold 0 .. K-1; -1 outside training
    validation : (time,) rows that choose each output's penalty
    group_O : outputs of the same number, and pattern, get the same penalty; None: each its own
    """
    folds, outputs = int(fold_T.max()) + 1, target_TO.shape[1]
    weights = np.zeros((folds + 1, features_TF.shape[1], outputs), np.float32)
    bias = np.zeros((folds + 1, outputs), np.float32)
    penalty, error = np.full(outputs, np.inf, np.float32), np.full(outputs, np.inf, np.float32)
    for columns, rows in _missing_patterns(np.isfinite(target_TO)):
        train, chosen = rows & (fold_T >= 0), rows & validation
        if train.sum() > 1:
            group = np.arange(len(columns)) if group_O is None else group_O[columns]
            own_fold_T = np.where(train, fold_T, -1)
            fitted = _fit_rows(features_TF, target_TO[:, columns], own_fold_T, chosen, folds, group)
            weights[:, :, columns], bias[:, columns] = fitted.weights_KFO, fitted.bias_KO
            penalty[columns], error[columns] = fitted.penalty_O, fitted.error_O
    return Ridge(weights, bias, penalty, error)


def _missing_patterns(finite_TO: Bools) -> list[tuple[Ints, Bools]]:
    """Return the outputs that share a pattern of valid rows, and those rows."""
    outputs_of: dict[bytes, list[int]] = {}
    for output, packed in enumerate(np.packbits(finite_TO, axis=0).T):
        outputs_of.setdefault(packed.tobytes(), []).append(output)
    if len(outputs_of) > MOST_PATTERNS:
        # Units masked one by one: one system for all, their gaps taken as the mean.
        return [(np.arange(finite_TO.shape[1]), finite_TO.any(1))]
    return [(np.array(own), finite_TO[:, own[0]]) for own in outputs_of.values()]


def _fit_rows(
    features_TF: Floats,
    target_TO: Floats,
    fold_T: Ints,
    validation: Bools,
    folds: int,
    group_O: Ints,
) -> Ridge:
    """Solve the normal equations; fold k's fit subtracts fold k's share of them."""
    train = fold_T >= 0
    centre_F, spread_F = features_TF[train].mean(0), features_TF[train].std(0)
    spread_F = np.where(spread_F > 1e-6, spread_F, 1.0)
    offset_O = np.nanmean(target_TO[train], axis=0).astype(np.float64)
    parts = [
        _normal_equations(features_TF, target_TO, fold_T == fold, centre_F, spread_F, offset_O)
        for fold in range(folds)
    ]
    gram_FF = np.sum([gram for gram, _ in parts], axis=0)
    cross_FO = np.sum([cross for _, cross in parts], axis=0)
    samples = float(train.sum())
    valid_X = (features_TF[validation] - centre_F) / spread_F
    valid_Y = np.nan_to_num(target_TO[validation] - offset_O)
    penalty_O, error_O = _choose_penalties(gram_FF, cross_FO, samples, valid_X, valid_Y, group_O)
    systems = [(gram_FF - g, cross_FO - c) for g, c in parts] + [(gram_FF, cross_FO)]
    solved = [_solve(g, c, samples, penalty_O) / spread_F[:, None] for g, c in systems]
    weights_KFO = np.stack(solved)
    return Ridge(weights_KFO, offset_O - centre_F @ weights_KFO, penalty_O, error_O)


def _normal_equations(
    features_TF: Floats,
    target_TO: Floats,
    rows: Bools,
    centre_F: Floats,
    spread_F: Floats,
    offset_O: Doubles,
) -> tuple[Doubles, Doubles]:
    # float64 sums: a float32 gram of collinear features is not positive definite
    x = ((features_TF[rows] - centre_F) / spread_F).astype(np.float64)
    y = np.nan_to_num(target_TO[rows] - offset_O)
    return x.T @ x, x.T @ y


def _choose_penalties(
    gram_FF: Doubles, cross_FO: Doubles, samples: float, x: Floats, y: Floats, group_O: Ints
) -> tuple[Doubles, Doubles]:
    """Return each group's penalty of least validation error, and that; infinite is the mean."""
    outputs = len(group_O)
    if not len(x):
        return np.full(outputs, 1e-1), np.full(outputs, np.inf)
    tried = np.array([np.inf, *PENALTIES])
    error_PO = np.empty((len(tried), outputs))
    for at, penalty in enumerate(tried):
        weights_FO = _solve(gram_FF, cross_FO, samples, np.full(outputs, penalty))
        error_PO[at] = ((y - x @ weights_FO) ** 2).sum(0)
    total_PG = np.zeros((len(tried), group_O.max() + 1))
    np.add.at(total_PG.T, group_O, error_PO.T)
    best_O = total_PG.argmin(0)[group_O]
    return tried[best_O], error_PO[best_O, np.arange(outputs)]


def _solve(gram_FF: Doubles, cross_FO: Doubles, samples: float, penalty_O: Doubles) -> Doubles:
    weights_FO = np.zeros_like(cross_FO)
    for penalty in np.unique(penalty_O[np.isfinite(penalty_O)]):
        own = penalty_O == penalty
        factor = cho_factor(gram_FF + penalty * samples * np.eye(len(gram_FF)))
        weights_FO[:, own] = cho_solve(factor, cross_FO[:, own])
    return weights_FO
