"""What a query answers as a dataset: means, spreads, quantiles, draws, and what was asked."""

import hashlib
from collections.abc import Sequence

import numpy as np
import xarray as xr
from scipy import stats

from tasks.lnm.infer import Located, as_values
from tasks.lnm.recording import Bools, Floats
from tasks.lnm.trained import TrainedModel

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def draw_values(model: TrainedModel, located: Located, rng: np.random.Generator) -> Floats:
    """Draw each value by itself from its predicted distribution, in the columns' own units."""
    mean = as_values(located.location, model)
    normal = mean + located.scale * model.scaler.sd_V * rng.standard_normal(mean.shape)
    rate = np.where(model.columns.counts, np.nan_to_num(mean), 0.0)
    counted = np.where(np.isfinite(mean), rng.poisson(np.maximum(rate, 0.0)), np.nan)
    return np.where(model.columns.counts, counted, normal).astype(np.float32)


def answer_dataset(
    model: TrainedModel,
    mean: Floats,
    sd: Floats,
    drawn: Sequence[Floats],
    time_T: np.ndarray,
    asked_V: Bools,
) -> xr.Dataset:
    """Return means, spreads, quantiles and drawn courses of the asked columns over time."""
    counts_V = model.columns.counts[asked_V]
    sd = np.where(counts_V, np.nan, sd)
    variables = {"mean": (("time", "column"), mean), "sd": (("time", "column"), sd)}
    names = [name for name, asked in zip(model.columns.names, asked_V, strict=True) if asked]
    found = xr.Dataset(variables, {"time": ("time", time_T, {"units": "s"}), "column": names})
    found["quantile_value"] = (("quantile", "time", "column"), _quantiles(mean, sd, counts_V))
    found.coords["quantile"] = ("quantile", np.array(QUANTILES))
    if len(drawn):
        found["sample"] = (("draw", "time", "column"), np.stack(drawn))
    return found


def _quantiles(mean: Floats, sd: Floats, counts_V: Bools) -> Floats:
    """Return (quantile, time, column) quantiles of the normal or Poisson distributions."""
    rate = np.where(counts_V & np.isfinite(mean), np.maximum(mean, 0.0), 0.0)
    known = np.isfinite(mean)
    levels = [
        np.where(counts_V, np.where(known, stats.poisson.ppf(q, rate), np.nan), mean + sd * z)
        for q, z in zip(QUANTILES, stats.norm.ppf(QUANTILES), strict=True)
    ]
    return np.stack(levels).astype(np.float32)


def describe_question(
    model: TrainedModel,
    targets: Sequence[str],
    visible: Sequence[str] | None,
    seed: int,
    **seconds: float,
) -> dict[str, str | int | float]:
    """Return the attributes that tell where an answer comes from."""
    weights = b"".join(t.numpy().tobytes() for t in model.network.state_dict().values())
    told = {f"asked_{name}": value for name, value in seconds.items() if np.isfinite(value)}
    return {
        "model_sha256": hashlib.sha256(weights).hexdigest(),
        "targets": ", ".join(targets),
        "visible": "all else" if visible is None else ", ".join(visible),
        "seed": seed,
        **told,
    }
