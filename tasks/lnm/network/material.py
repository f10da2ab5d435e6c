"""A session ready for cutting: its z-scores and what the skip predicts of them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tasks.lnm.data.masks import TWO_SIDED, Mode
from tasks.lnm.data.recording import Bools, Columns, Floats, Ints
from tasks.lnm.data.runs import Runs
from tasks.lnm.linear.maps import TwoSided
from tasks.lnm.linear.skip import Skip, hold_last

ROWS = 512
MOST_KEPT = 250_000_000
"""Values of predictions that are kept (1 GB); beyond, each batch computes its own."""


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
