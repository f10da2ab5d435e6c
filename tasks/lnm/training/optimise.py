"""The loop over steps: draw a batch, move the weights, average them, validate, keep the best."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule

from schemas.settings.lnm import LnmSettings
from tasks.common.progress import report_progress
from tasks.lnm.network.costs import Costs
from tasks.lnm.network.guess import Rows
from tasks.lnm.network.model import LargeNeuralModel
from tasks.lnm.network.trained import copy_state
from tasks.lnm.training.batches import draw_ahead, validation_cuts
from tasks.lnm.training.checkpoints import Curves, TrainingState, restore_state, save_state
from tasks.lnm.training.curve_files import draw_point
from tasks.lnm.training.gating import SHARES
from tasks.lnm.training.machine import Machine
from tasks.lnm.training.objective import Batch, weigh_errors
from tasks.lnm.training.schedule import make_optimiser, schedule
from tasks.lnm.training.session import Session
from tasks.lnm.training.sharding import own_share
from tasks.lnm.training.stopping import AskedCut, measure_loss

VALIDATE_EVERY = 50
VALIDATION_WINDOWS = 32
"""Windows of each task that stop the training."""
EMA_DECAY = 0.99
CLIP_NORM = 1.0
DIVERGED = 50.0
"""A training loss this many times that of predicting the mean is taken as divergence."""


def optimise(
    networks: Sequence[LargeNeuralModel],
    sessions: Sequence[Session],
    settings: LnmSettings,
    steps: int,
    checkpoints: Path | None,
    machine: Machine,
) -> Curves:
    """Train networks that share a core, on their device, and leave them in their best state."""
    together = nn.ModuleList(networks)
    called = [machine.compile(network) for network in networks]
    exam = [
        (network, session.costs, validation_cuts(session, settings, VALIDATION_WINDOWS))
        for network, session in zip(called, sessions, strict=True)
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
    with closing(draw_ahead(sessions, settings, random, coming)) as batches:
        for batch, after, draw_next in batches:
            at = state.step % len(sessions)
            state.step += 1
            state.rng.bit_generator.state = after
            rate = settings.learning_rate * schedule(state.step / steps)
            for group in state.optimiser.param_groups:
                group["lr"] = rate
            loss = take_step(called[at], state.optimiser, batch, costs[at], machine, draw_next)
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
                if checkpoints is not None:
                    save_state(state, checkpoints, identity, write=machine.rank == 0)
            if state.curves.stopped:
                break
    together.load_state_dict(state.best)
    return state.curves


@torch.no_grad()
def average_weights(network: nn.Module, average: Mapping[str, Tensor], decay: float) -> None:
    """Move the averages (EMA) of a network's weights, in place."""
    current = network.state_dict()
    averages = own_share(average[name] for name in current)
    torch._foreach_lerp_(averages, own_share(current.values()), 1 - decay)


_Exam = Sequence[tuple[nn.Module, Costs, list[AskedCut]]]
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


def take_step(
    network: nn.Module,
    optimiser: torch.optim.AdamW,
    batch: Sequence[Batch],
    costs: Costs,
    machine: Machine,
    meanwhile: Callable[[], None] | None = None,
) -> float:
    """Move a network's weights by one batch, piece by piece, and return the loss of it.

    meanwhile : called before the first way back, which leaves the interpreter to other threads
    """
    network.train()
    optimiser.zero_grad(set_to_none=True)
    losses: list[Tensor] = []
    made = leaves = None
    if len(batch) > 1 and not isinstance(network, FSDPModule):
        # The embeddings of many columns are made, and led back through, once for all pieces.
        made = cast(LargeNeuralModel, network).rows()
        leaves = Rows._make(part.detach().requires_grad_() for part in made)
    for piece in batch:
        own = piece.share(machine)
        prediction = machine.run(network, own.inputs, leaves)
        loss, slopes = weigh_errors(prediction, own, costs)
        if meanwhile is not None and not losses:
            meanwhile()
        torch.autograd.backward(prediction, slopes)
        losses.append(loss)
    if made is not None and leaves is not None:
        torch.autograd.backward(made, [leaf.grad for leaf in leaves])
    if not isinstance(network, FSDPModule):
        machine.sum_gradients(network)
    torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP_NORM, foreach=True)
    optimiser.step()
    return float(machine.total(torch.stack(losses).sum()))


def _validate(
    network: nn.Module,
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
