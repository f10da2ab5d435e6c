"""A model of some sessions taken to a new one: how much a few minutes of it are worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from schemas.settings.lnm import LnmSettings
from tasks.common.progress import report_progress, track
from tasks.lnm.baselines.shared import SharedMaps, learn_maps
from tasks.lnm.data.division import Division, hold
from tasks.lnm.data.reading import Source
from tasks.lnm.data.recording import Recording
from tasks.lnm.evaluation import examine
from tasks.lnm.network.ensemble import Ensemble
from tasks.lnm.network.model import CORE, LargeNeuralModel
from tasks.lnm.network.origins import gather_labels
from tasks.lnm.network.trained import TrainedModel
from tasks.lnm.scores.scoring import Key, Score, key_coords
from tasks.lnm.training.evidence import gather_evidence
from tasks.lnm.training.gating import Evidence, pool_evidence
from tasks.lnm.training.rehearsal import MOST_STARTS, known_minutes, rehearse, weigh_evidence
from tasks.lnm.training.schedule import count_steps
from tasks.lnm.training.session import Session, prepare_held
from tasks.lnm.training.train import (
    build_network,
    join_skip,
    mix_network,
    train_model,
    train_networks,
)

CORE_STEPS = 3
"""Times the steps of one session that a core is trained for, over all rehearsals."""
ROW_DROPOUT = 0.5
MOST_STEPS = 300
CAREFUL = 0.15
"""Share of the learning rate, and steps at most, that a new session's own rows are trained with."""


@dataclass(frozen=True)
class Learnt:
    """What other sessions taught.

    core : weights that do not depend on a session's columns
    origins : labels of the sessions, animals and species that it has embeddings of
    evidence : by minutes known of a session, what shares of the network's output cost there
    shared : linear maps between columns of like label
    """

    core: Mapping[str, Tensor]
    origins: tuple[str, ...]
    evidence: Mapping[float | None, Evidence]
    shared: SharedMaps | None


@dataclass(frozen=True)
class Adapted:
    """A model of a new session and its scores on that session's test part."""

    model: TrainedModel
    session: Session
    scores: list[Score]


def pretrain(
    recordings: Sequence[Recording | Source], minutes: Sequence[float], settings: LnmSettings
) -> Learnt:
    """Train one core on several sessions, each also as if only some minutes of it were known.

    Whole sessions have rows of their own, of which half are left out of each step; rehearsals have
    none, so that the core learns to do with what it can guess of a column.
    """
    # All of these are in memory at once.
    share = 1 / (len(recordings) * (1 + MOST_STARTS * len(minutes)))
    most = MOST_STARTS * max(minutes, default=0.0)
    known = [hold(recording, settings, share, most) for recording in recordings]
    whole = [prepare_held(held, settings) for held in known]
    inherited = [_learn_from_others(known, at, settings) for at in range(len(known))]
    few: dict[float, list[Session]] = {m: [] for m in minutes}
    asked = [(m, *pair) for m in minutes for pair in zip(known, inherited, strict=True)]
    for m, held, maps in track(asked, "rehearse the known sessions"):
        few[m] += rehearse(held, m, settings, maps)
    guessing = [session for found in few.values() for session in found]
    sessions = [*whole, *guessing]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        origins = gather_labels(held.recording.origin for held in known)
        networks = [build_network(session, settings, ROW_DROPOUT, origins) for session in whole]
        networks += [_without_rows(session, settings, origins) for session in guessing]
        for network in networks[1:]:
            network.share_core(networks[0])
        columns = max(len(session.recording.columns.names) for session in whole)
        steps = CORE_STEPS * count_steps(settings, columns)
        train_networks(networks, sessions, settings, steps)
    trained = iter(networks[len(whole) :])
    evidence: dict[float | None, Evidence] = {
        m: pool_evidence(_examine_whole(next(trained), s, settings) for s in found)
        for m, found in few.items()
    }
    return Learnt(core_of(networks[0]), origins, evidence, learn_maps(known, settings))


