"""Every question by its name, as the command line asks them."""

import math
from collections.abc import Sequence

import numpy as np
import xarray as xr

from schemas.errors import SettingsError
from schemas.settings.lnm_question import LnmQuestion
from schemas.settings.split import SplitSettings
from tasks.lnm.data.recording import Recording, keep_behaviour
from tasks.lnm.data.runs import find_runs, part_of_each_sample, split_with_guard
from tasks.lnm.network.trained import TrainedModel
from tasks.lnm.queries.appraisal import score
from tasks.lnm.queries.probing import compare_geometry, embed, probe_layers
from tasks.lnm.queries.query import forecast, generate, query, side_of


def ask(model: TrainedModel, recording: Recording, question: LnmQuestion) -> xr.Dataset:
    """Ask one question; see `query`, `score`, `embed` and `probe` for what the answers hold.

    Raises
    ------
    SettingsError
        The question lacks a target, or the time up to which a forecast may see.
    """
    task, seen_until = question.task, question.seen_until
    t0 = -math.inf if question.t0 is None else question.t0
    t1 = math.inf if question.t1 is None else question.t1
    if task == "score":
        return score(model, recording, t0, t1)
    if task == "embed":
        inside_T = (recording.time_T >= t0) & (recording.time_T <= t1)
        runs = find_runs(np.where(inside_T, recording.segment_T, -1))
        return embed(model, model.material(recording), runs, recording.time_T)
    if task == "probe":
        return probe(model, recording)
    count, seed, seconds = question.n_samples, question.seed, question.seconds
    if task == "generate":
        return generate(model, recording, seconds, max(1, count), seed)
    targets: Sequence[str] = question.targets
    if task == "forecast" and not targets:
        if seen_until is None:
            raise SettingsError("a forecast needs seen_until.", where="query")
        return forecast(model, recording, seen_until, seconds, n_samples=count, seed=seed)
    if task in ("decode", "encode"):
        targets = side_of(model, neural=task == "encode")
    if not targets:
        raise SettingsError(
            "no target was named.",
            where="query",
            remedy="Name a column or stream, or a task that has its own.",
        )
    return query(
        model,
        recording,
        targets,
        visible=question.visible,
        t0=t0,
        t1=t1,
        seen_until=seen_until,
        n_samples=count,
        seed=seed,
    )


def probe(model: TrainedModel, recording: Recording) -> xr.Dataset:
    """Probe every layer of a model on its own session, split as the stage does by default.

    Returns
    -------
    Dataset with `r2` and `control` (layer, column) of `probe_layers`, and `similarity` and
    `similarity_control` (layer) of `compare_geometry`.
    """
    recording = keep_behaviour(recording)
    part_T = part_of_each_sample(split_with_guard(recording, SplitSettings(), model.window))
    material = model.material(recording)
    runs = [find_runs(recording.segment_T, np.where(part_T == part, 0, -1)) for part in range(3)]
    neural_V = model.columns.neural
    if not neural_V.any():
        raise SettingsError("the model has no neurons to probe from.", where="query")
    geometry = compare_geometry(model, material, runs[2])
    geometry = geometry.rename(control="similarity_control")
    if neural_V.all():
        return geometry
    return xr.merge([probe_layers(model, material, runs), geometry])
