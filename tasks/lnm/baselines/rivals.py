"""All baselines on all questions: fitted on training, compared on validation, asked about the test.

The best on validation of each target is the bar of its verdict. The same becomes the model's skip,
or a blend of it with others where training (each fold answered without it) and validation are sure
that it gains, kernel ridge on behaviour among them: so with its gates shut the model is the bar or
better, unless that is a GRU.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from types import MappingProxyType
from typing import Protocol

import numpy as np

from schemas.settings.lnm import LnmSettings
from tasks.common.progress import report_progress
from tasks.lnm.baselines.axes import centre, fit_wide, view_judged
from tasks.lnm.baselines.blending import Weights
from tasks.lnm.baselines.gru import fit_recurrent
from tasks.lnm.baselines.judging import ADDED, INHERITED, Answers, Bar, Judge, Located
from tasks.lnm.baselines.kernel import fit_kernel
from tasks.lnm.baselines.neighbours import fit_neighbours
from tasks.lnm.baselines.plain import (
    Baseline,
    Fitted,
    fit_drift_free,
    fit_multiscale_ridge,
    hold_value,
    predict_mean,
    reduce_rank,
)
from tasks.lnm.baselines.poisson import fit_poisson
from tasks.lnm.baselines.shared import SharedMaps
from tasks.lnm.data.grouping import hide_together
from tasks.lnm.data.locations import Functional
from tasks.lnm.data.masks import TWO_SIDED
from tasks.lnm.data.recording import Columns, Floats, Ints, Recording, Scaler
from tasks.lnm.linear.maps import Blend, SkipMap
from tasks.lnm.linear.members import Affine, Member
from tasks.lnm.linear.problems import Problem, make_problems
from tasks.lnm.linear.skip import Skip, horizons_of
from tasks.lnm.linear.wide import judged_columns

BASELINES: Mapping[str, Baseline] = MappingProxyType(
    {
        "ridge": fit_multiscale_ridge,
        "persistence": hold_value,
        "mean": predict_mean,
        "drift_free": fit_drift_free,
        "reduced_rank": reduce_rank,
        "glm": fit_poisson,
        "knn": fit_neighbours,
        "kernel": fit_kernel,
        "gru": fit_recurrent,
    }
)
"""In this order: of equals on validation the first is the bar."""
ALWAYS = ("ridge", "persistence", "mean")


@dataclass(frozen=True)
class Rivals:
    """What every baseline answers on the test part, and which one is the bar.

    judged : numbers of the columns that are judged: all, or some of targets of many units
    answers : by task and horizon; rows are all test samples, or the origins of forecasts
    bars : the baseline that did best on validation
    """

    judged: Ints
    answers: Mapping[tuple[str, int], Located]
    bars: Mapping[Bar, str]


@dataclass
class _Fits:
    """One question: its problems, what the skip of each may be made of, and all answers."""

    problems: list[Problem] = field(default_factory=list)
    members: list[Mapping[str, Member]] = field(default_factory=list)
    answers: Answers = field(default_factory=Answers)
    test: Located = field(default_factory=dict)


def fit_rivals(
    recording: Recording,
    z_TV: Floats,
    part_T: Ints,
    scaler: Scaler,
    origin_O: Ints,
    window: int,
    settings: LnmSettings,
    shared: SharedMaps | None = None,
) -> tuple[Skip, Rivals, Ints]:
    """Fit every baseline that is asked for to every question of a session.

    Parameters
    ----------
    z_TV : its z-scores
    part_T : 0 train, 1 validation, 2 test, -1 none
    origin_O : samples of the test part to forecast from
    shared : what other sessions taught; the skip may be made of it, but it is no bar

    Returns
    -------
    The skip, what the baselines answer, and the training fold of each sample.
    """
    columns = recording.columns
    about = (window, settings.seed)
    problems = make_problems(
        z_TV, recording.segment_T, part_T, columns, scaler, *about, regions=settings.regions
    )
    methods = [m for m in BASELINES if m in ALWAYS or m in settings.baselines]
    judged = np.flatnonzero(judged_columns(columns))
    judge = Judge(recording.take(judged), part_T, scaler.take(judged), window)
    answers: dict[tuple[str, int], Located] = {}
    bars: dict[Bar, str] = {}
    maps: dict[str, list[tuple[Problem, Blend]]] = {}
    fold_T = np.zeros(0, np.int64)
    kinds = len(horizons_of(window)) + len(TWO_SIDED)
    alike = shared is not None and (shared.window, shared.rate_hz) == (window, recording.rate_hz)
    inherit = partial(shared.fit, columns=columns) if shared is not None and alike else None
    for done, ((task, horizon), group) in enumerate(groupby(problems, _question)):
        report_progress("fit the baselines", done, kinds, task)
        held_out = np.flatnonzero(part_T == 1)
        asked = origin_O if horizon > 0 else np.flatnonzero(part_T == 2)
        rows = (held_out, asked, judge.crossed_rows)
        fits = _fit_all(group, methods, rows, judged, inherit)
        answers[task, horizon] = fits.test
        best, chosen = judge.compare(task, horizon, fits.answers)
        bars |= best
        for problem, members in zip(fits.problems, fits.members, strict=True):
            blend = _blend(problem, members, chosen, columns)
            maps.setdefault(problem.name, []).append((problem, blend))
        fold_T = fits.problems[0].seen.fold_T
    report_progress("fit the baselines", kinds, kinds)
    joined = {name: _join(found) for name, found in maps.items()}
    together = hide_together(columns, settings.seed, regions=settings.regions)
    return (
        Skip(window, horizons_of(window), together, joined),
        Rivals(judged, answers, bars),
        fold_T,
    )


def _question(problem: Problem) -> tuple[str, int]:
    return problem.name.rstrip("0123456789"), problem.horizon


def _fit_all(
    problems: Iterable[Problem],
    methods: list[str],
    rows: tuple[Ints, Ints, Ints],
    judged: Ints,
    inherit: Callable[[Problem], Fitted | None] | None,
) -> _Fits:
    """Fit each method to each problem of one question; answer validation, test, training rows."""
    fits = _Fits()
    held_out, asked, training = rows
    for problem in problems:
        put = partial(_put, problem=problem, judged=judged)
        members: dict[str, Member] = {}
        for method in dict.fromkeys([*methods, *ADDED]):
            fitted = BASELINES[method](problem)
            if fitted is None:
                continue
            answer = _answer(fitted, held_out, problem)
            if method in methods:
                put(fits.answers.held_out, method, answer)
                put(fits.test, method, _answer(fitted, asked, problem))
            if isinstance(fitted, Fitted) and problem.wide is None:
                members[method] = fitted.member
                put(fits.answers.offered, method, answer)
        if problem.wide is None:
            if inherit and (fitted := inherit(problem)):
                members[INHERITED] = fitted.member
                put(fits.answers.offered, INHERITED, _answer(fitted, held_out, problem))
            view = problem.crossed_view(training, searched="knn" in members)
            for method, member in members.items():
                put(fits.answers.crossed, method, _answer(member, view, problem))
        else:
            wide = (problem.seen, problem.wide)
            views = [
                view_judged(*wide, r, crossed=c) for r, c in ((held_out, False), (training, True))
            ]
            for method, whole in fit_wide(problem, problem.wide).items():
                judges = problem.wide.judged
                own = centre(whole.take(judges), problem, problem.wide, judges)
                members[method] = whole
                for found, view in zip(
                    (fits.answers.offered, fits.answers.crossed), views, strict=True
                ):
                    put(found, method, _answer(own, view, problem))
        fits.problems.append(problem)
        fits.members.append(members)
    return fits


class _Answering[At](Protocol):
    """A fitted baseline asked about rows, or a member about what it sees of them."""

    def locate(self, at: At, /) -> Floats: ...

    def middle(self, at: At, /) -> Floats: ...


def _answer[At](asked: _Answering[At], at: At, problem: Problem) -> dict[Functional, Floats]:
    """Return (row, output) means, and medians of forecasts: absolute errors score these alone."""
    found: dict[Functional, Floats] = {"mean": asked.locate(at)}
    if problem.horizon > 0:
        found["median"] = asked.middle(at)
    return found


def _put(
    found: Located,
    method: str,
    answer: Mapping[Functional, Floats],
    *,
    problem: Problem,
    judged: Ints,
) -> None:
    """Lay one problem's answers into the question's."""
    at = np.searchsorted(judged, problem.outputs)
    for functional, own in answer.items():
        empty = np.full((len(own), len(judged)), np.nan, np.float32)
        found.setdefault((functional, method), empty)[:, at] = own


def _asked(problem: Problem) -> Ints:
    """Return all columns that a question is about, judged or not."""
    return problem.outputs if problem.wide is None else problem.wide.outputs


def _blend(
    problem: Problem,
    members: Mapping[str, Member],
    chosen: Mapping[Functional, Mapping[str, Weights]],
    columns: Columns,
) -> Blend:
    """Give each column its target's weights; members that none asks for are left out."""
    targets = np.array(columns.targets)[_asked(problem)]
    weights: dict[Functional, dict[str, Floats]] = {"mean": {}, "median": {}}
    for functional, own in chosen.items():
        for target, blend in own.items():
            if target not in targets:
                continue
            for name, weight in blend.items():
                empty = np.zeros(len(targets), np.float32)
                weights[functional].setdefault(name, empty)[targets == target] = weight
    used = {*weights["mean"], *weights["median"]}
    kept = {name: member for name, member in members.items() if name in used}
    if (wide := problem.wide) is not None:
        # Medians over all outputs take longest: only of members that are asked for.
        every = np.arange(len(wide.outputs))
        kept = {
            name: centre(member, problem, wide, every) if isinstance(member, Affine) else member
            for name, member in kept.items()
        }
    return Blend(kept, weights["mean"], weights["median"])


def _join(found: list[tuple[Problem, Blend]]) -> SkipMap:
    """Join the blends of one task's horizons."""
    problem, blends = found[0][0], tuple(blend for _, blend in found)
    searched = any(blend.searches() for blend in blends)
    library = problem.seen.library if searched else None
    return SkipMap(problem.inputs, _asked(problem), problem.axes_IR, library, blends)
