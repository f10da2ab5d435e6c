"""Free running: draw some samples from the forecast, append them, forecast again.

What is drawn at once hangs together across columns and steps as the truth did about forecasts (see
dependence.py). Steps drawn one by one, each column by itself, make a course too wide and too rough:
what a forecast misses is not white, and feeding white noise back excites what is rhythmic.
"""

from collections.abc import Sequence

import numpy as np
import torch

from tasks.lnm.data.recording import Columns, Floats
from tasks.lnm.linear.features import causal_kernels
from tasks.lnm.linear.normal_equations import Doubles
from tasks.lnm.linear.skip import context_of, hold_last, interpolate_horizons
from tasks.lnm.network.distributions import Distribution
from tasks.lnm.network.guess import Rows
from tasks.lnm.network.model import Inputs
from tasks.lnm.network.trained import TrainedModel
from tasks.lnm.queries.conditioning import Conditioned, Given
from tasks.lnm.queries.infer import Located, distribution_of, ready_rows, run_network

BEYOND = 0.5
"""Standard deviations that a drawn value may lie outside the range of the training part."""


def roll_out(
    model: TrainedModel,
    past_BLV: Floats,
    steps: int,
    rng: np.random.Generator,
    given: Given | None = None,
) -> Floats:
    """Continue each past by `steps` samples, some at a time, each drawn given all before.

    Drawn values are held within the range that training saw, so that no course can run away.

    Parameters
    ----------
    past_BLV : (course, sample, column) z-scores, NaN where not valid; all of them gapless
    given : what some columns do in the meantime; where it is known it is not drawn

    Returns
    -------
    (course, step, column) z-scores
    """
    batch, known, columns = past_BLV.shape
    stride = model.noise.level_RSV.shape[1]
    context = model.window - model.skip.horizons[-1]
    kernels = causal_kernels(context_of(model.window))
    z_BTV = np.concatenate([past_BLV, np.full((batch, steps + stride, columns), np.nan)], axis=1)
    z_BTV = z_BTV.astype(np.float32)
    last_BV = _last_valid(past_BLV, model.columns)
    rows = ready_rows(model)
    told = None if given is None else Conditioned(model, given)
    for at in range(known, known + steps, stride):
        recent_BLV = z_BTV[:, max(0, at - context_of(model.window)) : at]
        window_BLV = z_BTV[:, max(0, at - context) : at]
        inputs = _inputs(model, recent_BLV, window_BLV, last_BV, stride, kernels)
        distribution = _predict(model, inputs, rows, window_BLV.shape[1], stride)
        if told is None:
            drawn_BSV = _draw(model, distribution, model.noise.draw_levels(batch, rng))
        else:
            drawn_BSV = _draw(model, distribution, told.draw(distribution, at - known, rng))
            told.keep(drawn_BSV, at - known)
        z_BTV[:, at : at + stride] = drawn_BSV
        last_BV = _last_valid(drawn_BSV, model.columns)
    return z_BTV[:, known : known + steps]


def _inputs(
    model: TrainedModel,
    recent_BLV: Floats,
    window_BLV: Floats,
    last_BV: Floats,
    stride: int,
    kernels: list[Doubles],
) -> Inputs:
    """Lay the known samples and the linear forecast of the next `stride` into one window."""
    batch, known, columns = window_BLV.shape
    shape = (batch, model.window, columns)
    horizons = model.skip.horizons
    features_BF = model.skip.latest_features(recent_BLV, kernels)
    base_BHV = model.skip.forecast_means(features_BF, last_BV)
    fill_SH = interpolate_horizons(horizons, horizons[-1])
    ahead = slice(known, known + horizons[-1])
    values_BLV, base_BLV = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    gate_BLV, spread_BLV = np.ones(shape, np.float32), np.ones(shape, np.float32)
    visible_BLV, given_BLV = np.zeros(shape, bool), np.zeros(shape, bool)
    values_BLV[:, :known] = np.nan_to_num(window_BLV)
    visible_BLV[:, :known] = np.isfinite(window_BLV)
    if model.linear_skip:
        base_BLV[:, ahead] = np.einsum("sh,bhv->bsv", fill_SH, base_BHV)
        gate_BLV[:, ahead] = fill_SH @ model.mixing.gate.forecast_HV
        spread_BLV[:, ahead] = fill_SH @ model.mixing.spread.forecast_HV
        given_BLV[:, ahead] = True
    offset_L = np.arange(model.window)
    inside_BL = np.broadcast_to(offset_L < ahead.stop, shape[:2])
    time_BL = np.broadcast_to(offset_L / model.rate_hz, shape[:2]).astype(np.float32)
    # No median is drawn from.
    unused = np.zeros(shape, np.float32)
    arrays = (values_BLV, visible_BLV, base_BLV, given_BLV, gate_BLV, spread_BLV, unused, unused)
    return Inputs(*(torch.from_numpy(a) for a in (*arrays, time_BL, inside_BL.copy())))


def _predict(
    model: TrainedModel, inputs: Inputs, rows: Sequence[Rows], known: int, stride: int
) -> Distribution:
    """Return the distributions of the next `stride` samples."""
    location, scale, base, *_ = (
        part[:, known : known + stride] for part in run_network(model, inputs, rows)
    )
    every = np.arange(location.shape[2])
    scale, tail = model.noise.ahead(scale, every, model.skip.horizons)
    return distribution_of(model, Located(location, scale, base, tail))


def _draw(model: TrainedModel, distribution: Distribution, level_BSV: Floats) -> Floats:
    """Return (course, step, column) z-scores at some levels of their distributions."""
    drawn = distribution.at(level_BSV)
    scaler, counts_V = model.scaler, model.columns.counts
    # Counts cannot lie between whole numbers, so only continuous values may go beyond the range.
    margin_V = np.where(counts_V, 0.0, BEYOND * scaler.sd_V)
    held = np.clip(drawn, scaler.low_V - margin_V, scaler.high_V + margin_V)
    return scaler.standardise(held)


def _last_valid(past_BLV: Floats, columns: Columns) -> Floats:
    """Return the last valid value of each column, 0 (the mean) where there is none."""
    whole = [(0, past_BLV.shape[1])]
    return np.stack([hold_last(past_LV, whole, columns)[-1] for past_LV in past_BLV])
