"""Training: linear maps in closed form, then the network on what they leave over."""

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from schemas.settings.lnm import LnmSettings
from tasks.common.progress import report_progress
from tasks.lnm.batches import draw_ahead, validation_cuts
from tasks.lnm.calibration import calibrate
from tasks.lnm.checkpoints import Curves, TrainingState, restore_state, save_state
from tasks.lnm.costs import Costs
from tasks.lnm.curve_files import draw_point
from tasks.lnm.ensemble import Ensemble
from tasks.lnm.evidence import gather_evidence
from tasks.lnm.gating import (
    SHARES,
    Evidence,
    Question,
    Share,
    apply_choices,
    choose_shares,
    pool_evidence,
)
from tasks.lnm.machine import Machine
from tasks.lnm.model import LargeNeuralModel, ModelConfig, visibility_groups
from tasks.lnm.noise import Noise
from tasks.lnm.objective import Batch, weigh_errors
from tasks.lnm.origins import gather_labels
from tasks.lnm.runs import cut_windows
from tasks.lnm.schedule import count_steps, make_optimiser, schedule
from tasks.lnm.session import Session
from tasks.lnm.stopping import AskedCut, measure_loss
from tasks.lnm.trained import TrainedModel, copy_state

VALIDATE_EVERY = 50
VALIDATION_WINDOWS = 32
"""Windows of each task that stop the training."""
NEXT_SEED = 100_003
EMA_DECAY = 0.99
CLIP_NORM = 1.0
DIVERGED = 50.0
"""A training loss this many times that of predicting the mean is taken as divergence."""


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
    together = nn.ModuleList(networks).to(machine.device)
    curves = _optimise(together, networks, sessions, settings, steps, checkpoints, machine)
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
            visibility_groups(columns.neural, columns.streams),
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
    if settings.linear_skip:
        if settings.members > 1:
            for fold, member in enumerate(network.networks):
                lone = replace(model, network=Ensemble([member]))
                runs = session.fold_runs(fold, settings.members)
                evidence.append(gather_evidence(lone, session, runs))
        evidence.append(gather_evidence(model, session, session.runs(1)))
    return mix_network(model, session, choose_shares(pool_evidence(evidence)))


def join_skip(network: Ensemble, session: Session, settings: LnmSettings) -> TrainedModel:
    """Return network and skip as one model, with gates and noise that are yet to be chosen."""
    network.eval()
    skip, columns = session.material.skip, session.recording.columns
    about = (session.scaler, columns, session.deviance_V, settings.linear_skip)
    plain = Noise.plain(len(skip.horizons), columns.counts)
    return TrainedModel(network, skip, session.whole_mixing(), *about, plain)


def mix_network(
    model: TrainedModel, session: Session, choices: Mapping[Question, Share]
) -> TrainedModel:
    """Return the model mixed as was chosen, its noise calibrated."""
    mixing = apply_choices(session.spread, choices, model.columns, model.skip.horizons)
    mixed = replace(model, mixing=mixing)
    return replace(mixed, noise=calibrate(mixed, session))


