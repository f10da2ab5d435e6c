"""What the model is measured against, each fitted on training and tuned on validation alone.

A baseline is a function from a problem to something that answers rows of it: see `Baseline`.
"""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from tasks.lnm.data.recording import Floats, Ints
from tasks.lnm.linear.features import depart_from_level, weigh_levels
from tasks.lnm.linear.lift import Lift
from tasks.lnm.linear.members import Affine, Member, median_known
from tasks.lnm.linear.problems import MOST_ROWS, Problem, Seen
from tasks.lnm.linear.ridge import Ridge, fit_ridge, principal_axes

MOST_RANK = 64


class Answering(Protocol):
    """A fitted baseline."""

    def locate(self, rows: Ints) -> Floats:
        """Return (row, output) predictions as the model's heads give them.

        z-scores; for spike counts log(rate / mean rate of training).
        """
        ...

    def middle(self, rows: Ints) -> Floats:
        """Return (row, output) medians as z-scores; what absolute errors are scored by."""
        ...


@dataclass(frozen=True)
class Fitted:
    """A fitted baseline that the model's skip may be made of, and the problem it answers."""

    problem: Problem
    member: Member

    def locate(self, rows: Ints) -> Floats:
        """Return (row, output) predictions of the fit to all training rows."""
        return self.member.locate(self.problem.view(rows))

    def middle(self, rows: Ints) -> Floats:
        """Return (row, output) medians as z-scores."""
        return self.member.middle(self.problem.view(rows))


class Baseline(Protocol):
    """One way to answer a problem.

    It sees what the model sees: the same columns, the same samples (`Problem.seen`).
    """

    def __call__(self, problem: Problem) -> Answering | None:
        """Fit on the problem's training rows, tune on its validation rows.

        None where the problem is none of this baseline's.
        """
        ...


def predict_mean(problem: Problem) -> Fitted:
    """Answer the training mean, always; where absolute errors count, the training median."""
    return make_affine(
        problem, no_maps(problem.seen, len(problem.outputs)), _anchors(problem, 0.0), point=True
    )


def hold_value(problem: Problem) -> Fitted | None:
    """Answer the last value that was seen (persistence); only forecasts have one."""
    if problem.last_TO is None:
        return None
    return make_affine(
        problem, no_maps(problem.seen, len(problem.outputs)), _anchors(problem, 1.0), point=True
    )


def fit_multiscale_ridge(problem: Problem) -> Fitted:
    """Answer by ridge on smoothed inputs; penalty and anchor chosen for each output."""
    maps, anchor_O = problem.ridge
    return make_affine(problem, maps, anchor_O)


def fit_drift_free(problem: Problem) -> Fitted | None:
    """Answer by ridge on how inputs depart from their slowest means.

    Fluorescence fades and electrodes move: a level that is new says nothing of behaviour, yet
    ridge, which knows training's levels, takes it for a signal. None for forecasts, which start
    from the last value, and where outputs are too many to have a map each.
    """
    if problem.horizon > 0 or problem.wide is not None:
        return None
    seen = problem.seen
    departure_TF = depart_from_level(seen.features_TF, seen.z_TI.shape[1], seen.slopes)
    own = fit_ridge(departure_TF, problem.target_TO, seen.fold_T, problem.validation)
    weights_KFO = weigh_levels(own.weights_KFO, seen.z_TI.shape[1], seen.slopes)
    maps = Ridge(weights_KFO, own.bias_KO, own.penalty_O, own.error_O)
    return make_affine(problem, maps, _anchors(problem, 0.0))


