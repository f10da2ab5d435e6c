"""What is hidden in training: patches, units, a modality, the future, everything."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tasks.lnm.data.recording import Bools, Columns, Ints

Mode = Literal[
    "patches", "units", "impute", "stream", "region", "decode", "encode", "forecast", "generate"
]

TWO_SIDED: tuple[Mode, ...] = ("decode", "encode", "impute", "stream", "region")
"""What is hidden throughout a window, and has linear maps that look both ways."""
TOGETHER: tuple[Mode, ...] = ("impute", "stream", "region")
Together = Mapping[Mode, Ints]
"""By each of them: (column,) the group that a column is hidden with, -1 if it never is."""

CURRICULUM: dict[Mode, tuple[float, float]] = {
    "patches": (0.30, 0.05),
    "units": (0.20, 0.05),
    "impute": (0.15, 0.20),
    "stream": (0.10, 0.15),
    "region": (0.10, 0.15),
    "decode": (0.10, 0.30),
    "encode": (0.05, 0.10),
    "forecast": (0.15, 0.25),
    "generate": (0.05, 0.05),
}
"""Share of a batch's windows in each mode, at the start and from `ANNEALED` of the steps on."""
ANNEALED = 0.3
HIDDEN_PATCHES = 0.3
HIDDEN_UNITS = (0.1, 0.6)
THINNED = 0.3


@dataclass(frozen=True)
class Masks:
    """The masks of one batch.

    visible_BLV : what the model may see
    mode_B : the mode of each window; which linear prediction goes with it
    group_B : the group of columns hidden by "impute", "stream", "region", -1 in other modes
    known_B : samples at the start of the window that a forecast may see, else the whole window
    """

    visible_BLV: Bools
    mode_B: tuple[Mode, ...]
    group_B: Ints
    known_B: Ints

    def take(self, own: slice) -> "Masks":
        """Return the masks of some windows."""
        return Masks(self.visible_BLV[own], self.mode_B[own], self.group_B[own], self.known_B[own])


def draw_modes(
    rng: np.random.Generator, progress: float, neural_V: Bools, together: Together, batch: int
) -> tuple[Mode, ...]:
    """Draw a mode for each window; modes that the session cannot have are left out."""
    possible = possible_modes(neural_V, together)
    along = min(1.0, progress / ANNEALED)
    shares = np.array([(1 - along) * CURRICULUM[m][0] + along * CURRICULUM[m][1] for m in possible])
    drawn = rng.choice(len(possible), size=batch, p=shares / shares.sum())
    return tuple(possible[i] for i in drawn)


def possible_modes(neural_V: Bools, together: Together) -> list[Mode]:
    """Return the modes that a session with these columns can be trained in."""
    both = bool(neural_V.any() and not neural_V.all())
    modes: list[Mode] = ["patches", "forecast", "generate"]
    if together["impute"].max(initial=-1) > 0:
        modes += ["units", "impute"]
    modes += [mode for mode in TOGETHER[1:] if together[mode].max(initial=-1) >= 0]
    if both:
        modes += ["decode", "encode"]
    return modes


def draw_masks(
    rng: np.random.Generator,
    modes: tuple[Mode, ...],
    window: int,
    patch: int,
    columns: Columns,
    together: Together,
) -> Masks:
    """Hide what each window's mode hides; slots of a channel are hidden together."""
    batch, neural_V, first_V = len(modes), columns.neural, columns.first
    visible_BLV = np.ones((batch, window, len(first_V)), bool)
    group_B = np.full(batch, -1, np.int64)
    known_B = np.full(batch, window, np.int64)
    for b, mode in enumerate(modes):
        if mode == "patches":
            visible_BLV[b] = _hide_patches(rng, window, patch, len(first_V))[:, first_V]
        elif mode == "units":
            hidden_V = neural_V & (rng.random(len(neural_V)) < rng.uniform(*HIDDEN_UNITS))
            visible_BLV[b, :, hidden_V] = False
        elif mode in together:
            group_V = together[mode]
            group_B[b] = rng.integers(group_V.max() + 1)
            visible_BLV[b, :, group_V == group_B[b]] = False
        elif mode in ("decode", "encode"):
            visible_BLV[b, :, neural_V == (mode == "encode")] = False
        elif mode == "forecast":
            known_B[b] = rng.integers(window // 4, window)
            visible_BLV[b, known_B[b] :] = False
        else:
            visible_BLV[b] = False
    return Masks(visible_BLV, modes, group_B, known_B)


def thin_columns(rng: np.random.Generator, masks: Masks, first_V: Ints) -> Bools:
    """Return the visible values less a random share of channels in half of the windows.

    What is thinned out is not seen, but nor is it asked for.
    """
    batch, _, columns = masks.visible_BLV.shape
    thinned_B = rng.random(batch) < 0.5
    share_B = np.where(thinned_B, rng.uniform(0, THINNED, batch), 0.0)
    kept_BV = rng.random((batch, columns)) >= share_B[:, None]
    return np.asarray(masks.visible_BLV & kept_BV[:, None, first_V])


def _hide_patches(rng: np.random.Generator, window: int, patch: int, columns: int) -> Bools:
    """Hide random patches of random columns, and half of the time one stretch of all of them."""
    visible_PV = rng.random((window // patch, columns)) >= HIDDEN_PATCHES
    visible_LV = visible_PV.repeat(patch, axis=0)
    if rng.random() < 0.5:
        length = int(rng.integers(1, window // 2 + 1))
        start = int(rng.integers(0, window - length + 1))
        visible_LV[start : start + length] = False
    return visible_LV
