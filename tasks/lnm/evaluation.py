"""The examination on the test part: every task the session allows, beside every baseline."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from schemas.settings.lnm import LnmSettings
from tasks.common.progress import report_progress
from tasks.lnm.baselines import Answers, answer
from tasks.lnm.infer import Located, predict_future, predict_hidden, predict_imputed
from tasks.lnm.linear import Runs
from tasks.lnm.masks import Mode
from tasks.lnm.recording import Bools, Floats, Ints
from tasks.lnm.scoring import Score, score_answers
from tasks.lnm.skip import shift_back
from tasks.lnm.trained import TrainedModel
from tasks.lnm.training import Session
from tasks.lnm.windows import TWO_SIDED

TEST = 2
MOST_ORIGINS = 600
SHOWN_UNITS = 8


@dataclass(frozen=True)
class Exam:
    """Scores, and the predictions that the report draws; None where a task was not possible."""

    scores: list[Score]
    decoded: xr.Dataset | None
    forecast: xr.Dataset
    skipped: dict[str, str]


def examine(model: TrainedModel, session: Session, settings: LnmSettings) -> Exam:
    """Ask the trained model everything on the test part and score the answers."""
    runs = session.runs(TEST)
    columns = model.columns
    scores: list[Score] = []
    decoded = None
    skipped = _impossible(model)
    for done, task in enumerate(TWO_SIDED):
        report_progress("judge the model", done, 4, task)
        if task in skipped:
            continue
        asked_V = columns.neural == (task != "decode")
        answers = answer(model, _ask(model, session, runs, task, asked_V))
        scores += _score_all(model, session, settings, task, answers, asked_V)
        if task == "decode":
            decoded = _decoded_dataset(model, session, answers, asked_V)
    report_progress("judge the model", 3, 4, "forecast")
    forecast_scores, forecast = _examine_forecast(model, session, settings, runs)
    report_progress("judge the model", 4, 4)
    return Exam(scores + forecast_scores, decoded, forecast, skipped)


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
    return skipped


def _ask(model: TrainedModel, session: Session, runs: Runs, task: Mode, asked_V: Bools) -> Located:
    if task == "impute":
        return predict_imputed(model, session.material, runs)
    return predict_hidden(model, session.material, runs, asked_V, task)


def _score_all(
    model: TrainedModel,
    session: Session,
    settings: LnmSettings,
    task: str,
    answers: Answers,
    asked_V: Bools,
) -> list[Score]:
    test_T = session.part_T == TEST
    real_TV = session.recording.values_TV[test_T]
    found = [
        score_answers(
            task,
            target,
            real_TV[:, own],
            {name: getattr(answers, name)[test_T][:, own] for name in _METHODS},
            counts=bool(model.columns.counts[own[0]]),
            sd_V=model.scaler.sd_V[own],
            block=session.window,
            resamples=settings.bootstrap,
            seed=settings.seed,
        )
        for target, own in _targets(model, asked_V)
    ]
    return [score for score in found if score is not None]


_METHODS = ("model", "ridge", "persistence", "mean")


def _targets(model: TrainedModel, asked_V: Bools) -> Iterator[tuple[str, Ints]]:
    """Yield each scored target and its columns: a stream of units, or one behaviour channel."""
    targets = np.array(model.columns.targets)
    for target in dict.fromkeys(model.columns.targets):
        own = np.flatnonzero((targets == target) & asked_V)
        if len(own):
            yield target, own


def forecast_origins(runs: Runs, window: int) -> tuple[Ints, Ints]:
    """Return samples to forecast from and how much of each one's run may be seen before it.

    At least a quarter of a window is seen; some 600 origins at most, evenly spread.
    """
    origins, contexts = [], []
    for start, stop in runs:
        first = start + max(1, window // 4) - 1
        origins += [*range(first, stop - 1)]
        contexts += [at - start + 1 for at in range(first, stop - 1)]
    stride = max(1, -(-len(origins) // MOST_ORIGINS))
    return np.array(origins[::stride], np.int64), np.array(contexts[::stride], np.int64)


def _examine_forecast(
    model: TrainedModel, session: Session, settings: LnmSettings, runs: Runs
) -> tuple[list[Score], xr.Dataset]:
    origin_O, context_O = forecast_origins(runs, session.window)
    material, columns = session.material, model.columns
    located = predict_future(model, material, origin_O, context_O)
    answers = answer(model, located, material.last_TV[origin_O][:, None])
    spacing = int(np.median(np.diff(origin_O))) if len(origin_O) > 1 else 1
    real_OHV = np.stack(
        [
            shift_back(session.recording.values_TV, runs, horizon)[origin_O]
            for horizon in model.skip.horizons
        ],
        axis=1,
    )
    every_V = np.ones(len(columns.names), bool)
    scores = []
    for h, horizon in enumerate(model.skip.horizons):
        for target, own in _targets(model, every_V):
            score = score_answers(
                "forecast",
                target,
                real_OHV[:, h, own],
                {name: getattr(answers, name)[:, horizon - 1, own] for name in _METHODS},
                # R2 for counts too: persistence has no likelihood.
                counts=False,
                sd_V=model.scaler.sd_V[own],
                horizon=horizon,
                block=max(1, session.window // spacing),
                resamples=settings.bootstrap,
                seed=settings.seed,
            )
            scores += [score] if score is not None else []
    return scores, _forecast_dataset(model, session, origin_O, answers, real_OHV)


def _decoded_dataset(
    model: TrainedModel, session: Session, answers: Answers, asked_V: Bools
) -> xr.Dataset:
    test_T = session.part_T == TEST
    arrays = {
        "real": session.recording.values_TV,
        "model": answers.model,
        "ridge": answers.ridge,
        "model_sd": answers.scale,
    }
    return xr.Dataset(
        {name: (("time", "channel"), a[test_T][:, asked_V]) for name, a in arrays.items()},
        {
            "time": ("time", session.recording.time_T[test_T], {"units": "s"}),
            "channel": _names(model.columns.names, asked_V),
        },
    )


def _forecast_dataset(
    model: TrainedModel, session: Session, origin_O: Ints, answers: Answers, real_OHV: Floats
) -> xr.Dataset:
    """Keep behaviour and a few units: what a reader looks at."""
    neural_V = model.columns.neural
    shown_V = ~neural_V
    shown_V[np.flatnonzero(neural_V)[:SHOWN_UNITS]] = True
    horizons = model.skip.horizons
    arrays = {
        name: getattr(answers, method)[:, [h - 1 for h in horizons]]
        for name, method in (("model", "model"), ("ridge", "ridge"), ("model_sd", "scale"))
    }
    arrays["real"] = real_OHV
    return xr.Dataset(
        {n: (("time", "horizon", "column"), a[:, :, shown_V]) for n, a in arrays.items()},
        {
            "time": ("time", session.recording.time_T[origin_O], {"units": "s"}),
            "horizon": ("horizon", np.array(horizons), {"units": "samples"}),
            "column": _names(model.columns.names, shown_V),
        },
        {"time_is": "of the last sample that was seen"},
    )


def _names(names: Sequence[str], wanted_V: Bools) -> list[str]:
    return [name for name, wanted in zip(names, wanted_V, strict=True) if wanted]
