"""Windows as the network reads them: values, masks and linear predictions, cut from a session."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tasks.lnm.data.masks import TWO_SIDED, Masks, Mode
from tasks.lnm.data.recording import Bools, Floats, Ints
from tasks.lnm.linear.maps import TwoSided
from tasks.lnm.linear.skip import interpolate_horizons
from tasks.lnm.network.material import Material
from tasks.lnm.network.model import Inputs

MOST_VALUES = 16_000_000
"""Values of the windows of a batch at most."""
AT_ONCE = 4_000_000
"""Values of the windows that are cut at once, of which there are ten copies or more. Of arrays of
more than 32 MB the allocator would ask the system for new pages every time."""
SMALLEST_SPREAD = 1e-2
"""In standard deviations of the training part."""


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


def windows_at_once(most: int, window: int, columns: int, values: int) -> int:
    """Return how many windows go together: `most`, or as many as have so many values."""
    return max(1, min(most, values // (window * columns)))


class Cut(NamedTuple):
    """A batch of windows with its targets, of the columns that are asked for.

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
    asked_A: Ints | None = None,
) -> Cut:
    """Cut windows and hide what the masks hide.

    Parameters
    ----------
    start_B, length_B : first sample and number of samples; the rest of a window is padding
    seen_BLV : what is shown, if less than what is not asked for
    asked_A : numbers of the columns that are asked for; None for all
    """
    batch, window, _ = masks.visible_BLV.shape
    own = slice(None) if asked_A is None else asked_A
    offset_L = np.arange(window)
    index_BL = np.minimum(start_B[:, None] + offset_L, len(material.z_TV) - 1)
    inside_BL = offset_L < length_B[:, None]
    valid_BLV = inside_BL[..., None]
    if not material.whole:
        valid_BLV = material.valid[index_BL] & valid_BLV
    seen_BLV = masks.visible_BLV if seen_BLV is None else seen_BLV
    z_filled_BLV, seen = (
        torch.from_numpy(a) for a in (material.filled[index_BL], seen_BLV & valid_BLV)
    )
    asked_BLV = (valid_BLV & ~masks.visible_BLV)[..., own]
    if linear_skip:
        parts = _skip_parts(material, start_B, masks, mixing, index_BL, own)
    else:
        parts = _Parts.empty(asked_BLV.shape, masks.visible_BLV.shape)
    # Beyond the farthest horizon there is no linear forecast, and none is asked of the network.
    for b in np.flatnonzero(np.array(masks.mode_B) == "forecast"):
        asked_BLV[b, masks.known_B[b] + material.skip.horizons[-1] :] = False
    time_BL = np.broadcast_to(offset_L / material.rate_hz, (batch, window)).astype(np.float32)
    of_skip = (torch.from_numpy(part) for part in parts)
    clock = (torch.from_numpy(time_BL), torch.from_numpy(inside_BL))
    asked = None if asked_A is None else torch.from_numpy(asked_A)
    inputs = Inputs._make([z_filled_BLV, seen, *of_skip, *clock, asked])
    # The floor: a column that does not move in training is predicted without any error.
    weight_BLV = inputs.spread_BLV.clamp_min(SMALLEST_SPREAD).square_().reciprocal_()
    z_BLV = z_filled_BLV if asked is None else z_filled_BLV[..., asked]
    return Cut(inputs, z_BLV, torch.from_numpy(asked_BLV), weight_BLV, masks.mode_B)


class _Parts(NamedTuple):
    """What the skip predicts of hidden values; see model.Inputs."""

    base_BLV: Floats
    given_BLV: Bools
    gate_BLV: Floats
    spread_BLV: Floats
    middle_BLV: Floats
    middle_gate_BLV: Floats

    @classmethod
    def empty(
        cls, asked: tuple[int, ...], shape: tuple[int, ...], *, alike: bool = False
    ) -> "_Parts":
        """Return the parts of windows that the skip has nothing to say of.

        asked, shape : of what is asked for, and of all
        alike : gate and spread are, and stay, the same array
        """
        base, middle = (np.zeros(size, np.float32) for size in (shape, asked))
        gate, middle_gate = (np.ones(asked, np.float32) for _ in range(2))
        spread = gate if alike else np.ones(asked, np.float32)
        return cls(base, np.zeros(shape, bool), gate, spread, middle, middle_gate)


def _distinct(parts: _Parts, mixing: Mixing) -> list[tuple[Floats, TaskWeights]]:
    """Return gate and spread, or the one array that is both, with the weights that go into it."""
    pairs = [(parts.gate_BLV, mixing.gate), (parts.spread_BLV, mixing.spread)]
    return pairs[: 1 if mixing.gate is mixing.spread else 2]


def _skip_parts(
    material: Material,
    start_B: Ints,
    masks: Masks,
    mixing: Mixing,
    index_BL: Ints,
    asked: slice | Ints,
) -> _Parts:
    """Return the skip's prediction of what is hidden, where there is one, its gates and spread."""
    shape = masks.visible_BLV.shape
    width = len(np.arange(shape[2])[asked])
    parts = _Parts.empty((*shape[:2], width), shape, alike=mixing.gate is mixing.spread)
    modes = np.array(masks.mode_B)
    for task, base_TV in material.base.items():
        own = np.flatnonzero(modes == task)
        if not len(own):
            continue
        # What such a task hides, it hides throughout a window.
        hidden_B1V = ~masks.visible_BLV[own, :1]
        if isinstance(base_TV, TwoSided):
            parts.base_BLV[own] = base_TV.hidden(index_BL[own], hidden_B1V[:, 0])
        else:
            parts.base_BLV[own] = base_TV[index_BL[own]] * hidden_B1V
        for part, weights in _distinct(parts, mixing):
            asked_V = weights.two_sided[task][asked]
            part[own] = np.where(hidden_B1V[..., asked], asked_V, np.float32(1))
        parts.given_BLV[own] = hidden_B1V
    own = np.flatnonzero(modes == "forecast")
    if len(own):
        _lay_forecasts(parts, material, own, start_B[own], masks.known_B[own], mixing, asked)
    return parts


def _lay_forecasts(
    parts: _Parts,
    material: Material,
    own: Ints,
    start_B: Ints,
    known_B: Ints,
    mixing: Mixing,
    asked: slice | Ints,
) -> None:
    """Lay the skip's forecasts into the windows `own`, each behind what it may see."""
    most, window = material.skip.horizons[-1], parts.base_BLV.shape[1]
    fill_SH = interpolate_horizons(material.skip.horizons, most)
    base_BHV, middle_BHV = material.forecast_base(start_B + known_B - 1)
    base_BSV, middle_BSV = fill_SH @ base_BHV, fill_SH @ middle_BHV[..., asked]
    middle_SV = fill_SH @ mixing.middle_HV[:, asked]
    laid = [
        (part, fill_SH @ weights.forecast_HV[:, asked])
        for part, weights in _distinct(parts, mixing)
    ]
    for at, (b, known) in enumerate(zip(own, known_B, strict=True)):
        ahead = slice(known, min(known + most, window))
        steps = ahead.stop - known
        parts.base_BLV[b, ahead] = base_BSV[at, :steps]
        parts.middle_BLV[b, ahead] = middle_BSV[at, :steps]
        for part, weight_SV in laid:
            part[b, ahead] = weight_SV[:steps]
        parts.middle_gate_BLV[b, ahead] = middle_SV[:steps]
        parts.given_BLV[b, ahead] = True
