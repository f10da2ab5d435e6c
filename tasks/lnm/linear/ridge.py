"""Closed-form linear prediction: ridge on activity smoothed at several time scales (features.py).

The same maps are the ridge baseline and the linear skip of the model. Fitted on training samples;
the penalty of each target chosen on validation samples.
"""

from dataclasses import dataclass

import numpy as np

from tasks.lnm.data.recording import Bools, Floats, Ints
from tasks.lnm.linear.normal_equations import Aim, Doubles, fit_rows

MOST_PATTERNS = 8
MOST_INPUTS = 128
"""More input columns than this are reduced to as many principal components first."""


def principal_axes(z_TI: Floats, rank: int, rng: np.random.Generator) -> Floats:
    """Return (column, rank) leading axes of training data by subspace iteration."""
    filled_TI = z_TI if np.isfinite(z_TI).all() else np.nan_to_num(z_TI)
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

    def predict(self, features_TF: Floats | Doubles, fold_T: Ints | None = None) -> Floats:
        """Predict rows, each by the fit that has not seen its fold (-1: by the whole fit)."""
        features_TF = features_TF[:, : self.weights_KFO.shape[1]]
        if fold_T is None:
            return np.asarray(features_TF @ self.weights_KFO[-1] + self.bias_KO[-1], np.float32)
        out_TO = np.empty((len(features_TF), self.bias_KO.shape[1]), np.float32)
        for fold in np.unique(fold_T):
            rows = fold_T == fold
            out_TO[rows] = features_TF[rows] @ self.weights_KFO[fold] + self.bias_KO[fold]
        return out_TO


def fit_ridge(
    features_TF: Floats,
    target_TO: Floats,
    fold_T: Ints,
    validation: Bools,
    group_O: Ints | None = None,
    *,
    optional: int = 0,
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
    optional : how many features, the last ones, validation may leave out for an output; few samples
        cannot pay for more features, and one penalty for all cannot leave some out
    """
    aim = Aim(target_TO, None, np.zeros((1, target_TO.shape[1])))
    return _fit_patterns(features_TF, aim, fold_T, validation, group_O, optional)[0]


def fit_anchored_ridge(
    features_TF: Floats,
    last_TO: Floats,
    target_TO: Floats,
    share_AO: Doubles,
    fold_T: Ints,
    validation: Bools,
) -> tuple[Ridge, Floats]:
    """Fit ridge to what shares of last values leave over; validation chooses each output's share.

    Ridge is linear in its targets: one fit to targets and one to last values is a fit to every
    share.

    Parameters
    ----------
    share_AO : (choice, output)

    Returns
    -------
    The maps, and the share that was chosen for each output.
    """
    aim = Aim(target_TO, last_TO, share_AO)
    ridge, anchor_O = _fit_patterns(features_TF, aim, fold_T, validation, None, 0)
    return ridge, share_AO[anchor_O, np.arange(len(anchor_O))].astype(np.float32)


def _fit_patterns(
    features_TF: Floats,
    aim: Aim,
    fold_T: Ints,
    validation: Bools,
    group_O: Ints | None,
    optional: int,
) -> tuple[Ridge, Ints]:
    """Fit each pattern of missing rows; return the maps and the number of each output's share."""
    folds, outputs = int(fold_T.max()) + 1, aim.target_TO.shape[1]
    weights = np.zeros((folds + 1, features_TF.shape[1], outputs), np.float32)
    bias = np.zeros((folds + 1, outputs), np.float32)
    penalty, error = np.full(outputs, np.inf, np.float32), np.full(outputs, np.inf, np.float32)
    anchor = np.zeros(outputs, np.int64)
    for columns, rows in _missing_patterns(np.isfinite(aim.target_TO)):
        train, chosen_by = rows & (fold_T >= 0), rows & validation
        if train.sum() > 1:
            group = np.arange(len(columns)) if group_O is None else group_O[columns]
            own = (aim.take(columns), np.where(train, fold_T, -1), chosen_by, folds)
            found = fit_rows(features_TF, *own, group, optional)
            weights[:, :, columns], bias[:, columns], chosen = found
            penalty[columns], error[columns] = chosen.penalty_O, chosen.error_O
            anchor[columns] = chosen.anchor_O
    return Ridge(weights, bias, penalty, error), anchor


def _missing_patterns(finite_TO: Bools) -> list[tuple[Ints, Bools]]:
    """Return the outputs that share a pattern of valid rows, and those rows."""
    outputs_of: dict[bytes, list[int]] = {}
    for output, packed in enumerate(np.packbits(finite_TO, axis=0).T):
        outputs_of.setdefault(packed.tobytes(), []).append(output)
    if len(outputs_of) > MOST_PATTERNS:
        # Units masked one by one: one system for all, their gaps taken as the mean.
        return [(np.arange(finite_TO.shape[1]), finite_TO.any(1))]
    return [(np.array(own), finite_TO[:, own[0]]) for own in outputs_of.values()]
