"""Every question by its name, as the command line asks them."""

import math
from collections.abc import Sequence

import numpy as np
import xarray as xr

from schemas.errors import SettingsError
from schemas.settings.lnm_question import LnmQuestion
from tasks.lnm.data.reading import Source
from tasks.lnm.data.recording import Recording, keep_behaviour
from tasks.lnm.data.runs import find_runs, part_of_each_sample, split_with_guard
from tasks.lnm.network.trained import TrainedModel
from tasks.lnm.queries.appraisal import score
from tasks.lnm.queries.generation import generate
from tasks.lnm.queries.probing import compare_geometry, embed, probe_layers
from tasks.lnm.queries.query import side_of
from tasks.lnm.queries.spans import find_samples, query_source, read_around, read_spread


def ask(model: TrainedModel, source: Source | Recording, question: LnmQuestion) -> xr.Dataset:
    """Ask one question; see `query`, `score`, `embed` and `probe` for what the answers hold.

    Read is only what the answer rests on; see spans.py.

    Raises
    ------
    NotFoundError
        Nothing was recorded at the time that was asked about.
    SettingsError
        The question lacks a target, or the time up to which a forecast may see.
    """
    task, seen_until = question.task, question.seen_until
    t0 = -math.inf if question.t0 is None else question.t0
    t1 = math.inf if question.t1 is None else question.t1
    if task == "score":
        return _score(model, source, t0, t1)
    if task == "embed":
        return _embed(model, source, t0, t1)
    if task == "probe":
        return probe(model, source)
    count, seed, seconds = question.n_samples, question.seed, question.seconds
    if task == "generate":
        given = question.visible or ()
        return generate(model, source, seconds, max(1, count), seed, given=given, t0=question.t0)
    targets: Sequence[str] = question.targets
    visible: Sequence[str] | None = question.visible
    if task == "forecast" and not targets:
        if seen_until is None:
            raise SettingsError("a forecast needs seen_until.", where="query")
        targets, visible, t1 = model.columns.names, (), seen_until + seconds
    if task in ("decode", "encode"):
        targets = side_of(model, neural=task == "encode")
    if not targets:
        raise SettingsError(
            "no target was named.",
            where="query",
            remedy="Name a column or stream, or a task that has its own.",
        )
    return query_source(
        model,
        source,
        targets,
        visible=visible,
        t0=t0,
        t1=t1,
        seen_until=seen_until,
        n_samples=count,
        seed=seed,
    )


def _score(model: TrainedModel, source: Source | Recording, t0: float, t1: float) -> xr.Dataset:
    part_T = np.full(len(source.clock.time_T), -1)
    part_T[slice(*find_samples(source, t0, t1))] = 0
    recording, _ = read_spread(model, source, part_T)
    told = score(model, recording)
    return told.assign_attrs(scored_s=len(recording.time_T) / recording.rate_hz)


def _embed(model: TrainedModel, source: Source | Recording, t0: float, t1: float) -> xr.Dataset:
    own = read_around(model, source, *find_samples(source, t0, t1))
    inside_T = (own.time_T >= t0) & (own.time_T <= t1)
    runs = find_runs(np.where(inside_T, own.segment_T, -1))
    return embed(model, model.material(own), runs, own.time_T)


def probe(model: TrainedModel, source: Source | Recording) -> xr.Dataset:
    """Probe every layer of a model on its own session, split as it was for training.

    Returns
    -------
    Dataset with `r2` and `control` (layer, column) of `probe_layers`, and `similarity` and
    `similarity_control` (layer) of `compare_geometry`.
    """
    source = source.keep_behaviour() if isinstance(source, Source) else keep_behaviour(source)
    split = split_with_guard(source.clock, model.split, model.window)
    recording, part_T = read_spread(model, source, part_of_each_sample(split))
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
