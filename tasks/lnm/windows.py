"""Windows as the network reads them: values, masks and linear predictions, cut from a session."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tasks.lnm.linear import Runs
from tasks.lnm.masks import Masks, Mode
from tasks.lnm.model import Inputs
from tasks.lnm.recording import Bools, Columns, Floats, Ints, Scaler
from tasks.lnm.skip import (
    LinearSkip,
    as_location,
    hold_last,
    interpolate_horizons,
)

SMALLEST_SPREAD = 1e-2
"""In standard deviations of the training part."""

TWO_SIDED: tuple[Mode, ...] = ("decode", "encode", "impute")


@dataclass(frozen=True)
class TaskWeights:
    """A factor for each column in each task that has a linear prediction.

    two_sided : (column,) for decode, encode and impute
    forecast_HV : (horizon, column)
    """

    two_sided: Mapping[Mode, Floats]
    forecast_HV: Floats

    @classmethod
    def filled(cls, value: float, horizons: int, columns: int) -> "TaskWeights":
        """Return the same factor for all."""
        full = {task: np.full(columns, value, np.float32) for task in TWO_SIDED}
        return cls(full, np.full((horizons, columns), value, np.float32))


@dataclass(frozen=True)
class Mixing:
    """How network and linear prediction are put together.

    gate : times the network's output gives what is added to the linear prediction
    spread : times the network's scale gives the standard deviation
    """

    gate: TaskWeights
    spread: TaskWeights


@dataclass(frozen=True)
class Material:
    """A session ready for cutting.

    z_TV : z-scores, NaN where not valid
    base : for decode, encode and impute (time, column) what the linear maps predict, as locations
    features_TF, last_TV : what a linear forecast at each sample starts from
    fold_T : training fold whose linear fit must not be used at a sample, -1 for the whole fit
    """

    z_TV: Floats
    base: Mapping[Mode, Floats]
    features_TF: Floats
    last_TV: Floats
    fold_T: Ints
    skip: LinearSkip
    scaler: Scaler
    counts_V: Bools
    rate_hz: float

    def forecast_base(self, origin_B: Ints) -> Floats:
        """Return (window, horizon, column) linear forecasts from the samples `origin_B`."""
        z = self.skip.forecast(
            self.features_TF[origin_B], self.last_TV[origin_B], self.fold_T[origin_B]
        )
        return as_location(z, self.scaler, self.counts_V)


def prepare_material(
    z_TV: Floats,
    runs: Runs,
    skip: LinearSkip,
    scaler: Scaler,
    columns: Columns,
    rate_hz: float,
    fold_T: Ints | None = None,
) -> Material:
    """Compute every linear prediction of a session; nothing reaches across the ends of a run."""
    counts_V = columns.counts
    fold_T = np.full(len(z_TV), -1, np.int64) if fold_T is None else fold_T
    base = {
        task: skip.locate_all(task, z_TV, runs, scaler, counts_V, fold_T)
        for task in TWO_SIDED
        if skip.has(task)
    }
    features_TF = skip.causal_features(z_TV, runs)
    last_TV = hold_last(z_TV, runs)
    return Material(z_TV, base, features_TF, last_TV, fold_T, skip, scaler, counts_V, rate_hz)


class Cut(NamedTuple):
    """A batch of windows with its targets.

    inputs : for the network
    z_BLV : z-scores, 0 where not valid
    asked_BLV : true where a valid value is hidden, and so to be predicted
    weight_BLV : what an error counts: one over the variance that the linear prediction leaves
    """

    inputs: Inputs
    z_BLV: Tensor
    asked_BLV: Tensor
    weight_BLV: Tensor


def cut_batch(
    material: Material,
    start_B: Ints,
    length_B: Ints,
    masks: Masks,
    mixing: Mixing,
    *,
    linear_skip: bool = True,
    seen_BLV: Bools | None = None,
) -> Cut:
    """Cut windows and hide what the masks hide.

    Parameters
    ----------
    start_B, length_B : first sample and number of samples; the rest of a window is padding
    seen_BLV : what is shown, if less than what is not asked for
    """
    batch, window, _ = masks.visible_BLV.shape
    offset_L = np.arange(window)
    index_BL = np.minimum(start_B[:, None] + offset_L, len(material.z_TV) - 1)
    z_BLV = material.z_TV[index_BL]
    inside_BL = offset_L < length_B[:, None]
    valid_BLV = np.isfinite(z_BLV) & inside_BL[..., None]
    asked_BLV = valid_BLV & ~masks.visible_BLV
    parts = _linear_parts(material, start_B, masks, mixing, index_BL)
    base_BLV, given_BLV, gate_BLV, spread_BLV = parts
    if not linear_skip:
        base_BLV[:], given_BLV[:], gate_BLV[:], spread_BLV[:] = 0.0, False, 1.0, 1.0
    # Beyond the farthest horizon there is no linear forecast, and none is asked of the network.
    for b in np.flatnonzero(np.array(masks.mode_B) == "forecast"):
        asked_BLV[b, masks.known_B[b] + material.skip.horizons[-1] :] = False
    seen_BLV = masks.visible_BLV if seen_BLV is None else seen_BLV
    time_BL = np.broadcast_to(offset_L / material.rate_hz, (batch, window)).astype(np.float32)
    z_filled_BLV = torch.from_numpy(np.nan_to_num(z_BLV))
    inputs = Inputs(
        z_filled_BLV,
        torch.from_numpy(seen_BLV & valid_BLV),
        torch.from_numpy(base_BLV),
        torch.from_numpy(given_BLV),
        torch.from_numpy(gate_BLV),
        torch.from_numpy(spread_BLV),
        torch.from_numpy(time_BL),
        torch.from_numpy(inside_BL),
    )
    # The floor: a column that does not move in training is predicted without any error.
    weight_BLV = torch.from_numpy(1 / np.maximum(spread_BLV, SMALLEST_SPREAD) ** 2)
    return Cut(inputs, z_filled_BLV, torch.from_numpy(asked_BLV), weight_BLV)


def _linear_parts(
    material: Material, start_B: Ints, masks: Masks, mixing: Mixing, index_BL: Ints
) -> tuple[Floats, Bools, Floats, Floats]:
    """Return the linear prediction of what is hidden, where there is one, its gate and spread."""
    shape = masks.visible_BLV.shape
    base_BLV, given_BLV = np.zeros(shape, np.float32), np.zeros(shape, bool)
    gate_BLV, spread_BLV = np.ones(shape, np.float32), np.ones(shape, np.float32)
    modes = np.array(masks.mode_B)
    for task, base_TV in material.base.items():
        own = np.flatnonzero(modes == task)
        hidden = ~masks.visible_BLV[own]
        base_BLV[own] = np.where(hidden, base_TV[index_BL[own]], 0)
        gate_BLV[own] = np.where(hidden, mixing.gate.two_sided[task], 1)
        spread_BLV[own] = np.where(hidden, mixing.spread.two_sided[task], 1)
        given_BLV[own] = hidden
    own = np.flatnonzero(modes == "forecast")
    if len(own):
        most = material.skip.horizons[-1]
        fill_SH = interpolate_horizons(material.skip.horizons, most)
        known_B = masks.known_B[own]
        origins = material.forecast_base(start_B[own] + known_B - 1)
        forecast_BSV = np.einsum("sh,bhv->bsv", fill_SH, origins)
        gate_SV, spread_SV = (
            fill_SH @ weights.forecast_HV for weights in (mixing.gate, mixing.spread)
        )
        for b, known, forecast_SV in zip(own, known_B, forecast_BSV, strict=True):
            ahead = slice(known, min(known + most, shape[1]))
            steps = ahead.stop - known
            base_BLV[b, ahead] = forecast_SV[:steps]
            gate_BLV[b, ahead], spread_BLV[b, ahead] = gate_SV[:steps], spread_SV[:steps]
            given_BLV[b, ahead] = True
    return base_BLV, given_BLV, gate_BLV, spread_BLV
