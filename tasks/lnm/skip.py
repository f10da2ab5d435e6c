"""The linear part of the model: one affine map for each task, in the units that heads predict in.

Which map it is (ridge, reduced rank, Poisson regression, the last value) validation chooses for
each target: see rivals.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tasks.lnm.linear import (
    Doubles,
    Ridge,
    Runs,
    causal_kernels,
    fit_ridge,
    latest_features,
    smooth_features,
    smoothing_kernels,
)
from tasks.lnm.recording import Bools, Floats, Ints, Scaler

UNIT_FOLDS = 5
HORIZONS = (1, 2, 4, 8, 16, 32)
LINK_KNEE = 0.1
"""Below this share of a unit's mean count, a linear prediction turns into an exponential."""

LOWEST_LOG = 3.0


@dataclass(frozen=True)
class LinearMap:
    """From smoothed input columns to output columns.

    inputs, outputs : column numbers
    axes_IR : principal axes that the inputs are reduced to; None where there are few inputs
    ridges : one map, or one for each forecast horizon
    anchor_HO : (horizon, output) share of the last known value that a forecast starts from, so
        that ridge shrinks to it and not to the mean; empty for other tasks
    log_O : true where the map gives log(rate / mean rate) and not a z-score
    """

    inputs: Ints
    outputs: Ints
    axes_IR: Floats | None
    ridges: tuple[Ridge, ...]
    anchor_HO: Floats
    log_O: Bools

    def features(self, z_TV: Floats, runs: Runs, kernels: Sequence[Doubles]) -> Floats:
        """Smooth this map's inputs."""
        return smooth_features(reduce_inputs(z_TV[:, self.inputs], self.axes_IR), runs, kernels)


@dataclass(frozen=True)
class LinearSkip:
    """All linear maps of a session, by task: decode, encode, impute0 ..., forecast.

    window : samples the maps reach over; a forecast looks back three quarters of it
    horizons : samples ahead for which there is a forecast map
    fold_V : (column,) the group that a unit is imputed with; -1 for behaviour
    """

    window: int
    horizons: tuple[int, ...]
    fold_V: Ints
    maps: Mapping[str, LinearMap]

    def has(self, task: str) -> bool:
        """Tell whether the session has what a task needs."""
        return any(name.startswith(task) for name in self.maps)

    def decode_all(self, task: str, z_TV: Floats, runs: Runs, fold_T: Ints | None = None) -> Floats:
        """Predict all outputs of a two-sided task ("impute": of each unit from the others).

        Returns
        -------
        (time, column) z-scores; NaN in columns that the task does not predict
        """
        out_TV = np.full(z_TV.shape, np.nan, np.float32)
        kernels = smoothing_kernels(self.window)
        for name, linear in self.maps.items():
            if name.startswith(task):
                features_TF = linear.features(z_TV, runs, kernels)
                out_TV[:, linear.outputs] = linear.ridges[0].predict(features_TF, fold_T)
        return out_TV

    def locate_all(
        self, task: str, z_TV: Floats, runs: Runs, scaler: Scaler, counts_V: Bools, fold_T: Ints
    ) -> Floats:
        """Predict as `decode_all` does, in the units that the heads add to."""
        log_V = np.zeros(len(counts_V), bool)
        for name, linear in self.maps.items():
            if name.startswith(task):
                log_V[linear.outputs] = linear.log_O
        predicted_TV = self.decode_all(task, z_TV, runs, fold_T)
        return as_location(predicted_TV, scaler, counts_V & ~log_V)

    def causal_features(self, z_TV: Floats, runs: Runs) -> Floats:
        """Return what a forecast at each sample may know: decaying means of the past."""
        kernels = causal_kernels(context_of(self.window))
        return self.maps["forecast"].features(z_TV, runs, kernels)

    def latest_features(self, recent_BLV: Floats, kernels: Sequence[Doubles]) -> Floats:
        """Return the causal features of the last sample of each of several pasts.

        recent_BLV : (course, sample, column) z-scores, at most `context_of(window)` samples
        """
        linear = self.maps["forecast"]
        batch, length, _ = recent_BLV.shape
        reduced = reduce_inputs(
            recent_BLV.reshape(batch * length, -1)[:, linear.inputs], linear.axes_IR
        )
        return latest_features(reduced.reshape(batch, length, -1), kernels)

    def forecast(self, features_TF: Floats, last_TV: Floats, fold_T: Ints | None = None) -> Floats:
        """Return (time, horizon, column) z-scores, `time` being that of the last known sample.

        last_TV : the last valid value of each column at that time
        """
        linear = self.maps["forecast"]
        out_THV = np.stack([ridge.predict(features_TF, fold_T) for ridge in linear.ridges], axis=1)
        return out_THV + last_TV[:, None] * linear.anchor_HO


def context_of(window: int) -> int:
    """Return how many samples a linear forecast looks back."""
    return 3 * window // 4


