"""The closed-form part of the model: for each task what validation likes best of all baselines.

Ridge, reduced rank, Poisson regression, nearest neighbours, kernel ridge on behaviour, the last
value, the mean, or a blend of them: which, validation chooses for each target and horizon; see
rivals.py. The network adds what they leave over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from tasks.lnm.data.masks import Together
from tasks.lnm.data.recording import Bools, Columns, Floats, Ints
from tasks.lnm.data.runs import Runs
from tasks.lnm.linear.features import (
    causal_kernels,
    latest_features,
    smooth_features,
    two_sided_features,
)
from tasks.lnm.linear.maps import SkipMap, TwoSided
from tasks.lnm.linear.normal_equations import Doubles
from tasks.lnm.linear.ridge import Ridge, fit_anchored_ridge, fit_ridge

HORIZONS = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Skip:
    """The closed-form predictions of a session by task.

    Tasks are decode, encode, impute0 ..., stream0 ..., forecast.

    window : samples the maps reach over; a forecast looks back three quarters of it
    horizons : samples ahead for which there is a forecast map
    together : the columns that are imputed together, a share of the units or a whole stream
    """

    window: int
    horizons: tuple[int, ...]
    together: Together
    maps: Mapping[str, SkipMap]

    def has(self, task: str) -> bool:
        """Tell whether the session has what a task needs."""
        return any(name.startswith(task) for name in self.maps)

    def locate_all(
        self, tasks: tuple[str, ...], z_TV: Floats, runs: Runs, fold_T: Ints | None = None
    ) -> "TwoSided":
        """Predict all outputs of two-sided tasks ("impute": each unit from the others).

        Of several tasks no two may have an output in common.
        """
        maps = [own for name, own in self.maps.items() if name.startswith(tasks)]
        features = [two_sided_features(own.reduce(z_TV), runs, self.window) for own in maps]
        return TwoSided(maps, features, fold_T, z_TV.shape)

    def causal_features(self, z_TV: Floats, runs: Runs) -> Floats:
        """Return what a forecast at each sample may know: decaying means of the past."""
        kernels = causal_kernels(context_of(self.window))
        return smooth_features(self.maps["forecast"].reduce(z_TV), runs, kernels)

    def latest_features(self, recent_BLV: Floats, kernels: Sequence[Doubles]) -> Floats:
        """Return the causal features of the last sample of each of several pasts.

        recent_BLV : (course, sample, column) z-scores, at most `context_of(window)` samples
        """
        own = self.maps["forecast"]
        batch, length, _ = recent_BLV.shape
        reduced = own.reduce(recent_BLV.reshape(batch * length, -1))
        return latest_features(reduced.reshape(batch, length, -1), kernels)

    def forecast(
        self, features_TF: Floats, last_TV: Floats, fold_T: Ints | None = None
    ) -> tuple[Floats, Floats]:
        """Return (time, horizon, column) locations and medians (z-scores).

        `time` is that of the last known sample.

        last_TV : the last valid value of each column at that time
        """
        own = self.maps["forecast"]
        view = own.view(features_TF, last_TV, fold_T)
        return own.locate(view), np.stack([blend.middle(view) for blend in own.blends], axis=1)

    def forecast_means(self, features_TF: Floats, last_TV: Floats) -> Floats:
        """Return the locations of `forecast` alone; medians of neighbours take their time."""
        own = self.maps["forecast"]
        return own.locate(own.view(features_TF, last_TV, None))


def context_of(window: int) -> int:
    """Return how many samples a linear forecast looks back."""
    return 3 * window // 4


def horizons_of(window: int) -> tuple[int, ...]:
    """Return the scored horizons, in samples: powers of two up to half a window."""
    return tuple(h for h in HORIZONS if h <= window // 2)


@cache
def interpolate_horizons(horizons: tuple[int, ...], most: int) -> Floats:
    """Return (step, horizon) weights that fill steps 1 .. `most` linearly between the horizons."""
    steps = np.arange(1, most + 1)
    units = np.eye(len(horizons))
    fill_SH = np.stack([np.interp(steps, horizons, unit) for unit in units], axis=1)
    fill_SH = fill_SH.astype(np.float32)
    # One for all who ask.
    fill_SH.flags.writeable = False
    return fill_SH


def shift_back(z_TV: Floats, runs: Runs, horizon: int) -> Floats:
    """Return at each sample the value `horizon` samples later in the same run, NaN past its end."""
    out_TV = np.full(z_TV.shape, np.nan, np.float32)
    for start, stop in runs:
        if stop - start > horizon:
            out_TV[start : stop - horizon] = z_TV[start + horizon : stop]
    return out_TV


def hold_last(z_TV: Floats, runs: Runs, columns: Columns) -> Floats:
    """Return the last valid value of each column up to each sample of its run; 0 before any.

    Of a channel with several slots that of the newest. Outside of runs it has no meaning.
    """
    whole, slots = bool(np.isfinite(z_TV).all()), columns.slots
    if whole and not slots:
        return z_TV
    out_TV = np.zeros(z_TV.shape, np.float32)
    for start, stop in runs:
        z = z_TV[start:stop]
        index = np.where(np.isfinite(z), np.arange(stop - start)[:, None], -1)
        index = np.maximum.accumulate(index, axis=0)
        held = np.take_along_axis(z, np.maximum(index, 0), axis=0)
        for at_S in slots.values():
            # Of slots that are as old the last one.
            newest_T1 = len(at_S) - 1 - index[:, at_S[::-1]].argmax(1)[:, None]
            index[:, at_S] = np.take_along_axis(index[:, at_S], newest_T1, axis=1)
            held[:, at_S] = np.take_along_axis(held[:, at_S], newest_T1, axis=1)
        out_TV[start:stop] = np.where(index >= 0, held, 0)
    return out_TV


def anchor_ridge(
    features_TF: Floats,
    last_TO: Floats | None,
    target_TO: Floats,
    fold_T: Ints,
    validation: Bools,
    slopes: int = 0,
) -> tuple[Ridge, Floats]:
    """Fit ridge to what is left over by the mean, by decay to the mean, and by the last value.

    The decay is each output's own autocorrelation. Validation chooses among the three; without
    last values (`last_TO` None) it is the mean, and validation chooses whether to use the slopes.

    slopes : how many of the features, the last ones, are slopes

    Returns
    -------
    The maps, and the share of the last value that each output starts from.
    """
    if last_TO is None:
        ridge = fit_ridge(features_TF, target_TO, fold_T, validation, optional=slopes)
        return ridge, np.zeros(target_TO.shape[1], np.float32)
    train = (fold_T >= 0)[:, None] & np.isfinite(target_TO)
    power_O = (np.where(train, last_TO, 0) ** 2).sum(0)
    product_O = (np.where(train, last_TO, 0) * np.where(train, target_TO, 0)).sum(0)
    decay_O = np.clip(product_O / np.maximum(power_O, 1e-6), 0, 1)
    shares = np.stack([np.zeros_like(decay_O), decay_O, np.ones_like(decay_O)])
    return fit_anchored_ridge(
        features_TF, last_TO, target_TO, shares.astype(np.float64), fold_T, validation
    )


def two_sided_tasks(neural_V: Bools, together: Together) -> list[tuple[str, Ints, Ints]]:
    """Return (name, input columns, output columns) of every task that is no forecast."""
    units, channels = np.flatnonzero(neural_V), np.flatnonzero(~neural_V)
    tasks = []
    if len(units) and len(channels):
        tasks += [("decode", units, channels), ("encode", channels, units)]
    for mode, group_V in together.items():
        for group in range(group_V.max(initial=-1) + 1):
            hidden_V = group_V == group
            tasks.append((f"{mode}{group}", np.flatnonzero(~hidden_V), np.flatnonzero(hidden_V)))
    return tasks
