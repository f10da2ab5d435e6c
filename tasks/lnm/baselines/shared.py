"""What columns of like label do alike in every animal, as maps that a new animal starts from.

Which neurons there are differs between animals. How a unit goes on from its own past and from the
mean of its like does so less, nor does how running and pupil go on, or what a mean of units
tells of them. Such maps have a few dozen weights, which hours of others know better than a minute
of one's own; ridge then adds what is its own (a hierarchical prior: Gelman & Hill 2007, ch. 12).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from schemas.settings.lnm import LnmSettings
from tasks.lnm.baselines.plain import Fitted, make_affine
from tasks.lnm.data.division import Division
from tasks.lnm.data.grouping import hide_together
from tasks.lnm.data.recording import (
    Columns,
    Floats,
    Ints,
    Recording,
    fit_scaler,
    usable_columns,
)
from tasks.lnm.data.runs import Runs, find_runs
from tasks.lnm.linear.features import causal_kernels, smooth_features, two_sided_features
from tasks.lnm.linear.normal_equations import Doubles
from tasks.lnm.linear.problems import Problem
from tasks.lnm.linear.ridge import Ridge, fit_ridge
from tasks.lnm.linear.skip import (
    context_of,
    hold_last,
    horizons_of,
    shift_back,
    two_sided_tasks,
)
from tasks.lnm.linear.wide import judged_columns

PENALTY = 1e-3
"""Ridge penalty of the shared maps; their samples are many and their weights few."""

Like = tuple[str, int, str]
"""Task, horizon (-1 if none), label of the output."""


@dataclass(frozen=True)
class SharedMaps:
    """Linear maps from the means of visible columns of each label to a column of one label.

    window, rate_hz : of the sessions they come from
    labels : what means are of; see `Columns.labels`
    weights : (kernel, label) of the smoothed z-scores; of forecasts, which are of changes since
        the last value, a last column weighs the output's own past
    """

    window: int
    rate_hz: float
    labels: tuple[str, ...]
    weights: Mapping[Like, Doubles]

    def fit(self, problem: Problem, columns: Columns) -> Fitted | None:
        """Answer by these maps, and by ridge on what they leave over.

        One penalty for all columns of a target: there is less to choose them by than columns.
        None where no other session was asked about a column like these.
        """
        weights_FO = self._lay_out(problem, columns)
        if not weights_FO.any():
            return None
        seen, last_TO = problem.seen, problem.last_TO
        left_TO = problem.target_TO - seen.features_TF @ weights_FO
        if last_TO is not None:
            left_TO -= last_TO
        targets = np.array(columns.targets)[problem.outputs]
        group_O = np.unique(targets, return_inverse=True)[1]
        own = fit_ridge(seen.features_TF, left_TO, seen.fold_T, problem.validation, group_O)
        joined = Ridge(own.weights_KFO + weights_FO, own.bias_KO, own.penalty_O, own.error_O)
        anchor_O = np.full(len(targets), float(last_TO is not None), np.float32)
        return make_affine(problem, joined, anchor_O)

    def _lay_out(self, problem: Problem, columns: Columns) -> Floats:
        """Return (feature, output) weights of a session's own features; 0 where none is known."""
        labels = np.array(columns.labels)
        inputs, ahead = problem.inputs, problem.horizon > 0
        share_LI = np.array([labels[inputs] == label for label in self.labels], np.float64)
        share_LI /= np.maximum(share_LI.sum(1, keepdims=True), 1)
        weights_FO = np.zeros((problem.seen.features_TF.shape[1], len(problem.outputs)), np.float32)
        for at, output in enumerate(problem.outputs):
            key = (task_of(problem.name), problem.horizon, str(labels[output]))
            if key in self.weights:
                own_LI = np.r_[share_LI, [inputs == output]] if ahead else share_LI
                weights_SI = self.weights[key] @ own_LI
                axes_IR = problem.axes_IR
                own_SR = weights_SI if axes_IR is None else weights_SI @ axes_IR
                weights_FO[:, at] = own_SR.ravel()
        return weights_FO


def task_of(name: str) -> str:
    """Return the task of one of its problems."""
    return name.rstrip("0123456789")


