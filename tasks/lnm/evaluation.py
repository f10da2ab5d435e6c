"""The examination on the test part: every task the session allows, beside every baseline."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from schemas.settings.lnm import LnmSettings
from tasks.common.progress import report_progress
from tasks.lnm.data.locations import Functional, location_to_values
from tasks.lnm.data.masks import TWO_SIDED
from tasks.lnm.data.recording import Bools, Columns, Floats, Ints, Scaler
from tasks.lnm.linear.skip import shift_back
from tasks.lnm.network.heads import Told
from tasks.lnm.network.trained import TrainedModel
from tasks.lnm.queries.infer import (
    Located,
    asked_columns,
    distribution_of,
    predict_future,
    predict_task,
)
from tasks.lnm.scores.quality import UNKNOWN, Worth, assess
from tasks.lnm.scores.scoring import Metric, Score, functional_of, metrics_of, score_answers
from tasks.lnm.training.session import Session

TEST = 2
SHOWN_UNITS = 8


@dataclass(frozen=True)
class Answers:
    """The model's answer to one question and each baseline's, in the columns' own units.

    All see the same samples of the same columns, and none a sample more.

    values : by functional, then "model" and baselines: (..., column), NaN where not asked
    sd : standard deviation of the model's distribution
    worth : of the model's distribution
    """

    values: Mapping[Functional, Mapping[str, Floats]]
    sd: Floats
    worth: Worth

    def take(self, functional: Functional, own_V: Ints) -> dict[str, Floats]:
        """Return the values of some columns."""
        return {n: a[..., own_V] for n, a in self.values[functional].items()}


@dataclass(frozen=True)
class Exam:
    """Scores, and the predictions that the report draws; None where a task was not possible."""

    scores: list[Score]
    decoded: xr.Dataset | None
    forecast: xr.Dataset
    skipped: dict[str, str]


@dataclass(frozen=True)
class _Judged:
    """The columns that are judged: all, or some of targets of many units."""

    index: Ints
    columns: Columns
    scaler: Scaler

    @classmethod
    def of(cls, model: TrainedModel, session: Session) -> "_Judged":
        index = session.rivals.judged
        return cls(index, model.columns.take(index), model.scaler.take(index))


def examine(model: TrainedModel, session: Session, settings: LnmSettings) -> Exam:
    """Ask the trained model everything on the test part and score the answers."""
    runs = session.runs(TEST)
    test_T = session.part_T == TEST
    judged = _Judged.of(model, session)
    real_TV = session.recording.values_TV[np.ix_(test_T, judged.index)]
    scores: list[Score] = []
    decoded = None
    skipped = _impossible(model)
    for done, task in enumerate(TWO_SIDED):
        report_progress("judge the model", done, len(TWO_SIDED) + 1, task)
        if task in skipped:
            continue
        asked_V = asked_columns(model, task)[judged.index]
        found = predict_task(model, session.material, runs, task, judged.index).at(test_T)
        answers = _answers(model, judged, found, session.rivals.answers[task, -1], real_TV)
        trial_T = session.recording.trial_T
        asked = _Asked(
            task, -1, real_TV, None if trial_T is None else trial_T[test_T], session.window
        )
        scores += asked.score(judged, session, settings, answers, asked_V)
        if task == "decode":
            decoded = _decoded_dataset(judged, session, answers, asked_V)
    report_progress("judge the model", len(TWO_SIDED), len(TWO_SIDED) + 1, "forecast")
    forecast_scores, forecast = _examine_forecast(model, judged, session, settings)
    report_progress("judge the model", len(TWO_SIDED) + 1, len(TWO_SIDED) + 1)
    return Exam(scores + forecast_scores, decoded, forecast, skipped)


def _answers(
    model: TrainedModel,
    judged: _Judged,
    found: Located,
    rivals: Mapping[tuple[Functional, str], Floats],
    real_TV: Floats,
) -> Answers:
    """Turn locations and medians into the columns' own units, and weigh the distributions."""
    none_V = np.zeros(len(judged.columns.names), bool)
    counts_V = {"mean": judged.columns.counts, "median": none_V}
    located = {("mean", "model"): found.location, **rivals}
    if found.middle is not None:
        located["median", "model"] = found.middle
    values: dict[Functional, dict[str, Floats]] = {"mean": {}, "median": {}}
    for (functional, name), answer in located.items():
        own = location_to_values(answer, judged.scaler, counts_V[functional])
        values[functional][name] = own
    distribution = distribution_of(model, found, judged.index)
    # What a Poisson, a normal or a von Mises of training's mean and variance is worth.
    scaler, nothing = judged.scaler, np.zeros_like(found.scale)
    spread = np.where(judged.columns.counts, 0, scaler.sd_V)
    told = Told(nothing + scaler.mean_V, nothing + spread, nothing)
    worth = Worth.of(distribution, replace(distribution, told=told), real_TV)
    return Answers(values, distribution.sd().astype(np.float32), worth)


def _impossible(model: TrainedModel) -> dict[str, str]:
    """Return the tasks that this session cannot be asked, each with the reason."""
    neural_V = model.columns.neural
    skipped: dict[str, str] = {}
    if not neural_V.any():
        skipped |= dict.fromkeys(("decode", "encode", "impute"), "the session has no neurons")
    elif neural_V.all():
        skipped |= dict.fromkeys(("decode", "encode"), "the session has no behaviour")
    if neural_V.sum() == 1:
        skipped["impute"] = "a lone unit has no others to be imputed from"
    if not model.skip.has("stream"):
        skipped["stream"] = "no stream has others to be imputed from but neurons or behaviour alone"
    if not model.skip.has("region"):
        skipped["region"] = "not asked for (lnm.regions), or fewer than two regions are known"
    return skipped


