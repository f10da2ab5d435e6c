"""Running a trained model over a session: stitched windows, forecasts from many samples."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch

from tasks.lnm.data.locations import location_to_values
from tasks.lnm.data.masks import Masks, Mode
from tasks.lnm.data.recording import Bools, Floats, Ints
from tasks.lnm.data.runs import Runs, cut_windows, window_stride
from tasks.lnm.network.distributions import Distribution
from tasks.lnm.network.guess import Rows
from tasks.lnm.network.heads import Told
from tasks.lnm.network.material import Material
from tasks.lnm.network.model import Inputs
from tasks.lnm.network.trained import TrainedModel
from tasks.lnm.network.windows import AT_ONCE, Cut, cut_batch, windows_at_once

BATCH = 64
LEAST_SCALE = 1e-6
"""In standard deviations of training: a distribution is never a point."""
_FORECAST: tuple[Mode, ...] = ("forecast",)


@dataclass(frozen=True)
class Located:
    """Predicted distributions in z-scores (see model.Prediction), each (..., column).

    scale, tail : what the heads are told, in z-scores (of counts, in shares of the rate)
    base : the skip's prediction alone, in the units of `location`
    middle : medians as z-scores, of counts too; None where the question is not a forecast
    base_middle : the skip's medians alone
    """

    location: Floats
    scale: Floats
    base: Floats
    tail: Floats
    middle: Floats | None = None
    base_middle: Floats | None = None

    def at(self, index: Any) -> "Located":
        """Return what lies at an index of all arrays."""
        parts = (getattr(self, field.name) for field in fields(self))
        return Located(*(None if part is None else part[index] for part in parts))  # type: ignore[arg-type]


def predict_hidden(
    model: TrainedModel,
    material: Material,
    runs: Runs,
    hidden_V: Bools,
    mode: Mode,
    group: int = -1,
    kept: Ints | None = None,
) -> Located:
    """Predict hidden columns from all others, over whole runs.

    Windows overlap by three quarters and are averaged, the middle of a window weighing most.

    Parameters
    ----------
    hidden_V : (column,) columns that the model must not see
    mode : "decode", "encode", "impute" or "stream" for the linear prediction of that name
    kept : numbers of the columns whose predictions are returned; None for all

    Returns
    -------
    (time, column) arrays; NaN outside the runs and in columns that are visible
    """
    window, samples = model.window, len(material.z_TV)
    kept, asked = _asked(len(hidden_V), kept)
    sums = np.zeros((3, samples, len(kept)), np.float32)
    weight_T1 = np.zeros((samples, 1), np.float32)
    taper_L = np.minimum(np.arange(window) + 1, window - np.arange(window)).astype(np.float32)
    windows = cut_windows(runs, window, window_stride(window))
    rows = ready_rows(model, asked)
    for own_B in _batches(len(windows), model):
        start_B, length_B = windows[own_B].T
        cut = cut_hidden(model, material, start_B, length_B, hidden_V, mode, group, asked)
        location, scale, base, *_ = run_network(model, cut.inputs, rows)
        for b, (start, length) in enumerate(zip(start_B, length_B, strict=True)):
            own, taper_L1 = slice(start, start + length), taper_L[:length, None]
            parts = (location[b], scale[b], base[b])
            sums[:, own] += taper_L1 * np.stack([part[:length] for part in parts])
            weight_T1[own] += taper_L1
    with np.errstate(invalid="ignore"):
        mean = np.where(hidden_V[kept], sums / np.where(weight_T1 > 0, weight_T1, np.nan), np.nan)
    location, scale, base = mean.astype(np.float32)
    scale, tail = model.noise.hidden(mode, scale, kept, model.columns.counts)
    return Located(location, scale, base, tail)


def cut_hidden(
    model: TrainedModel,
    material: Material,
    start_B: Ints,
    length_B: Ints,
    hidden_V: Bools,
    mode: Mode,
    group: int,
    asked_A: Ints | None = None,
) -> Cut:
    """Cut windows with the same columns hidden throughout; see `cut_batch`."""
    batch, window = len(start_B), model.window
    masks = Masks(
        np.broadcast_to(~hidden_V, (batch, window, len(hidden_V))).copy(),
        (mode,) * batch,
        np.full(batch, group),
        np.full(batch, window),
    )
    about = (material, start_B, length_B, masks, model.mixing)
    return cut_batch(*about, linear_skip=model.linear_skip, asked_A=asked_A)


def asked_columns(model: TrainedModel, task: Mode) -> Bools:
    """Return which columns a task that is no forecast asks for."""
    if task in model.skip.together:
        return np.asarray(model.skip.together[task] >= 0)
    return np.asarray(model.columns.neural == (task == "encode"))


def predict_task(
    model: TrainedModel, material: Material, runs: Runs, task: Mode, kept: Ints | None = None
) -> Located:
    """Predict all that a two-sided task asks for; columns hidden together, one group at a time.

    kept : numbers of the columns whose predictions are returned; None for all
    """
    if task not in model.skip.together:
        hidden_V = asked_columns(model, task)
        return predict_hidden(model, material, runs, hidden_V, task, kept=kept)
    group_V = model.skip.together[task]
    kept = np.arange(len(group_V)) if kept is None else kept
    out = np.full((4, len(material.z_TV), len(kept)), np.nan, np.float32)
    for group in range(group_V.max() + 1):
        located = predict_hidden(model, material, runs, group_V == group, task, group, kept)
        own_V = group_V[kept] == group
        parts = (located.location, located.scale, located.base, located.tail)
        out[:, :, own_V] = np.stack([part[:, own_V] for part in parts])
    return Located(*out)


def predict_future(
    model: TrainedModel,
    material: Material,
    origin_O: Ints,
    context_O: Ints,
    kept: Ints | None = None,
    steps: int | None = None,
) -> Located:
    """Predict all columns after each origin from the samples up to and with it.

    Parameters
    ----------
    origin_O : (origin,) last sample that may be seen
    context_O : (origin,) samples up to the origin that may be seen; fewer than a window
    kept : numbers of the columns whose predictions are returned; None for all
    steps : how far ahead; None for the farthest horizon

    Returns
    -------
    (origin, step, column) arrays for 1 .. `steps` samples ahead
    """
    window, most = model.window, model.skip.horizons[-1]
    steps = steps or most
    columns = material.z_TV.shape[1]
    kept, asked = _asked(columns, kept)
    out = np.empty((5, len(origin_O), steps, len(kept)), np.float32)
    rows = ready_rows(model, asked)
    for own in _batches(len(origin_O), model):
        context_B = np.minimum(context_O[own], window - most)
        visible_BL = np.arange(window) < context_B[:, None]
        masks = Masks(
            np.broadcast_to(visible_BL[..., None], (*visible_BL.shape, columns)).copy(),
            _FORECAST * len(context_B),
            np.full(len(context_B), -1),
            context_B,
        )
        start_B = origin_O[own] - context_B + 1
        about = (material, start_B, context_B + most, masks, model.mixing)
        cut = cut_batch(*about, linear_skip=model.linear_skip, asked_A=asked)
        found = run_network(model, cut.inputs, rows)
        window_B1 = np.arange(len(context_B))[:, None]
        ahead_BS = context_B[:, None] + np.arange(steps)
        for part, found_BLV in zip(out, found, strict=True):
            part[own] = found_BLV[window_B1, ahead_BS]
    location, scale, base, *middles = out
    scale, tail = model.noise.ahead(scale, kept, model.skip.horizons)
    return Located(location, scale, base, tail, *middles)


def _asked(columns: int, kept: Ints | None) -> tuple[Ints, Ints | None]:
    """Return the numbers of the columns that are kept, and the same if they are not all."""
    every = np.arange(columns)
    kept = every if kept is None else kept
    return kept, None if np.array_equal(kept, every) else kept


@torch.no_grad()
def ready_rows(model: TrainedModel, asked_A: Ints | None = None) -> list[Rows]:
    """Return the embeddings for `run_network`, of which batch after batch makes use."""
    model.network.eval()
    return model.network.rows(None if asked_A is None else torch.from_numpy(asked_A))


@torch.no_grad()
def run_network(model: TrainedModel, inputs: Inputs, rows: Sequence[Rows]) -> tuple[Floats, ...]:
    """Return location, scale as the network gives it, skip, median and the skip's of one batch.

    rows : of the columns that the inputs ask for
    """
    location, scale, middle = model.network(inputs, rows)
    base_BLV = inputs.base_BLV
    if inputs.asked_A is not None:
        base_BLV = base_BLV[..., inputs.asked_A]
    found = (location, scale, base_BLV, middle, inputs.middle_BLV)
    return tuple(part.numpy() for part in found)


def distribution_of(
    model: TrainedModel, located: Located, kept: Ints | None = None
) -> Distribution:
    """Return the distributions of some columns (None: all), in the columns' own units."""
    kept = np.arange(len(model.columns.names)) if kept is None else kept
    scaler, counts_V = model.scaler.take(kept), model.columns.counts[kept]
    told = Told(
        location_to_values(located.location, scaler, counts_V),
        np.where(counts_V, located.scale, np.maximum(located.scale, LEAST_SCALE) * scaler.sd_V),
        located.tail,
    )
    heads = model.network.config.heads
    return Distribution.of(told, [heads[v] for v in kept], model.columns.take(kept))


def _batches(size: int, model: TrainedModel) -> Iterator[slice]:
    batch = windows_at_once(BATCH, model.window, len(model.columns.names), AT_ONCE)
    for at in range(0, size, batch):
        yield slice(at, at + batch)
