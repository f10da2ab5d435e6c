"""All baselines on all questions: fitted on training, compared on validation, asked about the test.

The best on validation of each target is the bar of its verdict. The best of the affine ones becomes
the model's linear skip, so that with its gates shut the model is the bar, unless that is nearest
neighbours or a recurrent network.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from types import MappingProxyType

import numpy as np

from schemas.settings.lnm import LnmSettings
from tasks.common.progress import report_progress
from tasks.lnm.baselines import (
    Affine,
    Baseline,
    fit_multiscale_ridge,
    hold_value,
    predict_mean,
    reduce_rank,
)
from tasks.lnm.baselines_glm import fit_poisson
from tasks.lnm.baselines_gru import fit_recurrent
from tasks.lnm.baselines_knn import fit_neighbours
from tasks.lnm.linear import Ridge
from tasks.lnm.problems import Problem, make_problems
from tasks.lnm.recording import Bools, Floats, Ints, Recording, Scaler, find_runs
from tasks.lnm.scoring import Metric, metrics_of, score_alone
from tasks.lnm.skip import LinearMap, LinearSkip, deal_units, horizons_of, shift_back

BASELINES: Mapping[str, Baseline] = MappingProxyType(
    {
        "ridge": fit_multiscale_ridge,
        "persistence": hold_value,
        "mean": predict_mean,
        "reduced_rank": reduce_rank,
        "glm": fit_poisson,
        "knn": fit_neighbours,
        "gru": fit_recurrent,
    }
)
"""In this order: of equals on validation the first is the bar."""
ALWAYS = ("ridge", "persistence", "mean")

Bar = tuple[str, str, int, Metric]
"""Task, target, horizon (-1 if none), metric."""


@dataclass(frozen=True)
class Rivals:
    """What every baseline answers on the test part, and which one is the bar.

    answers : by task and horizon, by baseline: (row, column) locations, NaN where not asked; rows
        are all test samples, or the origins of forecasts
    bars : the baseline that did best on validation
    """

    answers: Mapping[tuple[str, int], Mapping[str, Floats]]
    bars: Mapping[Bar, str]


@dataclass(frozen=True)
class _Piece:
    """The affine maps to one problem's outputs, by baseline, and where they belong."""

    problem: Problem
    affine: Mapping[str, Affine]

    def choose(self, chosen_V: Mapping[int, str]) -> tuple[Ridge, Floats, Bools]:
        """Put together the maps that were chosen for each output."""
        picked = [self.affine[chosen_V[int(output)]] for output in self.problem.outputs]
        each = [p.maps.take(np.array([i])) for i, p in enumerate(picked)]
        joined = Ridge(
            np.concatenate([m.weights_KFO for m in each], axis=2),
            np.concatenate([m.bias_KO for m in each], axis=1),
            np.concatenate([m.penalty_O for m in each]),
            np.concatenate([m.error_O for m in each]),
        )
        anchor_O = np.array([p.anchor_O[i] for i, p in enumerate(picked)], np.float32)
        return joined, anchor_O, np.array([p.log for p in picked], bool)


def fit_rivals(
    recording: Recording,
    part_T: Ints,
    scaler: Scaler,
    origin_O: Ints,
    window: int,
    settings: LnmSettings,
) -> tuple[LinearSkip, Rivals, Ints]:
    """Fit every baseline that is asked for to every question of a session.

    Parameters
    ----------
    part_T : 0 train, 1 validation, 2 test, -1 none
    origin_O : samples of the test part to forecast from

    Returns
    -------
    The linear skip, what the baselines answer, and the training fold of each sample.
    """
    z_TV = scaler.standardise(recording.values_TV)
    problems = make_problems(
        z_TV, recording.segment_T, part_T, recording.columns, scaler, window, settings.seed
    )
    methods = [m for m in BASELINES if m in ALWAYS or m in settings.baselines]
    judge = _Judge(recording, part_T, scaler)
    answers: dict[tuple[str, int], dict[str, Floats]] = {}
    bars: dict[Bar, str] = {}
    maps: dict[str, list[tuple[_Piece, tuple[Ridge, Floats, Bools]]]] = {}
    fold_T = np.zeros(0, np.int64)
    kinds = len(horizons_of(window)) + 3
    for done, ((task, horizon), group) in enumerate(groupby(problems, _question)):
        report_progress("fit the baselines", done, kinds, task)
        rows = (
            np.flatnonzero(part_T == 1),
            origin_O if horizon > 0 else np.flatnonzero(part_T == 2),
        )
        pieces, (held_out, answers[task, horizon]) = _fit_all(group, methods, rows, z_TV.shape[1])
        best = judge.compare(task, horizon, held_out)
        bars |= best
        affine = {m: a for m, a in held_out.items() if m in pieces[0].affine}
        chosen = _by_column(judge.compare(task, horizon, affine), recording.columns.targets)
        for piece in pieces:
            maps.setdefault(piece.problem.name, []).append((piece, piece.choose(chosen)))
        fold_T = pieces[0].problem.seen.fold_T
    report_progress("fit the baselines", kinds, kinds)
    joined = {name: _linear_map(found) for name, found in maps.items()}
    unit_fold_V = deal_units(recording.columns.neural, np.random.default_rng(settings.seed))
    return (
        LinearSkip(window, horizons_of(window), unit_fold_V, joined),
        Rivals(answers, bars),
        fold_T,
    )


