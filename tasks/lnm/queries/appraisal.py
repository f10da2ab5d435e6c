"""How well a trained model does on any stretch of a recording: no baselines, no intervals."""

from collections.abc import Iterator

import numpy as np
import xarray as xr

from tasks.lnm.data.locations import Functional, location_to_values
from tasks.lnm.data.masks import TWO_SIDED
from tasks.lnm.data.recording import Bools, Floats, Recording
from tasks.lnm.data.runs import Runs, find_runs, forecast_origins
from tasks.lnm.linear.skip import shift_back
from tasks.lnm.network.material import Material
from tasks.lnm.network.trained import TrainedModel
from tasks.lnm.queries.infer import Located, asked_columns, predict_future, predict_task
from tasks.lnm.scores.scoring import Metric, functional_of, metrics_of, score_alone

Row = tuple[str, str, str, int, float, float]


def score(model: TrainedModel, recording: Recording) -> xr.Dataset:
    """Score a model's answers to every task on a recording, whatever part that was.

    Only time outside of training tells
    what the model is worth elsewhere. The verdict beside baselines is the stage's own.

    Returns
    -------
    Dataset over `score` with task, target, metric, horizon (samples, -1 if none), model, and
    `mean`, the score of predicting the training mean (the median for mae is not known: NaN).
    """
    runs = find_runs(recording.segment_T)
    material = model.material(recording)
    two_sided = _two_sided(model, recording, material, runs)
    rows = [*two_sided, *_ahead(model, recording, material, runs)]
    names = ("task", "target", "metric", "horizon", "model", "mean")
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    return xr.Dataset({n: ("score", list(c)) for n, c in zip(names, columns, strict=True)})


def _two_sided(
    model: TrainedModel, recording: Recording, material: Material, runs: Runs
) -> Iterator[Row]:
    inside_T = np.zeros(len(recording.time_T), bool)
    for start, stop in runs:
        inside_T[start:stop] = True
    for task in TWO_SIDED:
        if not model.skip.has(task):
            continue
        asked_V = asked_columns(model, task)
        own = predict_task(model, material, runs, task).at(inside_T)
        yield from _rows(model, task, -1, recording.values_TV[inside_T], own, asked_V)


def _ahead(
    model: TrainedModel, recording: Recording, material: Material, runs: Runs
) -> Iterator[Row]:
    origin_O, context_O = forecast_origins(runs, model.window)
    if not len(origin_O):
        return
    found = predict_future(model, material, origin_O, context_O)
    every_V = np.ones(len(model.columns.names), bool)
    for horizon in model.skip.horizons:
        real_OV = shift_back(recording.values_TV, runs, horizon)[origin_O]
        ahead = found.at((slice(None), horizon - 1))
        yield from _rows(model, "forecast", horizon, real_OV, ahead, every_V)


def _rows(
    model: TrainedModel, task: str, horizon: int, real_TV: Floats, located: Located, asked_V: Bools
) -> Iterator[Row]:
    targets = np.array(model.columns.targets)
    for target in dict.fromkeys(targets[asked_V].tolist()):
        own = np.flatnonzero((targets == target) & asked_V)
        scaler, counts_V = model.scaler.take(own), model.columns.counts[own]
        for metric in metrics_of(bool(counts_V[0]), horizon):
            answer = _answer(located, functional_of(metric))[:, own]
            means_V = counts_V & (functional_of(metric) == "mean")
            answers = {"model": location_to_values(answer, scaler, means_V)}
            if metric != "mae":
                answers["mean"] = np.broadcast_to(scaler.mean_V, answer.shape)
            known = score_alone(metric, real_TV[:, own], answers, scaler.sd_V)
            if known:
                yield task, target, metric, horizon, *_signed(metric, known)


def _answer(located: Located, functional: Functional) -> Floats:
    if functional == "median" and located.middle is not None:
        return located.middle
    return located.location


def _signed(metric: Metric, known: dict[str, float]) -> tuple[float, float]:
    sign = -1.0 if metric == "mae" else 1.0
    return sign * known["model"], sign * known.get("mean", float("nan"))
