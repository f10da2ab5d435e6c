"""Batches: windows drawn and masked for a training step, and those that validation judges by."""

import numpy as np
import torch
from torch import Tensor

from schemas.settings.lnm import LnmSettings
from tasks.lnm.gating import GatedCut, group_asked, number_blocks
from tasks.lnm.machine import Machine
from tasks.lnm.masks import draw_masks, draw_modes, possible_modes, thin_columns
from tasks.lnm.model import Heads, LargeNeuralModel, losses
from tasks.lnm.recording import Ints, cut_windows
from tasks.lnm.session import Session
from tasks.lnm.windows import Cut, cut_batch

SCALE_WEIGHT = 0.1
MIDDLE_WEIGHT = 0.3
ONE_CPU = Machine()
FORECASTS = 4
SCORED_MODES = ("decode", "encode", "impute", "forecast")


def draw_batch(
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


def batch_loss(
    network: LargeNeuralModel,
    cut: Cut,
    heads: Heads,
    machine: Machine = ONE_CPU,
) -> Tensor:
    """Return this process's part of the mean loss of what is asked for.

    Neurons and behaviour weigh the same. Over all processes the parts add up to the batch's loss.
    """
    prediction = machine.run(network, cut.inputs)
    error_BLV, spread_BLV = losses(prediction, cut.z_BLV, heads)
    apart_BLV = (cut.z_BLV - prediction.middle_BLV).abs() * cut.weight_BLV.sqrt()
    forecast_B = torch.tensor([mode == "forecast" for mode in cut.mode_B], device=machine.device)
    error_BLV = error_BLV * cut.weight_BLV
    error_BLV = error_BLV + MIDDLE_WEIGHT * forecast_B[:, None, None] * apart_BLV
    total = error_BLV.sum() * 0.0
    parts = 0
    for own_V in (network.neural_V, ~network.neural_V):
        asked = cut.asked_BLV & own_V
        count = machine.total(asked.sum())
        if int(count):
            total = total + (error_BLV + SCALE_WEIGHT * spread_BLV)[asked].sum() / count
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
    gated = []
    for mode in possible_modes(columns.neural, skip.fold_V):
        if mode not in SCORED_MODES:
            continue
        # A window holds one forecast of each horizon, of what is hidden as many as it has samples.
        own = most * FORECASTS if mode == "forecast" else most
        keep = np.linspace(0, len(windows) - 1, min(len(windows), own)).astype(int)
        start_B, length_B = windows[np.unique(keep)].T
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
        about = (columns, skip.horizons, block_T[index_BL])
        gated.append(group_asked(mode, cut, masks.known_B, *about))
    return gated