@dataclass(frozen=True)
class _Asked:
    """One question about the test part, its truth and how much of it depends on its neighbours."""

    task: str
    horizon: int
    real_TV: Floats
    trial_T: Bools | None
    block: int

    def score(
        self,
        judged: _Judged,
        session: Session,
        settings: LnmSettings,
        answers: Answers,
        asked_V: Bools,
    ) -> list[Score]:
        """Score each target by each of its metrics."""
        found = []
        for target, own in _targets(judged, asked_V):
            counts = bool(judged.columns.counts[own[0]])
            for at, metric in enumerate(metrics_of(counts, self.horizon)):
                best = session.rivals.bars[self.task, target, self.horizon, metric]
                found.append(
                    self._score_one(
                        judged, settings, answers, (target, own), metric, best, main=at == 0
                    )
                )
        return [score for score in found if score is not None]

    def _score_one(
        self,
        judged: _Judged,
        settings: LnmSettings,
        answers: Answers,
        named: tuple[str, Ints],
        metric: Metric,
        best: str,
        *,
        main: bool,
    ) -> Score | None:
        target, own = named
        values = answers.take(functional_of(metric), own)
        real_TV, scaler = self.real_TV[:, own], judged.scaler.take(own)
        quality = UNKNOWN
        if main:
            about = (values["model"], values[best], answers.worth.take(own), scaler.sd_V)
            quality = assess(real_TV, *about, self.trial_T)
        return score_answers(
            self.task,
            target,
            real_TV,
            values,
            metric=metric,
            best=best,
            sd_V=scaler.sd_V,
            horizon=self.horizon,
            block=self.block,
            resamples=settings.bootstrap,
            seed=settings.seed,
            quality=quality,
        )


def _targets(judged: _Judged, asked_V: Bools) -> Iterator[tuple[str, Ints]]:
    """Yield each scored target and its columns: a stream of units, or one behaviour channel."""
    targets = np.array(judged.columns.targets)
    for target in dict.fromkeys(judged.columns.targets):
        own = np.flatnonzero((targets == target) & asked_V)
        if len(own):
            yield target, own


def _examine_forecast(
    model: TrainedModel, judged: _Judged, session: Session, settings: LnmSettings
) -> tuple[list[Score], xr.Dataset]:
    origin_O, context_O = session.origin_O, session.context_O
    located = predict_future(model, session.material, origin_O, context_O, judged.index)
    spacing = int(np.median(np.diff(origin_O))) if len(origin_O) > 1 else 1
    block = max(1, session.window // spacing)
    horizons, trial_T = model.skip.horizons, session.recording.trial_T
    every_V = np.ones(len(judged.index), bool)
    scores, real, asked = [], [], []
    for horizon in horizons:
        values_TV = session.recording.values_TV[:, judged.index]
        real.append(shift_back(values_TV, session.runs(TEST), horizon)[origin_O])
        ahead = located.at((slice(None), horizon - 1))
        rivals = session.rivals.answers["forecast", horizon]
        asked.append(_answers(model, judged, ahead, rivals, real[-1]))
        own_O = None if trial_T is None else trial_T[origin_O]
        question = _Asked("forecast", horizon, real[-1], own_O, block)
        scores += question.score(judged, session, settings, asked[-1], every_V)
    return scores, _forecast_dataset(judged, session, asked, np.stack(real, axis=1))


def _decoded_dataset(
    judged: _Judged, session: Session, answers: Answers, asked_V: Bools
) -> xr.Dataset:
    test_T, asked_V = session.part_T == TEST, asked_V & _firsts(judged)
    arrays = {
        "real": session.recording.values_TV[np.ix_(test_T, judged.index)],
        "model": answers.values["mean"]["model"],
        "ridge": answers.values["mean"]["ridge"],
        "model_sd": answers.sd,
    }
    return xr.Dataset(
        {name: (("time", "channel"), a[:, asked_V]) for name, a in arrays.items()},
        {
            "time": ("time", session.recording.time_T[test_T], {"units": "s"}),
            "channel": _names(judged.columns.names, asked_V),
        },
    )


def _forecast_dataset(
    judged: _Judged, session: Session, answers: Sequence[Answers], real_OHV: Floats
) -> xr.Dataset:
    """Keep behaviour and a few units: what a reader looks at."""
    neural_V = judged.columns.neural
    shown_V = ~neural_V & _firsts(judged)
    shown_V[np.flatnonzero(neural_V)[:SHOWN_UNITS]] = True
    arrays = {
        n: np.stack([a.values["mean"][n] for a in answers], axis=1) for n in ("model", "ridge")
    }
    arrays |= {"model_sd": np.stack([a.sd for a in answers], axis=1), "real": real_OHV}
    return xr.Dataset(
        {n: (("time", "horizon", "column"), a[:, :, shown_V]) for n, a in arrays.items()},
        {
            "time": ("time", session.recording.time_T[session.origin_O], {"units": "s"}),
            "horizon": ("horizon", np.array(session.material.skip.horizons), {"units": "samples"}),
            "column": _names(judged.columns.names, shown_V),
        },
        {"time_is": "of the last sample that was seen"},
    )


def _firsts(judged: _Judged) -> Bools:
    """Return which columns are drawn: of a channel with several slots the first."""
    return np.equal(judged.columns.first, np.arange(len(judged.index)))


def _names(names: Sequence[str], wanted_V: Bools) -> list[str]:
    return [name for name, wanted in zip(names, wanted_V, strict=True) if wanted]
