"""Training: linear maps in closed form, then the network on what they leave over."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from schemas.settings.lnm import LnmSettings
from tasks.common.progress import report_progress
from tasks.common.splits import TimeSplit
from tasks.lnm.checkpoints import Curves, TrainingState, restore_state, save_state
from tasks.lnm.gating import (
    SHARES,
    Choice,
    GatedCut,
    apply_choices,
    choose_shares,
    group_asked,
    number_blocks,
    residual_spread,
)
from tasks.lnm.linear import Runs
from tasks.lnm.masks import Mode, draw_masks, draw_modes, possible_modes, thin_columns
from tasks.lnm.model import Heads, LargeNeuralModel, ModelConfig, losses, visibility_groups
from tasks.lnm.recording import (
    Floats,
    Ints,
    Recording,
    Scaler,
    cut_windows,
    find_runs,
    fit_scaler,
    forecast_origins,
    part_of_each_sample,
)
from tasks.lnm.rivals import Rivals, fit_rivals
from tasks.lnm.schedule import count_steps, make_optimiser, schedule
from tasks.lnm.trained import TrainedModel, copy_state, make_heads
from tasks.lnm.windows import Cut, Material, Mixing, TaskWeights, cut_batch, prepare_material

VALIDATE_EVERY = 50
VALIDATION_WINDOWS, GATING_WINDOWS = 32, 192
"""Windows of each task that stop the training, and that set the gates of what it ended with."""
EMA_DECAY = 0.99
CLIP_NORM = 1.0
SCALE_WEIGHT = 0.1
MIDDLE_WEIGHT = 0.3
DIVERGED = 50.0
"""A training loss this many times that of predicting the mean is taken as divergence."""
SCORED_MODES = ("decode", "encode", "impute", "forecast")


@dataclass(frozen=True)
class Session:
    """A recording divided for training: its z-scores, parts and linear predictions.

    origin_O, context_O : test samples to forecast from, and how many may be seen up to each
    rivals : the baselines' answers on the test part, and which is the bar of each target
    """

    recording: Recording
    split: TimeSplit
    part_T: Ints
    material: Material
    spread: TaskWeights
    window: int
    origin_O: Ints
    context_O: Ints
    rivals: Rivals

    def whole_mixing(self) -> Mixing:
        """Return the mixing of training: all of the network, in units of what is left over."""
        return Mixing(self.spread, self.spread, self.spread.forecast_HV)

    def runs(self, part: int) -> Runs:
        """Return the runs of one part: 0 train, 1 validation, 2 test."""
        return find_runs(self.recording.segment_T, np.where(self.part_T == part, 0, -1))


def prepare_session(
    recording: Recording, split: TimeSplit, window: int, settings: LnmSettings
) -> tuple[Session, Scaler]:
    """Fit scaler and linear maps on the training part and apply them to every part by itself."""
    part_T = part_of_each_sample(split)
    scaler = fit_scaler(recording.values_TV, split.train)
    z_TV = scaler.standardise(recording.values_TV)
    columns = recording.columns
    test_runs = find_runs(recording.segment_T, np.where(part_T == 2, 0, -1))
    origin_O, context_O = forecast_origins(test_runs, window)
    skip, rivals, fold_T = fit_rivals(recording, part_T, scaler, origin_O, window, settings)
    runs = find_runs(recording.segment_T, part_T)
    material = prepare_material(z_TV, runs, skip, columns, recording.rate_hz, fold_T)
    spread = residual_spread(material, runs, split.train)
    about = (material, spread, window, origin_O, context_O, rivals)
    return Session(recording, split, part_T, *about), scaler


def train_model(
    session: Session, scaler: Scaler, settings: LnmSettings, checkpoints: Path | None = None
) -> tuple[TrainedModel, Curves]:
    """Train the network on masked windows of the training part and keep its best state.

    Best is the least validation loss of the averaged (EMA) weights. The linear predictions of
    training samples come from fits that have not seen them: else the network would learn from
    what ridge leaves over in its own training data, which is less than it leaves elsewhere.

    checkpoints : folder in which the state is kept after every validation; if it holds one of the
        same settings, training goes on from there and ends as if it had never stopped
    """
    recording = session.recording
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = LargeNeuralModel(
            ModelConfig(
                settings.preset,
                session.window,
                settings.patch,
                recording.rate_hz,
                visibility_groups(recording.columns.neural, recording.columns.streams),
                tuple(bool(n) for n in recording.columns.neural),
                tuple(bool(c) for c in recording.columns.counts),
                settings.dropout,
            )
        )
        deviance_V = _mean_deviance(recording, session.split.train, scaler)
        heads = make_heads(recording.columns, scaler, deviance_V)
        curves = _optimise(network, session, heads, settings, checkpoints)
    network.eval()
    cuts = validation_cuts(session, settings, GATING_WINDOWS)
    choices, _ = _validate(network, cuts, heads, linear_skip=settings.linear_skip)
    skip = session.material.skip
    mixing = apply_choices(session.spread, choices, recording.columns, skip.horizons)
    model = TrainedModel(
        network, skip, mixing, scaler, recording.columns, deviance_V, settings.linear_skip
    )
    return model, curves


def _optimise(
    network: LargeNeuralModel,
    session: Session,
    heads: Heads,
    settings: LnmSettings,
    checkpoints: Path | None,
) -> Curves:
    windows = cut_windows(session.runs(0), session.window, 1)
    held_out = validation_cuts(session, settings, VALIDATION_WINDOWS)
    skip = settings.linear_skip
    state = TrainingState(
        network,
        make_optimiser(network, settings),
        np.random.default_rng(settings.seed),
        copy_state(network),
        copy_state(network),
        _validate(network, held_out, heads, linear_skip=skip)[1],
    )
    identity = settings.param_set("lnm").hash
    if checkpoints is None or not restore_state(state, checkpoints, identity):
        state.curves.record(0, math.nan, state.best_loss, 0.0)
    steps = count_steps(settings, len(session.recording.columns.names))
    while state.step < steps and not state.curves.stopped:
        state.step += 1
        rate = settings.learning_rate * schedule(state.step / steps)
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        cut = _draw_batch(session, windows, settings, state.rng, state.step / steps)
        state.recent.append(_take_step(network, state.optimiser, cut, heads))
        if not state.recent[-1] < DIVERGED:
            state.curves.stopped = (
                f"diverged at step {state.step} (loss {state.recent[-1]:.3g}); the best state, "
                f"of step {state.curves.best_step}, is kept"
            )
            break
        _average_weights(state)
        if state.step % VALIDATE_EVERY and state.step != steps:
            continue
        _weigh(state, held_out, heads, rate, settings)
        curves = state.curves
        note = f"loss {curves.train_loss[-1]:.3f}, validation {curves.validation_loss[-1]:.3f}"
        report_progress("train the model", state.step, steps, note)
        if checkpoints is not None:
            save_state(state, checkpoints, identity)
    network.load_state_dict(state.best)
    return state.curves


@torch.no_grad()
def _average_weights(state: TrainingState) -> None:
    decay = min(EMA_DECAY, state.step / (state.step + 10))
    for name, tensor in state.network.state_dict().items():
        state.average[name].lerp_(tensor, 1 - decay)


def _weigh(
    state: TrainingState, held_out: list[GatedCut], heads: Heads, rate: float, settings: LnmSettings
) -> None:
    """Validate the averaged weights, keep them if they are the best, stop if there is no gain."""
    current = copy_state(state.network)
    state.network.load_state_dict(state.average)
    _, loss = _validate(state.network, held_out, heads, linear_skip=settings.linear_skip)
    state.network.load_state_dict(current)
    state.curves.record(state.step, float(np.mean(state.recent)), loss, rate)
    state.recent.clear()
    if loss < state.best_loss:
        state.best = {name: tensor.clone() for name, tensor in state.average.items()}
        state.best_loss, state.curves.best_step = loss, state.step
    if state.step - state.curves.best_step >= settings.patience * VALIDATE_EVERY:
        state.curves.stopped = f"no gain on validation since step {state.curves.best_step}"


def _take_step(
    network: LargeNeuralModel,
    optimiser: torch.optim.AdamW,
    cut: Cut,
    heads: Heads,
) -> float:
    network.train()
    loss = batch_loss(network, cut, heads)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP_NORM)
    optimiser.step()
    return float(loss.detach())


def _draw_batch(
    session: Session,
    windows: Ints,
    settings: LnmSettings,
    rng: np.random.Generator,
    progress: float,
) -> Cut:
    neural_V, fold_V = session.recording.columns.neural, session.material.skip.fold_V
    chosen = windows[rng.integers(len(windows), size=settings.batch_size)]
    modes = draw_modes(rng, progress, neural_V, fold_V, settings.batch_size)
    masks = draw_masks(rng, modes, session.window, settings.patch, neural_V, fold_V)
    return cut_batch(
        session.material,
        chosen[:, 0],
        chosen[:, 1],
        masks,
        session.whole_mixing(),
        linear_skip=settings.linear_skip,
        seen_BLV=thin_columns(rng, masks),
    )


def batch_loss(network: LargeNeuralModel, cut: Cut, heads: Heads) -> Tensor:
    """Return the mean loss of what is asked for: neurons and behaviour weigh the same."""
    prediction = network(cut.inputs)
    error_BLV, spread_BLV = losses(prediction, cut.z_BLV, heads)
    apart_BLV = (cut.z_BLV - prediction.middle_BLV).abs() * cut.weight_BLV.sqrt()
    forecast_B11 = torch.tensor([mode == "forecast" for mode in cut.mode_B])[:, None, None]
    error_BLV = error_BLV * cut.weight_BLV + MIDDLE_WEIGHT * forecast_B11 * apart_BLV
    total = torch.zeros(())
    parts = 0
    for own_V in (network.neural_V, ~network.neural_V):
        asked = cut.asked_BLV & own_V
        if bool(asked.any()):
            total = total + (error_BLV + SCALE_WEIGHT * spread_BLV)[asked].mean()
            parts += 1
    return total / max(1, parts)


def validation_cuts(session: Session, settings: LnmSettings, most: int) -> list[GatedCut]:
    """Cut the same validation windows, `most` or fewer, for each task the session can be asked."""
    rng = np.random.default_rng(settings.seed + 1)
    columns, skip = session.recording.columns, session.material.skip
    windows = cut_windows(session.runs(1), session.window, 1)
    held_out = np.flatnonzero(session.part_T == 1)
    block_T = np.zeros(len(session.part_T), np.int64)
    block_T[held_out] = number_blocks(len(held_out), session.window)
    keep = np.linspace(0, len(windows) - 1, min(len(windows), most)).astype(int)
    start_B, length_B = windows[np.unique(keep)].T
    gated = []
    for mode in possible_modes(columns.neural, skip.fold_V):
        if mode not in SCORED_MODES:
            continue
        modes = (mode,) * len(start_B)
        masks = draw_masks(rng, modes, session.window, settings.patch, columns.neural, skip.fold_V)
        cut = cut_batch(
            session.material,
            start_B,
            length_B,
            masks,
            session.whole_mixing(),
            linear_skip=settings.linear_skip,
        )
        index_BL = np.minimum(start_B[:, None] + np.arange(session.window), len(block_T) - 1)
        own = (columns, skip.horizons, block_T[index_BL])
        gated.append(group_asked(mode, cut, masks.known_B, *own))
    return gated


def _validate(
    network: LargeNeuralModel, cuts: Sequence[GatedCut], heads: Heads, *, linear_skip: bool
) -> tuple[dict[Mode, Choice], float]:
    """Return the best share of the network in each task, and the loss over all tasks with it."""
    shares = SHARES if linear_skip else (1.0,)
    choices = {cut.mode: choose_shares(network, cut, heads, shares) for cut in cuts}
    return choices, float(np.mean([choice.loss for choice in choices.values()]))


def _mean_deviance(recording: Recording, train: np.ndarray, scaler: Scaler) -> Floats:
    """Return the Poisson deviance of predicting the mean, a sample; 1 for continuous columns."""
    values_TV = recording.values_TV[train].astype(np.float64)
    mean_V = np.maximum(scaler.mean_V, 1e-9)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_TV = np.where(values_TV > 0, np.log(values_TV / mean_V), 0)
    deviance_V = np.nanmean(2 * (values_TV * log_TV - values_TV + mean_V), axis=0)
    return np.where(recording.columns.counts, np.maximum(deviance_V, 1e-6), 1.0).astype(np.float32)
