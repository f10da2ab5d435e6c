"""A model of some sessions taken to a new one: how much a few minutes of it are worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import xarray as xr
from torch import Tensor

from schemas.errors import RecordingTooShortError
from schemas.settings.lnm import LnmSettings
from tasks.common.progress import report_progress
from tasks.common.splits import TimeSplit
from tasks.lnm.evaluation import examine
from tasks.lnm.model import CORE, LargeNeuralModel
from tasks.lnm.recording import Recording
from tasks.lnm.scoring import Key, Score, key_coords
from tasks.lnm.session import Session, divide_recording
from tasks.lnm.trained import TrainedModel
from tasks.lnm.training import train_model, train_models

VALIDATION_SHARE = 0.3
"""Of the minutes that a new session gives; penalties, gates and the end of training rest on it."""


@dataclass(frozen=True)
class Adapted:
    """A model of a new session and its scores on that session's test part."""

    model: TrainedModel
    session: Session
    scores: list[Score]


def pretrain(recordings: Sequence[Recording], settings: LnmSettings) -> dict[str, Tensor]:
    """Train one core on several sessions, each with embeddings of its own.

    Returns
    -------
    The core's weights, for `adapt`.
    """
    sessions = [divide_recording(recording, settings) for recording in recordings]
    models, _ = train_models(sessions, settings)
    return core_of(models[0].network)


def core_of(network: LargeNeuralModel) -> dict[str, Tensor]:
    """Return copies of the weights that do not depend on a session's columns."""
    state = network.state_dict()
    return {name: t.detach().clone() for name, t in state.items() if name.startswith(CORE)}


def adapt(
    recording: Recording,
    minutes: float | None,
    core: Mapping[str, Tensor] | None,
    settings: LnmSettings,
) -> Adapted:
    """Fit a model to the first minutes of a new session and examine it on the test part.

    Parameters
    ----------
    minutes : recorded time that is fitted and chosen on; None is all before the test part
    core : weights to start from; None starts from scratch

    Raises
    ------
    RecordingTooShortError
        So few minutes leave no window in training or validation.
    """
    session = _prepare(recording, settings, minutes)
    return _fit(session, core, settings)


def few_shot_curve(
    recording: Recording,
    minutes: Sequence[float],
    core: Mapping[str, Tensor],
    settings: LnmSettings,
) -> xr.Dataset:
    """Score the adapted model, one from scratch and ridge on ever more of a new session.

    All three are fitted to the same minutes and judged on the same test part.

    Returns
    -------
    Dataset with `value` (predictor, minutes, score) for adapted, scratch, ridge and bar
    (the baseline that validation chose), `verdict` (minutes, score) of the adapted model beside
    the bar, and the coordinates task, target, metric, horizon of each score.
    """
    found: list[dict[Key, tuple[Score, Score]]] = []
    for done, some in enumerate(minutes):
        report_progress("adapt the model", done, len(minutes), f"{some:g} min")
        session = _prepare(recording, settings, some)
        runs = [_fit(session, start, settings).scores for start in (core, None)]
        pairs = zip(*runs, strict=True)
        found.append({a.key: (a, s) for a, s in pairs})
    report_progress("adapt the model", len(minutes), len(minutes))
    return _curve_dataset(minutes, found)


def _fit(session: Session, core: Mapping[str, Tensor] | None, settings: LnmSettings) -> Adapted:
    model, _ = train_model(session, settings, core=core)
    return Adapted(model, session, examine(model, session, settings).scores)


def _prepare(recording: Recording, settings: LnmSettings, minutes: float | None) -> Session:
    limit = None if minutes is None else partial(_limit, minutes=minutes)
    return divide_recording(recording, settings, limit)


def _limit(split: TimeSplit, recording: Recording, window: int, minutes: float) -> TimeSplit:
    """Keep the test part; divide the first minutes of the rest into training and validation."""
    known = np.flatnonzero((recording.segment_T >= 0) & split.fitting)
    own = known[: round(minutes * 60 * recording.rate_hz)]
    turn = round(len(own) * (1 - VALIDATION_SHARE))
    time_T = recording.time_T
    parts = [np.zeros(len(time_T), bool) for _ in range(2)]
    parts[0][own[:turn]] = True
    guard_s = window / recording.rate_hz
    # Elsewhere a guard may fall into a gap between segments, as it does here.
    parts[1][own[turn:]] = time_T[own[turn:]] >= time_T[own[turn - 1]] + guard_s
    if turn < 2 * window or parts[1].sum() < window:
        raise RecordingTooShortError(
            f"{minutes:g} min are {len(own)} samples: too few windows of {window}.",
            where="adapt",
            remedy="Give more minutes, or a shorter lnm.window.",
        )
    return TimeSplit(parts[0], parts[1], split.test)


def _curve_dataset(
    minutes: Sequence[float], found: Sequence[Mapping[Key, tuple[Score, Score]]]
) -> xr.Dataset:
    keys = list(dict.fromkeys(key for some in found for key in some))
    predictors = ("adapted", "scratch", "ridge", "bar")
    value = np.full((len(predictors), len(minutes), len(keys)), np.nan)
    verdict = np.full((len(minutes), len(keys)), "", dtype="U4")
    for m, some in enumerate(found):
        for k, key in enumerate(keys):
            if key in some:
                adapted, scratch = some[key]
                rivals = (adapted.baselines["ridge"], adapted.baselines[adapted.best])
                value[:, m, k] = (adapted.model, scratch.model, *rivals)
                verdict[m, k] = adapted.verdict
    return xr.Dataset(
        {
            "value": (("predictor", "minutes", "score"), value),
            "verdict": (("minutes", "score"), verdict),
        },
        {
            "predictor": list(predictors),
            "minutes": ("minutes", list(minutes), {"units": "min"}),
            **key_coords(keys),
        },
        {"value_is": "higher is better in every metric but mae"},
    )
