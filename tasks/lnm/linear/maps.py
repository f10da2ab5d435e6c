"""What the skip is made of: for each task a map, and for each horizon a blend of members."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tasks.lnm.data.recording import COLUMNS, Bools, Floats, Ints
from tasks.lnm.linear.members import Library, Member, Neighbours, View

NEAREST = 64
"""Rows of the library that are searched for."""


@dataclass(frozen=True)
class Blend:
    """A weighted sum of members' answers, the weights of each output its own.

    mean, median : (output,) weights by member, for locations and for medians; they sum to 1
    """

    members: Mapping[str, Member]
    mean: Mapping[str, Floats]
    median: Mapping[str, Floats]

    def locate(self, view: View) -> Floats:
        """Return (row, output) means as the heads give them."""
        parts = [weight_O * self.members[n].locate(view) for n, weight_O in self.mean.items()]
        return np.asarray(sum(parts), np.float32)

    def middle(self, view: View) -> Floats:
        """Return (row, output) medians as z-scores."""
        parts = [weight_O * self.members[n].middle(view) for n, weight_O in self.median.items()]
        return np.asarray(sum(parts), np.float32)

    def searches(self) -> bool:
        """Tell whether a member asks for neighbours."""
        return any(isinstance(member, Neighbours) for member in self.members.values())


@dataclass(frozen=True)
class SkipMap:
    """From smoothed input columns to output columns.

    inputs, outputs : column numbers
    axes_IR : principal axes that the inputs are reduced to; None where there are few inputs
    library : the training rows that neighbours are searched among; None where none are
    blends : one, or one for each forecast horizon
    """

    inputs: Ints
    outputs: Ints
    axes_IR: Floats | None
    library: Library | None
    blends: tuple[Blend, ...]

    def reduce(self, z_TV: Floats) -> Floats:
        """Return this map's inputs, or their principal components."""
        return reduce_inputs(z_TV, self.inputs, self.axes_IR)

    def view(self, features_TF: Floats, last_TO: Floats | None, fold_T: Ints | None) -> View:
        """Return what the members answer from; neighbours are searched for once."""
        near_TK = None
        if self.library is not None and any(blend.searches() for blend in self.blends):
            near_TK = self.library.nearest(features_TF, fold_T, NEAREST)
        return View(features_TF, near_TK, last_TO, fold_T)

    def locate(self, view: View) -> Floats:
        """Return (time, blend, output) locations."""
        return np.stack([blend.locate(view) for blend in self.blends], axis=1)


@dataclass(frozen=True)
class TwoSided:
    """Predictions of two-sided tasks, computed for the samples that are asked for.

    features : (time, feature) of each map
    shape : samples, and columns of the session
    """

    maps: Sequence[SkipMap]
    features: Sequence[Floats]
    fold_T: Ints | None
    shape: tuple[int, ...]

    def __getitem__(self, at: slice | Ints | Bools) -> Floats:
        """Return (..., column) locations of some samples; 0 in columns that are not predicted."""
        index = np.arange(self.shape[0])[at]
        out_TV = np.zeros((index.size, self.shape[1]), np.float32)
        for own, features_TF in zip(self.maps, self.features, strict=True):
            self._lay(out_TV, own, features_TF, index.ravel())
        return out_TV.reshape(*index.shape, self.shape[1])

    def hidden(self, index_BL: Ints, hidden_BV: Bools) -> Floats:
        """Return (window, sample, column) locations of what each window hides; 0 elsewhere.

        Only maps to columns that are hidden are asked.
        """
        out_BLV = np.zeros((*index_BL.shape, self.shape[1]), np.float32)
        for own, features_TF in zip(self.maps, self.features, strict=True):
            for b in np.flatnonzero(hidden_BV[:, own.outputs].any(1)):
                self._lay(out_BLV[b], own, features_TF, index_BL[b])
                if not hidden_BV[b, own.outputs].all():
                    out_BLV[b] *= hidden_BV[b]
        return out_BLV

    def _lay(self, out_TV: Floats, own: SkipMap, features_TF: Floats, rows: Ints) -> None:
        fold_T = None if self.fold_T is None else self.fold_T[rows]
        view = own.view(features_TF[rows], None, fold_T)
        out_TV[:, own.outputs] = own.blends[0].locate(view)


def reduce_inputs(z_TV: Floats, inputs: Ints, axes_IR: Floats | None) -> Floats:
    """Return the input columns, or their values along axes.

    A missing unit counts as its mean; a sample without any unit stays missing.
    """
    if axes_IR is None:
        return z_TV[:, inputs]
    reduced_TR = np.zeros((len(z_TV), axes_IR.shape[1]), np.float32)
    known_T = np.zeros(len(z_TV), bool)
    for at in range(0, len(inputs), COLUMNS):
        own = slice(at, at + COLUMNS)
        z_TI = z_TV[:, inputs[own]]
        finite_TI = np.isfinite(z_TI)
        known_T |= finite_TI.any(1)
        reduced_TR += (z_TI if finite_TI.all() else np.nan_to_num(z_TI)) @ axes_IR[own]
    reduced_TR[~known_T] = np.nan
    return reduced_TR