def _learn_from_others(
    known: Sequence[Division], at: int, settings: LnmSettings
) -> SharedMaps | None:
    """Return what one of some sessions inherits of the others; a lone one of itself."""
    others = [held for number, held in enumerate(known) if number != at]
    return learn_maps(others or known, settings)


def _examine_whole(network: LargeNeuralModel, session: Session, settings: LnmSettings) -> Evidence:
    model = join_skip(Ensemble([network]), session, settings)
    return gather_evidence(model, session, session.runs(1))


def _without_rows(
    session: Session, settings: LnmSettings, origins: tuple[str, ...]
) -> LargeNeuralModel:
    """Return a network that guesses the embeddings of all columns."""
    network = build_network(session, settings, origins=origins)
    for rows in (network.read, network.write, network.bias):
        nn.init.zeros_(rows).requires_grad_(False)
    return network


def core_of(network: LargeNeuralModel) -> dict[str, Tensor]:
    """Return copies of the weights that do not depend on a session's columns."""
    state = network.state_dict()
    return {name: t.detach().clone() for name, t in state.items() if name.startswith(CORE)}


def adapt(
    recording: Recording | Source,
    minutes: float | None,
    learnt: Learnt | None,
    settings: LnmSettings,
) -> Adapted:
    """Fit a model to the first minutes of a new session and examine it on the test part.

    Parameters
    ----------
    minutes : recorded time that is fitted and chosen on; None is all before the test part
    learnt : what other sessions taught; None starts from scratch

    Raises
    ------
    RecordingTooShortError
        So few minutes leave no window in training or validation, or so many are not held.
    """
    return _adapt_held(hold(recording, settings, minutes=minutes or 0.0), minutes, learnt, settings)


def few_shot_curve(
    recording: Recording | Source,
    minutes: Sequence[float],
    learnt: Learnt,
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
    held = hold(recording, settings, minutes=max(minutes, default=0.0))
    for done, some in enumerate(minutes):
        report_progress("adapt the model", done, len(minutes), f"{some:g} min")
        runs = [_adapt_held(held, some, start, settings).scores for start in (learnt, None)]
        pairs = zip(*runs, strict=True)
        found.append({a.key: (a, s) for a, s in pairs})
    report_progress("adapt the model", len(minutes), len(minutes))
    return _curve_dataset(minutes, found)


def _adapt_held(
    held: Division, minutes: float | None, learnt: Learnt | None, settings: LnmSettings
) -> Adapted:
    limit = None if minutes is None else partial(known_minutes, minutes=minutes)
    shared = None if learnt is None else learnt.shared
    session = prepare_held(held, settings, limit, shared)
    if learnt is None:
        model, _ = train_model(session, settings)
    else:
        model = _take_on(session, learnt, learnt.evidence.get(minutes, {}), settings)
    return Adapted(model, session, examine(model, session, settings).scores)


def _take_on(
    session: Session, learnt: Learnt, evidence: Evidence, settings: LnmSettings
) -> TrainedModel:
    """Begin with the guess, train the session's own rows carefully, weigh all that is known.

    The core stays as it is: a few minutes would undo what hours have taught it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = _without_rows(session, settings, learnt.origins)
        network.load_state_dict(dict(learnt.core), strict=False)
        for name, weights in network.named_parameters():
            weights.requires_grad_(not name.startswith(CORE))
        careful = {"learning_rate": CAREFUL * settings.learning_rate}
        steps = min(MOST_STEPS, count_steps(settings, len(session.recording.columns.names)))
        train_networks([network], [session], settings.model_copy(update=careful), steps)
    model = join_skip(Ensemble([network]), session, settings)
    own = gather_evidence(model, session, session.runs(1))
    return mix_network(model, session, weigh_evidence(pool_evidence([evidence, own]), session))


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
