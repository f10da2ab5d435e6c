"""Windows as the network reads them: values, masks and linear predictions, cut from a session."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tasks.lnm.data.masks import Masks, Mode
from tasks.lnm.data.recording import Bools, Columns, Floats, Ints
from tasks.lnm.data.runs import Runs
from tasks.lnm.linear.skip import Skip, TwoSided, hold_last, interpolate_horizons
from tasks.lnm.network.model import Inputs

ROWS = 512
MOST_KEPT = 250_000_000
"""Values of predictions that are kept (1 GB); beyond, each batch computes its own."""
MOST_VALUES = 16_000_000
"""Values of the windows that are cut at once, of which there are ten copies or more."""
SMALLEST_SPREAD = 1e-2
"""In standard deviations of the training part."""

TWO_SIDED: tuple[Mode, ...] = ("decode", "encode", "impute", "stream", "region")


@dataclass(frozen=True)
class TaskWeights:
    """A factor for each column in each task that has a linear prediction.

    two_sided : (column,) by task
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

    gate : times the network's output gives what is added to the skip's prediction
    spread : times the network's scale gives the standard deviation
    middle_HV : (horizon, column) times the network's median gives what is added to the skip's
    """

    gate: TaskWeights
    spread: TaskWeights
    middle_HV: Floats


@dataclass(frozen=True)
class Material:
    """A session ready for cutting.

    z_TV : z-scores, NaN where not valid
    base : by two-sided task (time, column) what the linear maps predict, as locations; computed
        when asked for where they are many
    features_TF, last_TV : what a linear forecast at each sample starts from
    fold_T : training fold whose linear fit must not be used at a sample, -1 for the whole fit
    ahead : forecasts that training asks for again and again; None where they are not kept
    """

    z_TV: Floats
    base: Mapping[Mode, Floats | TwoSided]
    features_TF: Floats
    last_TV: Floats
    fold_T: Ints
    skip: Skip
    counts_V: Bools
    rate_hz: float
    ahead: "Ahead | None" = None

    @cached_property
    def filled(self) -> Floats:
        """(time, column) z-scores, 0 where not valid."""
        return self.z_TV if self.whole else np.nan_to_num(self.z_TV)

    @cached_property
    def whole(self) -> bool:
        """Whether all is valid."""
        return bool(self.valid.all())

    @cached_property
    def valid(self) -> Bools:
        """(time, column) true where valid."""
        return np.isfinite(self.z_TV)

    def forecast_base(self, origin_B: Ints) -> tuple[Floats, Floats]:
        """Return (window, horizon, column) locations and medians from the samples `origin_B`."""
        if self.ahead is not None and (self.ahead.row_T[origin_B] >= 0).all():
            rows = self.ahead.row_T[origin_B]
            return self.ahead.location_RHV[rows], self.ahead.middle_RHV[rows]
        return self.skip.forecast(
            self.features_TF[origin_B], self.last_TV[origin_B], self.fold_T[origin_B]
        )

    def keep_forecasts(self, origin_R: Ints) -> "Material":
        """Return the material with the forecasts from some samples computed once and for all."""
        shape = (len(origin_R), len(self.skip.horizons), self.z_TV.shape[1])
        if 2 * math.prod(shape) > MOST_KEPT:
            return self
        location, middle = np.empty(shape, np.float32), np.empty(shape, np.float32)
        for at in range(0, len(origin_R), ROWS):
            own = slice(at, at + ROWS)
            location[own], middle[own] = self.forecast_base(origin_R[own])
        row_T = np.full(len(self.z_TV), -1, np.int64)
        row_T[origin_R] = np.arange(len(origin_R))
        return replace(self, ahead=Ahead(row_T, location, middle))


@dataclass(frozen=True)
class Ahead:
    """The skip's forecasts from some samples, (row, horizon, column); row -1 for other samples."""

    row_T: Ints
    location_RHV: Floats
    middle_RHV: Floats


def prepare_material(
    z_TV: Floats,
    runs: Runs,
    skip: Skip,
    columns: Columns,
    rate_hz: float,
    fold_T: Ints | None = None,
) -> Material:
    """Compute every prediction of the skip; nothing reaches across the ends of a run."""
    fold_T = np.full(len(z_TV), -1, np.int64) if fold_T is None else fold_T
    base: dict[Mode, Floats | TwoSided] = {}
    # What decoding and encoding ask for has no column in common: one array is enough.
    for together in (TWO_SIDED[:2], *((task,) for task in TWO_SIDED[2:])):
        if any(skip.has(task) for task in together):
            located = skip.locate_all(together, z_TV, runs, fold_T)
            base |= dict.fromkeys(together, located if z_TV.size > MOST_KEPT else located[:])
    features_TF = skip.causal_features(z_TV, runs)
    last_TV = hold_last(z_TV, runs, columns)
    return Material(z_TV, base, features_TF, last_TV, fold_T, skip, columns.counts, rate_hz)