def learn_maps(sessions: Iterable[Division], settings: LnmSettings) -> SharedMaps | None:
    """Learn from all but the test parts of some sessions, or of what is held of them.

    None where windows or rates differ: the same kernels would then smooth over other times.
    """
    found = [_fitting_part(held) for held in sessions]
    if len({(part.window, part.recording.rate_hz) for part in found}) != 1:
        return None
    labels = tuple(sorted({n for part in found for n in part.recording.columns.labels}))
    gram: dict[Like, Doubles] = {}
    cross: dict[Like, Doubles] = {}
    kernels: dict[Like, int] = {}
    for part in found:
        for key, features_TSL, target_T in part.ask(labels, settings.seed):
            rows = np.isfinite(target_T)
            x_TF = features_TSL[rows].reshape(rows.sum(), -1).astype(np.float64)
            gram[key] = gram.get(key, 0) + x_TF.T @ x_TF
            cross[key] = cross.get(key, 0) + x_TF.T @ target_T[rows]
            kernels[key] = features_TSL.shape[1]
    weights = {key: _solve(gram[key], cross[key]).reshape(kernels[key], -1) for key in gram}
    return SharedMaps(found[0].window, found[0].recording.rate_hz, labels, weights)


def _solve(gram_FF: Doubles, cross_F: Doubles) -> Doubles:
    # Of a label that the session lacks all is 0.
    power_F = np.maximum(np.diag(gram_FF), 1e-6)
    return np.linalg.solve(gram_FF + np.diag(PENALTY * power_F), cross_F)


@dataclass(frozen=True)
class _Part:
    """What is not the test part of a session: z-scores by its own statistics, and its runs."""

    recording: Recording
    z_TV: Floats
    runs: Runs
    window: int

    def ask(self, labels: Sequence[str], seed: int) -> Iterator[tuple[Like, Floats, Floats]]:
        """Yield each question about each column: (time, kernel, label) features and the answer."""
        columns, z_TV, runs = self.recording.columns, self.z_TV, self.runs
        judged_V = judged_columns(columns)
        tasks = two_sided_tasks(columns.neural, hide_together(columns, seed))
        for name, inputs, outputs in tasks:
            means_TL = self._means(inputs, labels)
            features_TF = two_sided_features(means_TL, runs, self.window)
            features_TSL = features_TF.reshape(len(z_TV), -1, len(labels))
            for output in outputs[judged_V[outputs]]:
                yield (task_of(name), -1, columns.labels[output]), features_TSL, z_TV[:, output]
        every = np.arange(z_TV.shape[1])
        last_TV, kernels = hold_last(z_TV, runs, columns), causal_kernels(context_of(self.window))
        common_TF = smooth_features(self._means(every, labels), runs, kernels)
        common_TSL = common_TF.reshape(len(z_TV), len(kernels), -1)
        for output in every[judged_V]:
            own_TS = smooth_features(z_TV[:, [output]], runs, kernels)
            features_TSL = np.concatenate([common_TSL, own_TS[..., None]], axis=2)
            for horizon in horizons_of(self.window):
                ahead_T1 = shift_back(z_TV[:, [output]], runs, horizon)
                key = ("forecast", horizon, columns.labels[output])
                yield key, features_TSL, ahead_T1[:, 0] - last_TV[:, output]

    def _means(self, inputs: Ints, labels: Sequence[str]) -> Floats:
        """Return (time, label) means over the inputs of each label; NaN where none is valid."""
        own = np.array(self.recording.columns.labels)[inputs]
        out_TL = np.full((len(self.z_TV), len(labels)), np.nan, np.float32)
        for at, label in enumerate(labels):
            z_TI = self.z_TV[:, inputs[own == label]]
            known_T = np.isfinite(z_TI).any(1)
            out_TL[known_T, at] = np.nanmean(z_TI[known_T], axis=1)
        return out_TL


def _fitting_part(held: Division) -> _Part:
    known_T = held.split.fitting
    recording = held.recording.take(usable_columns(held.recording, known_T))
    scaler = fit_scaler(recording, known_T)
    z_TV = scaler.standardise(recording.values_TV)
    runs = find_runs(recording.segment_T, np.where(known_T, 0, -1))
    outside_T = ~np.isin(np.arange(len(z_TV)), np.concatenate([np.arange(*r) for r in runs]))
    z_TV[outside_T] = np.nan
    return _Part(recording, z_TV, runs, held.window)
