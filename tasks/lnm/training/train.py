"""Training: linear maps in closed form, then the network on what they leave over."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from schemas.settings.lnm import LnmSettings
from tasks.lnm.data.grouping import visibility_groups
from tasks.lnm.data.runs import Runs
from tasks.lnm.network.ensemble import Ensemble
from tasks.lnm.network.model import LargeNeuralModel, ModelConfig
from tasks.lnm.network.noise import Noise
from tasks.lnm.network.origins import gather_labels
from tasks.lnm.network.trained import TrainedModel
from tasks.lnm.training.calibration import calibrate
from tasks.lnm.training.checkpoints import Curves
from tasks.lnm.training.evidence import gather_evidence
from tasks.lnm.training.gating import (
    Evidence,
    Question,
    Share,
    apply_choices,
    choose_shares,
    pool_evidence,
)
from tasks.lnm.training.machine import Machine
from tasks.lnm.training.optimise import optimise
from tasks.lnm.training.schedule import count_steps
from tasks.lnm.training.session import Session
from tasks.lnm.training.sharding import divide, divides, gather

NEXT_SEED = 100_003


def train_model(
    session: Session,
    settings: LnmSettings,
    checkpoints: Path | None = None,
) -> tuple[TrainedModel, Curves]:
    """Train on one session; see train_models."""
    (model,), curves = train_models([session], settings, checkpoints)
    return model, curves


def train_models(
    sessions: Sequence[Session],
    settings: LnmSettings,
    checkpoints: Path | None = None,
) -> tuple[list[TrainedModel], Curves]:
    """Train networks for each session, with one core for all sessions, and keep their best state.

    A session's embeddings are its own, for its units are; the transformer between them is shared,
    and each step is of the next session in turn. Best is the least validation loss of the averaged
    (EMA) weights. The skip's predictions of training samples come from fits that have not seen
    them: else the network would learn from what ridge leaves over in its own training data, which
    is less than it leaves elsewhere. With `settings.members` above 1 the same is done so many
    times, each time without another fold of the training part; answers are the mean.

    checkpoints : folder in which the state is kept after every validation; if it holds one of the
        same settings, training goes on from there and ends as if it had never stopped
    """
    found, curves = [], Curves()
    origins = gather_labels(session.recording.origin for session in sessions)
    for member in range(settings.members):
        own = settings.model_copy(update={"seed": settings.seed + NEXT_SEED * member})
        folder = None if checkpoints is None else checkpoints / f"member-{member}"
        seen = sessions
        if settings.members > 1:
            seen = [session.leave_out(member, settings.members) for session in sessions]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(own.seed)
            networks = [build_network(session, own, origins=origins) for session in seen]
            for network in networks[1:]:
                network.share_core(networks[0])
            steps = len(seen) * count_steps(own, max(len(s.recording.columns.names) for s in seen))
            curves.extend(train_networks(networks, seen, own, steps, folder))
        found.append(networks)
    models = [
        _finish(Ensemble(own), session, settings)
        for own, session in zip(zip(*found, strict=True), sessions, strict=True)
    ]
    return models, curves


def train_networks(
    networks: Sequence[LargeNeuralModel],
    sessions: Sequence[Session],
    settings: LnmSettings,
    steps: int,
    checkpoints: Path | None = None,
) -> Curves:
    """Train networks that share a core, and leave them in their best state; see train_models."""
    machine = Machine.choose(settings)
    if divides(settings, machine, networks):
        own = [divide(networks[0], machine)]
        curves = optimise(own, sessions, settings, steps, checkpoints, machine)
        networks[0].load_state_dict(gather(own[0].state_dict()))
        return curves
    together = nn.ModuleList(networks).to(machine.device)
    curves = optimise(networks, sessions, settings, steps, checkpoints, machine)
    together.cpu()
    return curves


def build_network(
    session: Session,
    settings: LnmSettings,
    row_dropout: float = 0.0,
    origins: tuple[str, ...] = (),
) -> LargeNeuralModel:
    """Return an untrained network for a session's columns.

    origins : labels of the sessions that share its core
    """
    columns = session.recording.columns
    network = LargeNeuralModel(
        ModelConfig(
            settings.preset,
            session.window,
            settings.patch,
            session.recording.rate_hz,
            visibility_groups(columns),
            tuple(bool(n) for n in columns.neural),
            session.heads,
            settings.dropout,
            row_dropout,
            settings.read_in,
            session.recording.origin,
            origins,
        )
    )
    network.traits_VF.copy_(torch.from_numpy(session.traits_VF))
    return network


def _finish(network: Ensemble, session: Session, settings: LnmSettings) -> TrainedModel:
    """Set the gates on validation and, of several networks, on the fold that each has not seen."""
    model = join_skip(network, session, settings)
    evidence: list[Evidence] = []
    unseen: list[Runs] = []
    if settings.linear_skip:
        if settings.members > 1:
            for fold, member in enumerate(network.networks):
                lone = replace(model, network=Ensemble([member]))
                unseen.append(session.fold_runs(fold, settings.members))
                evidence.append(gather_evidence(lone, session, unseen[-1]))
        unseen.append(session.runs(1))
        evidence.append(gather_evidence(model, session, unseen[-1]))
    samples = sum(stop - start for runs in unseen for start, stop in runs)
    minutes = samples / session.recording.rate_hz / 60
    return mix_network(model, session, choose_shares(pool_evidence(evidence), minutes))


def join_skip(network: Ensemble, session: Session, settings: LnmSettings) -> TrainedModel:
    """Return network and skip as one model, with gates and noise that are yet to be chosen."""
    network.eval()
    skip, columns = session.material.skip, session.recording.columns
    about = (session.scaler, columns, session.deviance_V, settings.linear_skip)
    plain = Noise.plain(len(skip.horizons), columns.counts)
    return TrainedModel(network, skip, session.whole_mixing(), *about, plain, settings.split)


def mix_network(
    model: TrainedModel, session: Session, choices: Mapping[Question, Share]
) -> TrainedModel:
    """Return the model mixed as was chosen, its noise calibrated."""
    mixing = apply_choices(session.spread, choices, model.columns, model.skip.horizons)
    mixed = replace(model, mixing=mixing)
    return replace(mixed, noise=calibrate(mixed, session))