def windows_at_once(most: int, window: int, columns: int) -> int:
    """Return how many windows to cut at once: `most`, or as many as memory is for."""
    return max(1, min(most, MOST_VALUES // (window * columns)))


class Cut(NamedTuple):
    """A batch of windows with its targets.

    inputs : for the network
    z_BLV : z-scores, 0 where not valid
    asked_BLV : true where a valid value is hidden, and so to be predicted
    weight_BLV : what an error counts: one over the variance that the skip leaves
    mode_B : what each window is asked
    """

    inputs: Inputs
    z_BLV: Tensor
    asked_BLV: Tensor
    weight_BLV: Tensor
    mode_B: tuple[Mode, ...]


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
    inside_BL = offset_L < length_B[:, None]
    valid_BLV = inside_BL[..., None]
    if not material.whole:
        valid_BLV = material.valid[index_BL] & valid_BLV
    asked_BLV = valid_BLV & ~masks.visible_BLV
    if linear_skip:
        parts = _skip_parts(material, start_B, masks, mixing, index_BL)
    else:
        parts = _empty_parts(masks.visible_BLV.shape)
    # Beyond the farthest horizon there is no linear forecast, and none is asked of the network.
    for b in np.flatnonzero(np.array(masks.mode_B) == "forecast"):
        asked_BLV[b, masks.known_B[b] + material.skip.horizons[-1] :] = False
    seen_BLV = masks.visible_BLV if seen_BLV is None else seen_BLV
    time_BL = np.broadcast_to(offset_L / material.rate_hz, (batch, window)).astype(np.float32)
    z_filled_BLV = torch.from_numpy(material.filled[index_BL])
    seen = torch.from_numpy(seen_BLV & valid_BLV)
    of_skip = (torch.from_numpy(part) for part in parts)
    clock = (torch.from_numpy(time_BL), torch.from_numpy(inside_BL))
    inputs = Inputs._make((z_filled_BLV, seen, *of_skip, *clock))
    # The floor: a column that does not move in training is predicted without any error.
    weight_BLV = inputs.spread_BLV.clamp_min(SMALLEST_SPREAD).square_().reciprocal_()
    return Cut(inputs, z_filled_BLV, torch.from_numpy(asked_BLV), weight_BLV, masks.mode_B)


class _Parts(NamedTuple):
    """What the skip predicts of hidden values; see model.Inputs."""

    base_BLV: Floats
    given_BLV: Bools
    gate_BLV: Floats
    spread_BLV: Floats
    middle_BLV: Floats
    middle_gate_BLV: Floats


def _empty_parts(shape: tuple[int, ...], *, alike: bool = False) -> _Parts:
    """Return the parts of windows that the skip has nothing to say of.

    alike : gate and spread are, and stay, the same array
    """
    base, middle = (np.zeros(shape, np.float32) for _ in range(2))
    gate, spread, middle_gate = (np.ones(shape, np.float32) for _ in range(3))
    return _Parts(base, np.zeros(shape, bool), gate, gate if alike else spread, middle, middle_gate)


def _distinct(parts: _Parts, mixing: Mixing) -> list[tuple[Floats, TaskWeights]]:
    """Return gate and spread, or the one array that is both, with the weights that go into it."""
    pairs = [(parts.gate_BLV, mixing.gate), (parts.spread_BLV, mixing.spread)]
    return pairs[: 1 if mixing.gate is mixing.spread else 2]


def _skip_parts(
    material: Material, start_B: Ints, masks: Masks, mixing: Mixing, index_BL: Ints
) -> _Parts:
    """Return the skip's prediction of what is hidden, where there is one, its gates and spread."""
    parts = _empty_parts(masks.visible_BLV.shape, alike=mixing.gate is mixing.spread)
    modes = np.array(masks.mode_B)
    for task, base_TV in material.base.items():
        own = np.flatnonzero(modes == task)
        # What such a task hides, it hides throughout a window.
        hidden_B1V = ~masks.visible_BLV[own, :1]
        parts.base_BLV[own] = base_TV[index_BL[own]] * hidden_B1V
        for part, weights in _distinct(parts, mixing):
            part[own] = np.where(hidden_B1V, weights.two_sided[task], np.float32(1))
        parts.given_BLV[own] = hidden_B1V
    own = np.flatnonzero(modes == "forecast")
    if len(own):
        _lay_forecasts(parts, material, own, start_B[own], masks.known_B[own], mixing)
    return parts


def _lay_forecasts(
    parts: _Parts, material: Material, own: Ints, start_B: Ints, known_B: Ints, mixing: Mixing
) -> None:
    """Lay the skip's forecasts into the windows `own`, each behind what it may see."""
    most, window = material.skip.horizons[-1], parts.base_BLV.shape[1]
    fill_SH = interpolate_horizons(material.skip.horizons, most)
    origins = material.forecast_base(start_B + known_B - 1)
    base_BSV, middle_BSV = (np.einsum("sh,bhv->bsv", fill_SH, part) for part in origins)
    middle_SV = fill_SH @ mixing.middle_HV
    laid = [(part, fill_SH @ weights.forecast_HV) for part, weights in _distinct(parts, mixing)]
    for at, (b, known) in enumerate(zip(own, known_B, strict=True)):
        ahead = slice(known, min(known + most, window))
        steps = ahead.stop - known
        parts.base_BLV[b, ahead] = base_BSV[at, :steps]
        parts.middle_BLV[b, ahead] = middle_BSV[at, :steps]
        for part, weight_SV in laid:
            part[b, ahead] = weight_SV[:steps]
        parts.middle_gate_BLV[b, ahead] = middle_SV[:steps]
        parts.given_BLV[b, ahead] = True