def _question(problem: Problem) -> tuple[str, int]:
    return problem.name.rstrip("0123456789"), problem.horizon


def _fit_all(
    problems: Iterable[Problem], methods: list[str], rows: tuple[Ints, Ints], columns: int
) -> tuple[list[_Piece], tuple[dict[str, Floats], dict[str, Floats]]]:
    """Fit each method to each problem of one question and answer validation and test rows."""
    pieces = []
    answers: tuple[dict[str, Floats], dict[str, Floats]] = ({}, {})
    for problem in problems:
        affine = {}
        for method in methods:
            fitted = BASELINES[method](problem)
            if fitted is None:
                continue
            if isinstance(fitted, Affine):
                affine[method] = fitted
            for found, own in zip(answers, rows, strict=True):
                full = found.setdefault(method, np.full((len(own), columns), np.nan, np.float32))
                full[:, problem.outputs] = fitted.locate(own)
        pieces.append(_Piece(problem, affine))
    return pieces, answers


@dataclass(frozen=True)
class _Judge:
    """Compares answers on the validation part, by the metrics of the verdicts."""

    recording: Recording
    part_T: Ints
    scaler: Scaler

    def compare(self, task: str, horizon: int, located: Mapping[str, Floats]) -> dict[Bar, str]:
        """Return the best method for each target and metric that validation can tell apart."""
        rows = np.flatnonzero(self.part_T == 1)
        columns, values_TV = self.recording.columns, self.recording.values_TV
        if horizon > 0:
            runs = find_runs(self.recording.segment_T, self.part_T)
            values_TV = shift_back(values_TV, runs, horizon)
        targets = np.array(columns.targets)
        asked_V = np.isfinite(next(iter(located.values()))).any(0)
        best: dict[Bar, str] = {}
        for target in dict.fromkeys(targets[asked_V].tolist()):
            own = np.flatnonzero((targets == target) & asked_V)
            counts = bool(columns.counts[own[0]])
            answers = {
                method: locations_to_values(found[:, own], self.scaler.take(own), counts)
                for method, found in located.items()
            }
            for metric in metrics_of(counts, horizon):
                scores = score_alone(
                    metric, values_TV[rows][:, own], answers, self.scaler.sd_V[own]
                )
                # Nothing to tell by: ridge, which chose each output's penalty, mean included.
                name = max(scores, key=lambda m: scores[m]) if scores else "ridge"
                best[task, str(target), horizon, metric] = name
        return best


def locations_to_values(location: Floats, scaler: Scaler, counts: bool) -> Floats:
    """Turn locations into means in the columns' own units."""
    if counts:
        return np.asarray(scaler.mean_V * np.exp(location))
    return np.asarray(location * scaler.sd_V + scaler.mean_V)


def _by_column(best: Mapping[Bar, str], targets: tuple[str, ...]) -> dict[int, str]:
    """Return the chosen method of each column by the first metric of its target."""
    first: dict[str, str] = {}
    for (_, target, _, _), name in best.items():
        first.setdefault(target, name)
    return {column: first[target] for column, target in enumerate(targets) if target in first}


def _linear_map(found: list[tuple[_Piece, tuple[Ridge, Floats, Bools]]]) -> LinearMap:
    """Join the maps of one task's horizons."""
    problem = found[0][0].problem
    chosen = [parts for _, parts in found]
    return LinearMap(
        problem.inputs,
        problem.outputs,
        problem.axes_IR,
        tuple(ridge for ridge, _, _ in chosen),
        np.stack([anchor for _, anchor, _ in chosen]),
        chosen[0][2],
    )
