"""Questions about more units than could each have a map: a few axes of them, and what lies beside.

Whole brains have 100,000 units, and a map from 768 features to each of them, for five folds and six
horizons, is 14 GB. What ridge fits of them lies near a few axes (reduced-rank regression; Mukherjee
& Zhu 2011, doi:10.1002/sam.10138). So maps are to these axes, and a forecast adds each unit's own
decay of what the axes do not hold. Bars, choices and verdicts are of `MOST_JUDGED` units.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tasks.lnm.data.recording import COLUMNS, Bools, Columns, Floats, Ints, Scaler
from tasks.lnm.data.runs import Runs
from tasks.lnm.linear.skip import shift_back

MOST_JUDGED = 512
"""Units of a stream that bars, skips and verdicts are chosen and read by, evenly spread."""
MOST_AXES = 128
AXES_PENALTY = 0.1
"""Of the ridge whose fit the axes are of; see normal_equations.PENALTIES."""
MOST_PAIRED = 4000
"""Training rows that axes are fitted to."""
ROWS = 512
"""Rows of all columns that are worked on at once."""


@dataclass(frozen=True)
class Wide:
    """All outputs of a question of which only some are judged (`Problem.outputs`).

    z_TV, last_TV : of the session; last values of forecasts only
    outputs : every column that is asked for
    judged : places of the judged ones among them
    axes_RO : orthonormal; columns of targets that are judged whole have one each
    target_TR, last_TR : targets and last values along the axes, NaN in the test part
    private_O : share of what the axes do not hold of the last value that a forecast adds
    """

    z_TV: Floats
    last_TV: Floats | None
    outputs: Ints
    judged: Ints
    axes_RO: Floats
    scaler: Scaler
    counts_O: Bools
    target_TR: Floats
    last_TR: Floats | None
    private_O: Floats


def judged_columns(columns: Columns) -> Bools:
    """Return (column,) true for the columns that are judged: all of a target, or evenly some."""
    judged_V = np.zeros(len(columns.names), bool)
    targets = np.array(columns.targets)
    for target in dict.fromkeys(columns.targets):
        own = np.flatnonzero(targets == target)
        judged_V[own[:: max(1, -(-len(own) // MOST_JUDGED))]] = True
    return judged_V


def ask_wide(
    features_TF: Floats,
    z_TV: Floats,
    last_TV: Floats | None,
    runs: Runs,
    part_T: Ints,
    outputs: Ints,
    columns: Columns,
    scaler: Scaler,
    horizons: Sequence[int],
) -> list[Wide]:
    """Find the axes of a question, which all its horizons share, and lay its targets along them.

    Parameters
    ----------
    last_TV, horizons : of forecasts; none for a two-sided question, which is one
    """
    judged_V, targets = judged_columns(columns), np.array(columns.targets)
    own_O = ~np.isin(targets[outputs], targets[~judged_V])
    first = horizons[0] if horizons else 0
    rows = paired_rows(runs, part_T == 0, first)
    axes_RO = fitted_axes(features_TF, z_TV, outputs, own_O, rows, first)
    low_TR = lie_along(z_TV, outputs, own_O, axes_RO)
    known_TR = np.where(((part_T == 0) | (part_T == 1))[:, None], low_TR, np.nan)
    about = (axes_RO, scaler.take(outputs), columns.counts[outputs])
    own = (z_TV, last_TV, outputs, np.flatnonzero(judged_V[outputs]))
    if last_TV is None:
        return [Wide(*own, *about, known_TR, None, np.zeros(len(outputs), np.float32))]
    last_TR = low_TR if last_TV is z_TV else lie_along(last_TV, outputs, own_O, axes_RO)
    training = [(a, b) for a, b in runs if part_T[a] == 0]
    share_HO = private_shares(z_TV, outputs, low_TR, axes_RO, training, horizons)
    return [
        Wide(*own, *about, shift_back(known_TR, runs, horizon), np.nan_to_num(last_TR), share_O)
        for horizon, share_O in zip(horizons, share_HO, strict=True)
    ]


def paired_rows(runs: Runs, train: Bools, ahead: int) -> Ints:
    """Return the training rows whose value `ahead` samples later is of the same run."""
    paired_T = np.zeros(len(train), bool)
    for start, stop in runs:
        paired_T[start : max(start, stop - ahead)] = True
    return np.flatnonzero(paired_T & train)


def fitted_axes(
    features_TF: Floats, z_TV: Floats, outputs: Ints, own_O: Bools, rows: Ints, ahead: int
) -> Floats:
    """Return (axis, output) leading axes of what ridge fits of many outputs in training.

    Parameters
    ----------
    own_O : outputs that have an axis each
    rows, ahead : features of these rows answer the values `ahead` samples later
    """
    rows = rows[:: max(1, -(-len(rows) // MOST_PAIRED))]
    x = features_TF[rows] - features_TF[rows].mean(0)
    spread_F = x.std(0)
    x /= np.where(spread_F > 1e-6, spread_F, 1.0)
    gram_FF = x.T.astype(np.float64) @ x
    every = len(rows) * np.eye(len(gram_FF))
    # With x = q r, the fit's leading axes are those of r times its weights.
    root_FF = np.linalg.cholesky(gram_FF + 1e-6 * every)
    turn_FT = (root_FF.T @ np.linalg.solve(gram_FF + AXES_PENALTY * every, x.T)).astype(np.float32)
    many = np.flatnonzero(~own_O)
    turned_FO = np.empty((x.shape[1], len(many)), np.float32)
    for block in _blocks(len(many), COLUMNS):
        y = np.nan_to_num(z_TV[np.ix_(rows + ahead, outputs[many[block]])])
        turned_FO[:, block] = turn_FT @ y
    power_F, turn_FF = np.linalg.eigh((turned_FO @ turned_FO.T).astype(np.float64))
    kept = np.flatnonzero(power_F > 1e-6 * power_F[-1])[::-1][:MOST_AXES]
    own = np.flatnonzero(own_O)
    axes_RO = np.zeros((len(kept) + len(own), len(outputs)), np.float32)
    scaled_RF = (turn_FF[:, kept] / np.sqrt(power_F[kept])).T.astype(np.float32)
    axes_RO[: len(kept), many] = scaled_RF @ turned_FO
    axes_RO[len(kept) + np.arange(len(own)), own] = 1.0
    return axes_RO


def lie_along(z_TV: Floats, outputs: Ints, own_O: Bools, axes_RO: Floats) -> Floats:
    """Return (time, axis) values along the axes; a missing unit counts as its mean.

    NaN where no unit is known, and along the axis of a column of its own where that is missing.
    """
    low_TR = np.empty((len(z_TV), len(axes_RO)), np.float32)
    first_own = len(axes_RO) - int(own_O.sum())
    for rows in _blocks(len(z_TV), ROWS):
        z_RO = z_TV[rows][:, outputs]
        finite_RO = np.isfinite(z_RO)
        low_TR[rows] = np.where(finite_RO, z_RO, 0) @ axes_RO.T
        none_R = ~finite_RO[:, ~own_O].any(1)
        low_TR[rows, :first_own][none_R] = np.nan
        low_TR[rows, first_own:][~finite_RO[:, own_O]] = np.nan
    return low_TR


def private_shares(
    z_TV: Floats,
    outputs: Ints,
    low_TR: Floats,
    axes_RO: Floats,
    runs: Runs,
    horizons: Sequence[int],
) -> Floats:
    """Return (horizon, output) how much of what the axes do not hold of a value is left of it.

    The autocorrelation in training runs, from 0 to 1.
    """
    share_HO = np.zeros((len(horizons), len(outputs)), np.float32)
    filled_TR = np.nan_to_num(low_TR)
    for block in _blocks(len(outputs), COLUMNS):
        z_TO = z_TV[:, outputs[block]]
        beside_TO = np.where(np.isfinite(z_TO), z_TO - filled_TR @ axes_RO[:, block], 0)
        for h, horizon in enumerate(horizons):
            product_O = power_O = np.zeros(beside_TO.shape[1])
            for start, stop in runs:
                if stop - start > horizon:
                    early, late = (
                        beside_TO[start : stop - horizon],
                        beside_TO[start + horizon : stop],
                    )
                    product_O = product_O + np.einsum("to,to->o", early, late)
                    power_O = power_O + np.einsum("to,to->o", early, early)
            share_HO[h, block] = np.clip(product_O / np.maximum(power_O, 1e-3), 0, 1)
    return share_HO


def _blocks(size: int, step: int) -> Iterator[slice]:
    for at in range(0, size, step):
        yield slice(at, min(at + step, size))
