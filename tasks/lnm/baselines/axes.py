"""What the skip of a question about thousands of units is made of: ridge to axes, hold, mean."""

from dataclasses import replace

import numpy as np

from tasks.lnm.baselines.plain import no_maps
from tasks.lnm.data.recording import Ints
from tasks.lnm.linear.members import Affine, Axes, View, median_known
from tasks.lnm.linear.problems import Problem, Seen
from tasks.lnm.linear.wide import Wide, paired_rows

MOST_VALUES = 100_000_000
"""Of what is left over in training, whose medians are taken."""


def fit_wide(problem: Problem, wide: Wide) -> dict[str, Affine]:
    """Fit every member to all outputs of a question, yet to be centred; see wide.py."""
    seen, outputs = problem.seen, len(wide.outputs)
    none_O, whole_O = np.zeros(outputs, np.float32), np.ones(outputs, np.float32)
    about = (wide.scaler, wide.counts_O)
    maps, anchor_R = problem.wide_ridge
    axes = Axes(wide.axes_RO, anchor_R)
    silent = no_maps(seen, outputs)
    members = {
        "ridge": Affine(maps, wide.private_O, none_O, *about, axes=axes),
        "mean": Affine(silent, none_O, none_O, *about, point=True),
    }
    if problem.horizon > 0:
        members["persistence"] = Affine(silent, whole_O, none_O, *about, point=True)
    return members


def view_judged(seen: Seen, wide: Wide, rows: Ints, *, crossed: bool) -> View:
    """Return what the members' maps to the judged outputs answer some rows from.

    crossed : each row by the fit without its training fold
    """
    return _view(seen, wide, rows, wide.outputs[wide.judged], crossed=crossed)


def _view(seen: Seen, wide: Wide, rows: Ints, outputs: Ints, *, crossed: bool) -> View:
    fold_T = seen.fold_T[rows] if crossed else None
    if wide.last_TV is None or wide.last_TR is None:
        return View(seen.features_TF[rows], None, None, fold_T)
    last_TO = wide.last_TV[np.ix_(rows, outputs)]
    return View(seen.features_TF[rows], None, last_TO, fold_T, wide.last_TR[rows])


def centre(member: Affine, problem: Problem, wide: Wide, own: Ints) -> Affine:
    """Return a forecast's member with the median of what it leaves over in training.

    own : places of the member's outputs among those of `wide`
    """
    if problem.horizon < 0:
        return member
    seen, outputs = problem.seen, wide.outputs[own]
    rows = paired_rows(seen.runs, seen.fold_T >= 0, problem.horizon)
    rows = rows[:: max(1, -(-len(rows) * len(wide.outputs) // MOST_VALUES))]
    predicted_TO = member.predict(_view(seen, wide, rows, outputs, crossed=True))
    left_TO = wide.z_TV[np.ix_(rows + problem.horizon, outputs)] - predicted_TO
    return replace(member, shift_O=median_known(left_TO[None])[0])
