"""All baselines on all questions: fitted on training, compared on validation, asked about the test.

The best on validation of each target is the bar of its verdict. The same becomes the model's skip,
or a blend of it with others where training (each fold answered without it) and validation are sure
that it gains: so with its gates shut the model is the bar or better, unless that is a GRU.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from types import MappingProxyType

import numpy as np

from schemas.settings.lnm import LnmSettings
from tasks.common.progress import report_progress
from tasks.lnm.baselines import (
    Baseline,
    Fitted,
    fit_multiscale_ridge,
    hold_value,
    predict_mean,
    reduce_rank,
)
from tasks.lnm.baselines_glm import fit_poisson
from tasks.lnm.baselines_gru import fit_recurrent
from tasks.lnm.baselines_knn import fit_neighbours
from tasks.lnm.blending import Weights, choose_blend
from tasks.lnm.locations import Functional, location_to_values
from tasks.lnm.problems import Problem, make_problems
from tasks.lnm.recording import Columns, Floats, Ints, Recording, Scaler, find_runs
from tasks.lnm.scoring import Metric, functional_of, metrics_of, score_alone
from tasks.lnm.skip import Blend, Skip, SkipMap, deal_units, horizons_of, shift_back

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
MOST_CROSSED = 8000
"""Training rows that the skip is chosen by."""
MOST_JUDGED = 512
"""Columns of a target that its bar and its skip are chosen by; whole brains have 100,000."""
ALWAYS = ("ridge", "persistence", "mean")

Bar = tuple[str, str, int, Metric]
"""Task, target, horizon (-1 if none), metric."""


Located = dict[tuple[Functional, str], Floats]
"""By functional and baseline: (row, column) locations or medians, NaN where not asked."""


@dataclass(frozen=True)
class Rivals:
    """What every baseline answers on the test part, and which one is the bar.

    answers : by task and horizon; rows are all test samples, or the origins of forecasts
    bars : the baseline that did best on validation
    """

    answers: Mapping[tuple[str, int], Located]
    bars: Mapping[Bar, str]


@dataclass
class _Fits:
    """One question: its problems, what was fitted to each, and the answers to some rows.

    crossed : answers to training rows, each by the fit without its fold
    """

    problems: list[Problem] = field(default_factory=list)
    fitted: list[dict[str, Fitted]] = field(default_factory=list)
    held_out: Located = field(default_factory=dict)
    test: Located = field(default_factory=dict)
    crossed: Located = field(default_factory=dict)

    def blends(self, chosen: Mapping[Functional, Mapping[int, Weights]]) -> list[Blend]:
        """Return each problem's blend of what was chosen for each of its columns."""
        return [
            _blend(problem, fitted, chosen)
            for problem, fitted in zip(self.problems, self.fitted, strict=True)
        ]


def fit_rivals(
    recording: Recording,
    part_T: Ints,
    scaler: Scaler,
    origin_O: Ints,
    window: int,
    settings: LnmSettings,
) -> tuple[Skip, Rivals, Ints]:
    """Fit every baseline that is asked for to every question of a session.

    Parameters
    ----------
    part_T : 0 train, 1 validation, 2 test, -1 none
    origin_O : samples of the test part to forecast from

    Returns
    -------
    The skip, what the baselines answer, and the training fold of each sample.
    """
    z_TV = scaler.standardise(recording.values_TV)
    columns = recording.columns
    problems = make_problems(
        z_TV, recording.segment_T, part_T, columns, scaler, window, settings.seed
    )
    methods = [m for m in BASELINES if m in ALWAYS or m in settings.baselines]
    judge = _Judge(recording, part_T, scaler, window)
    answers: dict[tuple[str, int], Located] = {}
    bars: dict[Bar, str] = {}
    maps: dict[str, list[tuple[Problem, Blend]]] = {}
    fold_T = np.zeros(0, np.int64)
    kinds = len(horizons_of(window)) + 3
    for done, ((task, horizon), group) in enumerate(groupby(problems, _question)):
        report_progress("fit the baselines", done, kinds, task)
        held_out = np.flatnonzero(part_T == 1)
        asked = origin_O if horizon > 0 else np.flatnonzero(part_T == 2)
        rows = (held_out, asked, judge.crossed_rows)
        fits = _fit_all(group, methods, rows, len(columns.names))
        answers[task, horizon] = fits.test
        best, chosen = judge.compare(task, horizon, fits)
        bars |= best
        for problem, blend in zip(fits.problems, fits.blends(chosen), strict=True):
            maps.setdefault(problem.name, []).append((problem, blend))
        fold_T = fits.problems[0].seen.fold_T
    report_progress("fit the baselines", kinds, kinds)
    joined = {name: _join(found) for name, found in maps.items()}
    unit_fold_V = deal_units(columns.neural, np.random.default_rng(settings.seed))
    return (
        Skip(window, horizons_of(window), unit_fold_V, joined),
        Rivals(answers, bars),
        fold_T,
    )


def _question(problem: Problem) -> tuple[str, int]:
    return problem.name.rstrip("0123456789"), problem.horizon


