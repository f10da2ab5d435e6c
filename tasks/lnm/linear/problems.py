"""Every question of a session as one table: features, targets, and the parts of time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from tasks.lnm.data.grouping import hide_together
from tasks.lnm.data.recording import Bools, Columns, Floats, Ints, Scaler
from tasks.lnm.data.runs import Runs, cut_folds, find_runs
from tasks.lnm.linear.features import (
    causal_kernels,
    count_slopes,
    smooth_features,
    two_sided_features,
)
from tasks.lnm.linear.lift import Lift
from tasks.lnm.linear.maps import NEAREST, reduce_inputs
from tasks.lnm.linear.members import Library, View
from tasks.lnm.linear.reduction import MOST_CHANNELS, choose_axes
from tasks.lnm.linear.ridge import Ridge, principal_axes
from tasks.lnm.linear.skip import (
    anchor_ridge,
    context_of,
    hold_last,
    horizons_of,
    shift_back,
    two_sided_tasks,
)
from tasks.lnm.linear.wide import Wide, ask_wide, judged_columns

TRAINING_FOLDS = 5
NEIGHBOUR_AXES = 16
MOST_ROWS = 20_000
"""Training samples at most, evenly spread, that are searched for neighbours or fitted by a GLM."""
MOST_REMEMBERED = 8_000_000
"""Values of neighbours at most: of many columns fewer rows are searched."""


@dataclass(frozen=True)
class Seen:
    """What a question may be answered from; the same object for all horizons of a forecast.

    z_TI : z-scores of the inputs (their principal components where there are many)
    features_TF : the inputs smoothed at several time scales, with slopes; causal for forecasts
    fold_T : training fold 0 .. K-1; -1 outside training
    part_T : 0 train, 1 validation, 2 test, -1 none
    window : samples that an answer may reach over
    columns : how many the session has
    slopes : how many of the features, the last ones, are slopes
    behaviour : which of the inputs are channels of behaviour; none where they are axes of all
    """

    z_TI: Floats
    features_TF: Floats
    runs: Runs
    fold_T: Ints
    part_T: Ints
    window: int
    columns: int
    causal: bool
    seed: int
    slopes: int = 0
    behaviour: Ints = field(default_factory=lambda: np.zeros(0, np.int64))

    @cached_property
    def means(self) -> Floats:
        """(time, feature) without the slopes: what alike moments are alike in."""
        return self.features_TF[:, : self.features_TF.shape[1] - self.slopes]

    @cached_property
    def known(self) -> Ints:
        """Training rows that are searched for neighbours."""
        rows = np.flatnonzero(self.fold_T >= 0)
        most = min(MOST_ROWS, max(1000, MOST_REMEMBERED // self.columns))
        return rows[:: max(1, -(-len(rows) // most))]

    @cached_property
    def library(self) -> Library | None:
        """The rows `known` by the leading axes of their features; None if they are too few."""
        fold_X = self.fold_T[self.known]
        # A training row is answered from the other folds.
        most_in_a_fold = np.bincount(fold_X).max(initial=0)
        if len(fold_X) - most_in_a_fold < NEAREST:
            return None
        train_TF = self.means[self.fold_T >= 0]
        centre_F, spread_F = train_TF.mean(0), train_TF.std(0)
        scale_F = 1 / np.where(spread_F > 1e-6, spread_F, 1.0)
        rank = min(NEIGHBOUR_AXES, len(scale_F))
        scaled_TF = (train_TF - centre_F) * scale_F
        axes_FR = principal_axes(scaled_TF, rank, np.random.default_rng(self.seed))
        turn_FR = (scale_F[:, None] * axes_FR).astype(np.float32)
        known_XR = (self.means[self.known] - centre_F) @ turn_FR
        return Library(centre_F, turn_FR, known_XR, fold_X)

    @cached_property
    def lifted(self) -> tuple[Lift, Floats] | None:
        """Cosines of the behaviour that is seen, and all rows of them; None without, or of much.

        The coordinates of a channel are its value and its slope; its latest mean, without slopes.
        """
        channels = self.behaviour
        if not 0 < len(channels) <= MOST_CHANNELS:
            return None
        second = self.means.shape[1] if self.slopes else self.z_TI.shape[1]
        at_C = np.concatenate([channels, second + channels])
        rng = np.random.default_rng(self.seed)
        lift = Lift.draw(self.features_TF[self.fold_T >= 0], at_C, rng)
        return lift, lift.apply(self.features_TF).astype(np.float32)

    @cached_property
    def neighbours(self) -> Ints:
        """(time, NEAREST) library rows nearest to validation and test rows, else 0."""
        out_TK = np.zeros((len(self.features_TF), NEAREST), np.int64)
        asked = np.flatnonzero(self.part_T > 0)
        if self.library is not None:
            out_TK[asked] = self.library.nearest(self.features_TF[asked], None, NEAREST)
        return out_TK


@dataclass(frozen=True)
class Problem:
    """One question: outputs from what is seen. Truth of the test part is not in it.

    name : decode, encode, impute0 ..., stream0 ..., forecast
    horizon : samples ahead, -1 where the question is not a forecast
    axes_IR : principal axes the inputs were reduced to, None where they are few
    target_TO : z-scores, NaN where unknown and in the test part
    last_TO : z-scores of the last known values, None where the question is not a forecast
    scaler, counts_O : of the outputs
    wide : all that is asked for, where the outputs are only those of it that are judged
    """

    name: str
    horizon: int
    seen: Seen
    inputs: Ints
    outputs: Ints
    axes_IR: Floats | None
    target_TO: Floats
    last_TO: Floats | None
    scaler: Scaler
    counts_O: Bools
    wide: Wide | None = None

    @property
    def train(self) -> Bools:
        """(time,) true in training."""
        return np.asarray(self.seen.fold_T >= 0)

    @property
    def validation(self) -> Bools:
        """(time,) true in validation."""
        return np.asarray(self.seen.part_T == 1)

    def view(self, rows: Ints) -> View:
        """Return what fitted baselines answer some validation or test rows from."""
        near_TK = None if self.seen.library is None else self.seen.neighbours[rows]
        return View(self.seen.features_TF[rows], near_TK, self._last(rows))

    def crossed_view(self, rows: Ints, *, searched: bool) -> View:
        """Return what baselines answer training rows from, each by the fit without its fold."""
        seen, fold_T = self.seen, self.seen.fold_T[rows]
        features_TF = seen.features_TF[rows]
        near_TK = None
        if searched and seen.library is not None:
            near_TK = seen.library.nearest(features_TF, fold_T, NEAREST)
        return View(features_TF, near_TK, self._last(rows), fold_T)

    def _last(self, rows: Ints) -> Floats | None:
        return None if self.last_TO is None else self.last_TO[rows]

    @property
    def ridge(self) -> tuple[Ridge, Floats]:
        """Ridge and the share of the last value that it starts from (0 if not a forecast)."""
        return self._ridges[0]

    @property
    def wide_ridge(self) -> tuple[Ridge, Floats]:
        """The same of the axes of all that is asked for."""
        return self._ridges[1]

    @cached_property
    def _ridges(self) -> tuple[tuple[Ridge, Floats], ...]:
        # Fitted together: what costs most is of the features alone.
        seen, target_TO, last_TO = self.seen, self.target_TO, self.last_TO
        if self.wide is not None:
            target_TO = np.concatenate([target_TO, self.wide.target_TR], axis=1)
            if last_TO is not None and self.wide.last_TR is not None:
                last_TO = np.concatenate([last_TO, self.wide.last_TR], axis=1)
        asked = (last_TO, target_TO, seen.fold_T, self.validation)
        maps, anchor_O = anchor_ridge(seen.features_TF, *asked, seen.slopes)
        parts = np.split(np.arange(len(anchor_O)), [len(self.outputs)])
        return tuple((maps.take(own), anchor_O[own]) for own in parts)


def make_problems(
    z_TV: Floats,
    segment_T: Ints,
    part_T: Ints,
    columns: Columns,
    scaler: Scaler,
    window: int,
    seed: int,
    *,
    regions: bool = False,
) -> Iterator[Problem]:
    """Yield the questions one by one, so that the features of one task at most are in memory."""
    runs = find_runs(segment_T, part_T)
    fold_T = cut_folds(part_T, TRAINING_FOLDS)
    rng = np.random.default_rng(seed)
    known_T = (part_T == 0) | (part_T == 1)
    judged_V = judged_columns(columns)

    def look(inputs: Ints, *, causal: bool) -> tuple[Seen, Floats | None]:
        axes, behaviour = choose_axes(z_TV, inputs, columns, part_T == 0, rng)
        z_TI = reduce_inputs(z_TV, inputs, axes)
        if causal:
            features_TF = smooth_features(z_TI, runs, causal_kernels(context_of(window)))
        else:
            features_TF = two_sided_features(z_TI, runs, window)
        slopes = 0 if causal else z_TI.shape[1] * count_slopes(window)
        own = (window, z_TV.shape[1], causal, seed, slopes, behaviour)
        return Seen(z_TI, features_TF, runs, fold_T, part_T, *own), axes

    def known(own: Ints) -> Floats:
        return np.where(known_T[:, None], z_TV[:, own], np.nan)

    def about(own: Ints) -> tuple[Scaler, Bools]:
        return scaler.take(own), columns.counts[own]

    def widen(
        features_TF: Floats, last_TV: Floats | None, outputs: Ints, horizons: Sequence[int]
    ) -> Sequence[Wide | None]:
        if judged_V[outputs].all():
            return [None] * max(1, len(horizons))
        asked = (z_TV, last_TV, runs, part_T, outputs, columns, scaler)
        return ask_wide(features_TF, *asked, horizons)

    together = hide_together(columns, seed, regions=regions)
    for name, inputs, outputs in two_sided_tasks(columns.neural, together):
        seen, axes = look(inputs, causal=False)
        (wide,) = widen(seen.features_TF, None, outputs, ())
        own = outputs[judged_V[outputs]]
        yield Problem(name, -1, seen, inputs, own, axes, known(own), None, *about(own), wide)
    every, own = np.arange(z_TV.shape[1]), np.flatnonzero(judged_V)
    seen, axes = look(every, causal=True)
    last_TV = hold_last(z_TV, runs, columns)
    known_TO, last_TO, own_about = known(own), last_TV[:, own], about(own)
    horizons = horizons_of(window)
    for horizon, wide in zip(
        horizons, widen(seen.features_TF, last_TV, every, horizons), strict=True
    ):
        ahead_TO = shift_back(known_TO, runs, horizon)
        asked = (seen, every, own, axes, ahead_TO, last_TO)
        yield Problem("forecast", horizon, *asked, *own_about, wide)