def _optimise(
    together: nn.ModuleList,
    networks: Sequence[LargeNeuralModel],
    sessions: Sequence[Session],
    settings: LnmSettings,
    steps: int,
    checkpoints: Path | None,
    machine: Machine,
) -> Curves:
    windows = [cut_windows(session.runs(0), session.window, 1) for session in sessions]
    exam = [
        (network, session.costs, validation_cuts(session, settings, VALIDATION_WINDOWS))
        for network, session in zip(networks, sessions, strict=True)
    ]
    state = TrainingState(
        together,
        make_optimiser(together, settings),
        np.random.default_rng(settings.seed),
        copy_state(together),
        copy_state(together),
        _mean_loss(exam, machine, settings),
    )
    costs = [machine.place_costs(session.costs) for session in sessions]
    identity = settings.param_set("lnm").hash
    if checkpoints is None or not restore_state(state, checkpoints, identity):
        state.curves.record(0, math.nan, state.best_loss, 0.0)
    coming = range(state.step + 1, 0 if state.curves.stopped else steps + 1)
    random = state.rng.bit_generator.state
    with closing(draw_ahead(sessions, windows, settings, random, coming)) as batches:
        for batch, after in batches:
            at = state.step % len(sessions)
            state.step += 1
            state.rng.bit_generator.state = after
            rate = settings.learning_rate * schedule(state.step / steps)
            for group in state.optimiser.param_groups:
                group["lr"] = rate
            loss = _take_step(networks[at], state.optimiser, batch, costs[at], machine)
            state.recent.append(loss)
            if loss < DIVERGED:
                decay = min(EMA_DECAY, state.step / (state.step + 10))
                average_weights(together, state.average, decay)
            else:
                state.curves.stopped = (
                    f"diverged at step {state.step} (loss {loss:.3g}); the best state, "
                    f"of step {state.curves.best_step}, is kept"
                )
            due = state.step % (VALIDATE_EVERY * len(sessions)) == 0 or state.step == steps
            if due and not state.curves.stopped:
                _weigh(state, exam, rate, settings, machine)
                report_progress("train the model", state.step, steps, state.curves.latest)
                if machine.rank == 0:
                    draw_point(state.step, state.curves.point)
                if checkpoints is not None and machine.rank == 0:
                    save_state(state, checkpoints, identity)
            if state.curves.stopped:
                break
    together.load_state_dict(state.best)
    return state.curves


@torch.no_grad()
def average_weights(network: nn.Module, average: Mapping[str, Tensor], decay: float) -> None:
    """Move the averages (EMA) of a network's weights, in place."""
    current = network.state_dict()
    averages = [average[name] for name in current]
    torch._foreach_lerp_(averages, list(current.values()), 1 - decay)


_Exam = Sequence[tuple[LargeNeuralModel, Costs, list[AskedCut]]]
"""Each session's network, costs and validation windows."""


def _weigh(
    state: TrainingState, exam: _Exam, rate: float, settings: LnmSettings, machine: Machine
) -> None:
    """Validate the averaged weights, keep them if they are the best, stop if there is no gain."""
    current = copy_state(state.network)
    state.network.load_state_dict(state.average)
    loss = _mean_loss(exam, machine, settings)
    state.network.load_state_dict(current)
    state.curves.record(state.step, float(np.mean(state.recent)), loss, rate)
    state.recent.clear()
    if loss < state.best_loss:
        state.best = {name: tensor.clone() for name, tensor in state.average.items()}
        state.best_loss, state.curves.best_step = loss, state.step
    waited = state.step - state.curves.best_step
    if waited >= settings.patience * VALIDATE_EVERY * len(exam):
        state.curves.stopped = f"no gain on validation since step {state.curves.best_step}"


def _mean_loss(exam: _Exam, machine: Machine, settings: LnmSettings) -> float:
    found = [_validate(n, cuts, costs, machine, settings) for n, costs, cuts in exam]
    return float(np.mean(found))


def _take_step(
    network: LargeNeuralModel,
    optimiser: torch.optim.AdamW,
    batch: Batch,
    costs: Costs,
    machine: Machine,
) -> float:
    network.train()
    own = batch.share(machine)
    prediction = machine.run(network, own.inputs)
    loss, slopes = weigh_errors(prediction, own, costs)
    optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(prediction, slopes)
    machine.sum_gradients(network)
    torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP_NORM, foreach=True)
    optimiser.step()
    return float(machine.total(loss))


def _validate(
    network: LargeNeuralModel,
    cuts: Sequence[AskedCut],
    costs: Costs,
    machine: Machine,
    settings: LnmSettings,
) -> float:
    """Return the loss over all tasks, each target with the best share of the network."""
    shares = SHARES if settings.linear_skip else (1.0,)
    network.eval()
    run = partial(machine.run, network)
    return float(np.mean([measure_loss(run, cut, costs, shares) for cut in cuts]))