def _fit_all(
    problems: Iterable[Problem], methods: list[str], rows: tuple[Ints, Ints, Ints], columns: int
) -> _Fits:
    """Fit each method to each problem of one question; answer validation, test, training rows."""
    fits = _Fits()
    for problem in problems:
        members = {}
        for method in methods:
            fitted = BASELINES[method](problem)
            if fitted is None:
                continue
            for found, own in ((fits.held_out, rows[0]), (fits.test, rows[1])):
                _put(found, ("mean", method), problem, columns, fitted.locate(own))
                if problem.horizon > 0:
                    _put(found, ("median", method), problem, columns, fitted.middle(own))
            if isinstance(fitted, Fitted):
                members[method] = fitted
        view = problem.crossed_view(rows[2], searched="knn" in members)
        for method, fitted in members.items():
            located = fitted.member.locate(view)
            _put(fits.crossed, ("mean", method), problem, columns, located)
            if problem.horizon > 0:
                middle = fitted.member.middle(view)
                _put(fits.crossed, ("median", method), problem, columns, middle)
        fits.problems.append(problem)
        fits.fitted.append(members)
    return fits


def _put(
    found: Located, key: tuple[Functional, str], problem: Problem, columns: int, answer: Floats
) -> None:
    """Lay one problem's answers into the question's."""
    empty = np.full((len(answer), columns), np.nan, np.float32)
    found.setdefault(key, empty)[:, problem.outputs] = answer


@dataclass(frozen=True)
class _Judge:
    """Compares answers on the validation part, by the metrics of the verdicts."""

    recording: Recording
    part_T: Ints
    scaler: Scaler
    window: int

    @property
    def crossed_rows(self) -> Ints:
        """Training rows, thinned evenly, that the skip is chosen by beside validation."""
        rows = np.flatnonzero(self.part_T == 0)
        return rows[:: self._stride(rows)]

    def _stride(self, rows: Ints) -> int:
        return max(1, -(-len(rows) // MOST_CROSSED))

    def compare(
        self, task: str, horizon: int, fits: _Fits
    ) -> tuple[dict[Bar, str], dict[Functional, dict[int, Weights]]]:
        """Return the best method for each target and metric, and each column's skip."""
        columns, values_TV = self.recording.columns, self.recording.values_TV
        if horizon > 0:
            runs = find_runs(self.recording.segment_T, self.part_T)
            values_TV = shift_back(values_TV, runs, horizon)
        held_out, crossed = np.flatnonzero(self.part_T == 1), self.crossed_rows
        block = max(1, self.window // self._stride(np.flatnonzero(self.part_T == 0)))
        best: dict[Bar, str] = {}
        chosen: dict[Functional, dict[int, Weights]] = {"mean": {}, "median": {}}
        for target, own in asked_targets(columns, fits.held_out):
            whole, own = own, _thin_columns(own)
            counts, scaler = bool(columns.counts[own[0]]), self.scaler.take(own)
            for metric in metrics_of(counts, horizon):
                functional = functional_of(metric)
                answers = _take(fits.held_out, functional, own)
                named = {
                    method: answers_to_values(answer, functional, scaler, counts)
                    for method, answer in answers.items()
                }
                scores = score_alone(metric, values_TV[held_out][:, own], named, scaler.sd_V)
                # Nothing to tell by: ridge, which chose each output's penalty, mean included.
                name = max(scores, key=lambda m: scores[m]) if scores else "ridge"
                best[task, target, horizon, metric] = name
                rows = np.r_[crossed, held_out]
                members = {
                    method: np.concatenate([answer, answers[method]])
                    for method, answer in _take(fits.crossed, functional, own).items()
                }
                real_TV = values_TV[rows][:, own]
                weights = choose_blend(metric, real_TV, members, scaler, counts, scores, block)
                for column in whole:
                    chosen[functional].setdefault(int(column), weights)
        return best, chosen


def _thin_columns(own: Ints) -> Ints:
    """Return some columns of a target, evenly spread, which speak for all where they are many."""
    return own[:: max(1, -(-len(own) // MOST_JUDGED))]


def _take(located: Located, functional: Functional, own: Ints) -> dict[str, Floats]:
    """Return each baseline's answers to some columns."""
    return {name: answer[:, own] for (kind, name), answer in located.items() if kind == functional}


def asked_targets(columns: Columns, located: Located) -> list[tuple[str, Ints]]:
    """Return each target that is answered, and its columns."""
    targets = np.array(columns.targets)
    asked_V = np.isfinite(next(iter(located.values()))).any(0)
    names = dict.fromkeys(targets[asked_V].tolist())
    return [(str(name), np.flatnonzero((targets == name) & asked_V)) for name in names]


def answers_to_values(
    answer: Floats, functional: Functional, scaler: Scaler, counts: bool
) -> Floats:
    """Turn locations, or medians, into the columns' own units."""
    counts_V = np.full(len(scaler.mean_V), counts and functional == "mean")
    return location_to_values(answer, scaler, counts_V)


def _blend(
    problem: Problem,
    fitted: Mapping[str, Fitted],
    chosen: Mapping[Functional, Mapping[int, Weights]],
) -> Blend:
    """Put the weights of a problem's columns together; members that none asks for are left out."""
    weights: dict[Functional, dict[str, Floats]] = {"mean": {}, "median": {}}
    for functional, own in chosen.items():
        for at, output in enumerate(problem.outputs):
            for name, weight in own.get(int(output), {}).items():
                empty = np.zeros(len(problem.outputs), np.float32)
                weights[functional].setdefault(name, empty)[at] = weight
    used = {*weights["mean"], *weights["median"]}
    members = {name: fit.member for name, fit in fitted.items() if name in used}
    return Blend(members, weights["mean"], weights["median"])


def _join(found: list[tuple[Problem, Blend]]) -> SkipMap:
    """Join the blends of one task's horizons."""
    problem, blends = found[0][0], tuple(blend for _, blend in found)
    searched = any(blend.searches() for blend in blends)
    library = problem.seen.library if searched else None
    return SkipMap(problem.inputs, problem.outputs, problem.axes_IR, library, blends)
