"""Fitted predictors that need no network: baselines, and what the model's skip is made of."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from tasks.lnm.data.locations import LOWEST_LOG, Functional, as_location, location_to_middle
from tasks.lnm.data.recording import Bools, Floats, Ints, Scaler
from tasks.lnm.linear.lift import Lift
from tasks.lnm.linear.ridge import Ridge

ROWS = 256
MOST_GATHERED = 2_000_000
"""Values of neighbours in memory at once."""


@dataclass(frozen=True)
class View:
    """What a member answers some rows from.

    features_TF : smoothed inputs
    near_TK : numbers of the nearest rows of the library; None where no library is used
    last_TO : z-scores of the last known values; None where the question is not a forecast
    fold_T : training fold that a row's answer must not have been fitted to; -1 or None for none
    last_TR : the last known values along the axes of a member that has some; None to compute them
    made : see `once`
    """

    features_TF: Floats
    near_TK: Ints | None
    last_TO: Floats | None
    fold_T: Ints | None = None
    last_TR: Floats | None = None
    made: dict[tuple[int, str], tuple[object, Floats]] = field(default_factory=dict, compare=False)

    def once(self, by: object, what: str, make: Callable[[], Floats]) -> Floats:
        """Return what is made of the view by something, made when it is first asked for.

        Members of several horizons share features and axes; medians start from means.
        """
        if (id(by), what) not in self.made:
            self.made[id(by), what] = (by, make())
        return self.made[id(by), what][1]


class Member(Protocol):
    """A fitted predictor."""

    def locate(self, view: View) -> Floats:
        """Return (row, output) means as the heads give them: z-scores, or log(rate / mean rate)."""
        ...

    def middle(self, view: View) -> Floats:
        """Return (row, output) medians as z-scores, of counts too."""
        ...


@dataclass(frozen=True)
class Axes:
    """Orthonormal axes of outputs that are too many to have a map each.

    anchor_R : share of the last known value along each axis that a forecast starts from
    """

    axes_RO: Floats
    anchor_R: Floats

    def lay_out(self, answer_TR: Floats, view: View) -> tuple[Floats, Floats | None]:
        """Return (row, output) answers, and what the last known values hold beside the axes."""
        if (last_TO := view.last_TO) is None:
            return answer_TR @ self.axes_RO, None
        axes_RO, last_TR = self.axes_RO, view.last_TR
        if last_TR is None:
            last_TR = view.once(axes_RO, "along", lambda: last_TO @ axes_RO.T)
        beside_TO = view.once(axes_RO, "beside", lambda: last_TO - last_TR @ axes_RO)
        return (answer_TR + last_TR * self.anchor_R) @ axes_RO, beside_TO

    def take(self, outputs: Ints) -> "Axes":
        """Return the axes of some outputs only."""
        return Axes(np.ascontiguousarray(self.axes_RO[:, outputs]), self.anchor_R)


@dataclass(frozen=True)
class Affine:
    """Affine maps of the features.

    anchor_O : share of the last known value that is added; with axes, of what it holds beside them
    shift_O : median of what the map leaves over in training, each fold by the fit without it
    log : the maps give log(rate / mean rate) and not z-scores
    point : the answer is a value, not the mean of a distribution (mean, last value)
    axes : the maps are to these; None where each output has its own
    lift : the maps are of what it makes of the features; None where they are of these
    """

    maps: Ridge
    anchor_O: Floats
    shift_O: Floats
    scaler: Scaler
    counts_O: Bools
    log: bool = False
    point: bool = False
    axes: Axes | None = None
    lift: Lift | None = None

    def take(self, outputs: Ints) -> "Affine":
        """Return the maps to some outputs only."""
        return replace(
            self,
            maps=self.maps.take(outputs) if self.axes is None else self.maps,
            anchor_O=self.anchor_O[outputs],
            shift_O=self.shift_O[outputs],
            scaler=self.scaler.take(outputs),
            counts_O=self.counts_O[outputs],
            axes=None if self.axes is None else self.axes.take(outputs),
        )

    def predict(self, view: View) -> Floats:
        """Return what the maps give."""
        last_TO = view.last_TO
        read_TF, lift = view.features_TF, self.lift
        if lift is not None:
            read_TF = view.once(lift, "lifted", lambda: lift.apply(view.features_TF))
        z = self.maps.predict(read_TF, view.fold_T)
        if self.axes is not None:
            z, last_TO = self.axes.lay_out(z, view)
        return z if last_TO is None else z + last_TO * self.anchor_O

    def locate(self, view: View) -> Floats:
        """Return (row, output) means as the heads give them."""
        return view.once(self, "located", lambda: self._locate(view))

    def _locate(self, view: View) -> Floats:
        counts_O = np.zeros_like(self.counts_O) if self.log else self.counts_O
        located = as_location(self.predict(view), self.scaler, counts_O)
        if not self.counts_O.any():
            return located
        # An exponential beyond what was fitted knows no end: no rate above the greatest count seen.
        mean_O = np.maximum(self.scaler.mean_V, 1e-6)
        most_O = np.log(np.maximum(self.scaler.high_V, mean_O) / mean_O)
        capped = np.clip(located, -LOWEST_LOG - 10, most_O)
        return np.where(self.counts_O, capped, located).astype(np.float32)

    def middle(self, view: View) -> Floats:
        """Return (row, output) medians as z-scores."""
        if self.point:
            return np.asarray(self.predict(view) + self.shift_O, np.float32)
        counts_O = self.counts_O
        middle = location_to_middle(self.locate(view), self.scaler, counts_O)
        # A Poisson distribution has its own median; of the others the residuals are the shape.
        return np.asarray(middle + np.where(counts_O, 0.0, self.shift_O), np.float32)


@dataclass(frozen=True)
class Library:
    """Training rows to be searched for those most like a new one.

    centre_F, turn_FR : features less the centre, turned, are the coordinates of the search: the
        leading principal components of standardised features
    known_XR : coordinates of the rows
    fold_X : their training folds
    """

    centre_F: Floats
    turn_FR: Floats
    known_XR: Floats
    fold_X: Ints

    def nearest(self, features_TF: Floats, fold_T: Ints | None, count: int) -> Ints:
        """Return (row, neighbour) numbers of the nearest library rows, nearest first.

        Rows of the asker's own training fold are left out.
        """
        half_X = 0.5 * (self.known_XR**2).sum(1)
        # Slopes, which are the last features, are not searched by.
        features_TF = features_TF[:, : len(self.centre_F)]
        out_TK = np.empty((len(features_TF), count), np.int64)
        for at in range(0, len(features_TF), ROWS):
            rows = slice(at, at + ROWS)
            low_BR = (features_TF[rows] - self.centre_F) @ self.turn_FR
            far_BX = half_X - low_BR @ self.known_XR.T
            if fold_T is not None:
                far_BX[(fold_T[rows, None] == self.fold_X) & (fold_T[rows, None] >= 0)] = np.inf
            found = np.argpartition(far_BX, count - 1, axis=1)[:, :count]
            order = np.take_along_axis(far_BX, found, axis=1).argsort(1)
            out_TK[rows] = np.take_along_axis(found, order, axis=1)
        return out_TK


@dataclass(frozen=True)
class Neighbours:
    """What followed, or went with, the most similar moments of training.

    target_XO, last_XO : z-scores of the library's rows; NaN where unknown
    count_O : how many neighbours each output takes
    anchor_O : 1 where changes since the last known value are averaged, 0 where values are
    """

    target_XO: Floats
    last_XO: Floats
    count_O: Ints
    anchor_O: Floats
    scaler: Scaler
    counts_O: Bools

    def locate(self, view: View) -> Floats:
        """Return (row, output) means as the heads give them."""
        return as_location(self._gather(view, "mean"), self.scaler, self.counts_O)

    def middle(self, view: View) -> Floats:
        """Return (row, output) medians as z-scores."""
        return self._gather(view, "median")

    def _gather(self, view: View, functional: Functional) -> Floats:
        if view.near_TK is None:
            raise ValueError("neighbours were not searched for")
        out_TO = np.zeros((len(view.near_TK), len(self.count_O)), np.float32)
        for count in np.unique(self.count_O):
            for anchor in (0.0, 1.0):
                own = np.flatnonzero((self.count_O == count) & (self.anchor_O == anchor))
                if not len(own):
                    continue
                near_TK = view.near_TK[:, :count]
                less_XO = self.last_XO if anchor and view.last_TO is not None else None
                found_TO = summarise_nearest(self.target_XO, less_XO, near_TK, own, functional)
                if less_XO is not None and view.last_TO is not None:
                    found_TO += view.last_TO[:, own]
                out_TO[:, own] = found_TO
        return out_TO


def summarise_nearest(
    value_XO: Floats, less_XO: Floats | None, near_TK: Ints, outputs: Ints, functional: Functional
) -> Floats:
    """Return (row, output) means or medians of the neighbours' known values; 0 without any.

    less_XO : taken from the values first, where changes are summarised
    """
    out_TO = np.empty((len(near_TK), len(outputs)), np.float32)
    for rows, found_BKO in gather_nearest(value_XO, less_XO, near_TK, outputs):
        if functional == "mean":
            known_BKO = np.isfinite(found_BKO)
            if known_BKO.all():
                out_TO[rows] = found_BKO.sum(1) / found_BKO.shape[1]
                continue
            total_BO = np.where(known_BKO, found_BKO, np.float32(0)).sum(1)
            out_TO[rows] = total_BO / np.maximum(known_BKO.sum(1), 1)
        else:
            out_TO[rows] = median_known(found_BKO)
    return out_TO


def gather_nearest(
    value_XO: Floats, less_XO: Floats | None, near_TK: Ints, outputs: Ints
) -> Iterator[tuple[slice, Floats]]:
    """Yield (row, neighbour, output) values of some rows at a time, so that memory is bounded."""
    step = max(1, MOST_GATHERED // max(1, near_TK.shape[1] * len(outputs)))
    if less_XO is not None:
        value_XO = value_XO - less_XO
    # Whole rows are gathered ten times as fast as values one by one.
    own_XO = value_XO if len(outputs) == value_XO.shape[1] else value_XO[:, outputs]
    for at in range(0, len(near_TK), step):
        rows = slice(at, at + step)
        yield rows, own_XO[near_TK[rows]]


def median_known(found_BKO: Floats) -> Floats:
    """Return (row, output) medians over the second axis, NaN left out; 0 where all is NaN."""
    # numpy's nanmedian takes ten times as long; a sort puts NaN last, and is fastest in rows.
    known_BO = np.isfinite(found_BKO).sum(1)
    ordered_BOK = np.ascontiguousarray(found_BKO.swapaxes(1, 2))
    ordered_BOK.sort(axis=2)
    low_BO1 = np.maximum(known_BO - 1, 0)[..., None] // 2
    low_BO, high_BO = (
        np.take_along_axis(ordered_BOK, at, axis=2)[..., 0]
        for at in (low_BO1, np.minimum(known_BO[..., None] // 2, found_BKO.shape[1] - 1))
    )
    return np.where(known_BO > 0, (low_BO + high_BO) / 2, np.float32(0))