def horizons_of(window: int) -> tuple[int, ...]:
    """Return the scored horizons, in samples: powers of two up to half a window."""
    return tuple(h for h in HORIZONS if h <= window // 2)


def interpolate_horizons(horizons: Sequence[int], most: int) -> Floats:
    """Return (step, horizon) weights that fill steps 1 .. `most` linearly between the horizons."""
    steps = np.arange(1, most + 1)
    units = np.eye(len(horizons))
    return np.stack([np.interp(steps, horizons, unit) for unit in units], axis=1).astype(np.float32)


def shift_back(z_TV: Floats, runs: Runs, horizon: int) -> Floats:
    """Return at each sample the value `horizon` samples later in the same run, NaN past its end."""
    out_TV = np.full(z_TV.shape, np.nan, np.float32)
    for start, stop in runs:
        if stop - start > horizon:
            out_TV[start : stop - horizon] = z_TV[start + horizon : stop]
    return out_TV


def hold_last(z_TV: Floats, runs: Runs) -> Floats:
    """Return the last valid value of each column up to each sample of its run; 0 before any."""
    out_TV = np.zeros(z_TV.shape, np.float32)
    for start, stop in runs:
        z = z_TV[start:stop]
        index = np.where(np.isfinite(z), np.arange(stop - start)[:, None], -1)
        index = np.maximum.accumulate(index, axis=0)
        held = np.take_along_axis(z, np.maximum(index, 0), axis=0)
        out_TV[start:stop] = np.where(index >= 0, held, 0)
    return out_TV


def anchor_ridge(
    features_TF: Floats,
    last_TO: Floats | None,
    target_TO: Floats,
    fold_T: Ints,
    validation: Bools,
) -> tuple[Ridge, Floats]:
    """Fit ridge to what is left over by the mean, by decay to the mean, and by the last value.

    The decay is each output's own autocorrelation. Validation chooses among the three; without
    last values (`last_TO` None) it is the mean.

    Returns
    -------
    The maps, and the share of the last value that each output starts from.
    """
    if last_TO is None:
        ridge = fit_ridge(features_TF, target_TO, fold_T, validation)
        return ridge, np.zeros(target_TO.shape[1], np.float32)
    train = (fold_T >= 0)[:, None] & np.isfinite(target_TO)
    power_O = (np.where(train, last_TO, 0) ** 2).sum(0)
    product_O = (np.where(train, last_TO, 0) * np.where(train, target_TO, 0)).sum(0)
    decay_O = np.clip(product_O / np.maximum(power_O, 1e-6), 0, 1)
    shares = np.stack([np.zeros_like(decay_O), decay_O, np.ones_like(decay_O)])
    left_over = np.concatenate([target_TO - share * last_TO for share in shares], axis=1)
    ridge = fit_ridge(features_TF, left_over.astype(np.float32), fold_T, validation)
    best_O = ridge.error_O.reshape(3, -1).argmin(0)
    every = np.arange(len(best_O))
    return ridge.take(best_O * len(best_O) + every), shares[best_O, every].astype(np.float32)


def as_location(z: Floats, scaler: Scaler, counts_V: Bools) -> Floats:
    """Turn linear predictions (..., column) into what the heads add to.

    Continuous columns stay z-scores. Spike counts become log(rate / mean rate), where the rate is
    the linear prediction itself, or an exponential below a tenth of the mean, so that it stays
    positive. NaN (not predicted) becomes 0: the mean.
    """
    if not counts_V.any():
        return np.nan_to_num(z).astype(np.float32, copy=False)
    mean_V = np.maximum(scaler.mean_V, 1e-6)
    share = (z * scaler.sd_V + scaler.mean_V) / mean_V
    floored = np.clip(share / LINK_KNEE, -LOWEST_LOG, 1.0) - 1.0 + np.log(LINK_KNEE)
    log_rate = np.where(share > LINK_KNEE, np.log(np.maximum(share, LINK_KNEE)), floored)
    return np.nan_to_num(np.where(counts_V, log_rate, z)).astype(np.float32)


def two_sided_tasks(neural_V: Bools, unit_fold_V: Ints) -> list[tuple[str, Ints, Ints]]:
    units, channels = np.flatnonzero(neural_V), np.flatnonzero(~neural_V)
    tasks = []
    if len(units) and len(channels):
        tasks += [("decode", units, channels), ("encode", channels, units)]
    for fold in range(unit_fold_V.max(initial=-1) + 1):
        hidden = np.flatnonzero(unit_fold_V == fold)
        tasks.append((f"impute{fold}", np.flatnonzero(unit_fold_V != fold), hidden))
    return tasks


def deal_units(neural_V: Bools, rng: np.random.Generator) -> Ints:
    """Deal units at random into the groups that are hidden together; a lone unit has none."""
    fold_V = np.full(len(neural_V), -1, np.int64)
    units = np.flatnonzero(neural_V)
    if len(units) >= 2:
        fold_V[rng.permutation(units)] = np.arange(len(units)) % min(UNIT_FOLDS, len(units))
    return fold_V


def reduce_inputs(z_TI: Floats, axes_IR: Floats | None) -> Floats:
    if axes_IR is None:
        return z_TI
    # A missing unit counts as its mean; a sample without any unit stays missing.
    missing_T = ~np.isfinite(z_TI).any(1)
    reduced_TR = np.nan_to_num(z_TI) @ axes_IR
    reduced_TR[missing_T] = np.nan
    return reduced_TR