def reduce_rank(problem: Problem) -> Fitted | None:
    """Answer by ridge whose fitted values are held to a few axes, as many as validation likes best.

    Reduced-rank ridge regression (Mukherjee & Zhu 2011, doi:10.1002/sam.10138), with ridge's own
    penalties. None where a single output leaves nothing to reduce.
    """
    maps, anchor_O = problem.ridge
    most = min(MOST_RANK, len(problem.outputs) - 1, maps.weights_KFO.shape[1])
    if most < 1:
        return None
    axes_K = [_fitted_axes(problem, fold, most) for fold in range(len(maps.weights_KFO))]
    features_TF = problem.seen.features_TF[problem.validation]
    target_TO = problem.target_TO[problem.validation]
    if problem.last_TO is not None:
        target_TO = target_TO - problem.last_TO[problem.validation] * anchor_O
    linear_TO = features_TF @ maps.weights_KFO[-1]
    ranks = [rank for rank in (1, 2, 4, 8, 16, 32, 64) if rank <= most]
    costs = []
    for rank in ranks:
        axes_OR = axes_K[-1][:, :rank]
        missed = target_TO - linear_TO @ axes_OR @ axes_OR.T - maps.bias_KO[-1]
        costs.append(float(np.nansum(missed.astype(np.float64) ** 2)))
    rank = ranks[int(np.argmin(costs))]
    held = [w @ a[:, :rank] @ a[:, :rank].T for w, a in zip(maps.weights_KFO, axes_K, strict=True)]
    reduced_KFO = np.stack(held).astype(np.float32)
    # The bias holds the fit to the mean of the features; that point is kept where it was.
    centre_F = problem.seen.features_TF[problem.train].mean(0)
    bias_KO = maps.bias_KO + centre_F @ (maps.weights_KFO - reduced_KFO)
    held_maps = Ridge(reduced_KFO, bias_KO.astype(np.float32), maps.penalty_O, maps.error_O)
    return make_affine(problem, held_maps, anchor_O)


def make_affine(
    problem: Problem,
    maps: Ridge,
    anchor_O: Floats,
    *,
    log: bool = False,
    point: bool = False,
    lift: Lift | None = None,
) -> Fitted:
    """Return affine maps as a baseline, with the median of what they leave over in training."""
    never_O = np.zeros(len(problem.outputs), np.float32)
    own = (problem.scaler, problem.counts_O)
    member = Affine(maps, anchor_O, never_O, *own, log, point, lift=lift)
    if problem.horizon < 0:
        # Only forecasts are scored by absolute errors.
        return Fitted(problem, member)
    rows = np.flatnonzero(problem.train)
    rows = rows[:: max(1, -(-len(rows) // MOST_ROWS))]
    left_TO = problem.target_TO[rows] - member.predict(problem.crossed_view(rows, searched=False))
    return Fitted(problem, replace(member, shift_O=median_known(left_TO[None])[0]))


def _anchors(problem: Problem, share: float) -> Floats:
    return np.full(len(problem.outputs), share, np.float32)


def _fitted_axes(problem: Problem, fold: int, most: int) -> Floats:
    """Return (output, axis) leading axes of what one fold's ridge fits in its training rows."""
    fold_T, weights_FO = problem.seen.fold_T, problem.ridge[0].weights_KFO[fold]
    features_TF = problem.seen.features_TF[(fold_T >= 0) & (fold_T != fold)]
    fitted_TO = (features_TF - features_TF.mean(0)) @ weights_FO
    axes_OR = principal_axes(fitted_TO, most, np.random.default_rng(problem.seen.seed))
    # Subspace iteration finds the space; its axes in order of what they hold are these.
    _, turn_RR = np.linalg.eigh((fitted_TO @ axes_OR).T @ (fitted_TO @ axes_OR))
    return np.asarray(axes_OR @ turn_RR[:, ::-1])


def no_maps(seen: Seen, outputs: int) -> Ridge:
    """Return maps that answer 0 whatever the features are."""
    folds = int(seen.fold_T.max()) + 2
    never_O, bias_KO = np.full(outputs, np.inf, np.float32), np.zeros((folds, outputs), np.float32)
    return Ridge(bias_KO[:, None][:, :0], bias_KO, never_O, never_O)
