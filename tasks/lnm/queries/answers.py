"""What a query answers as a dataset: means, spreads, quantiles, draws, and what was asked."""

import hashlib
from collections.abc import Sequence

import numpy as np
import xarray as xr

from tasks.lnm.data.recording import Floats
from tasks.lnm.network.distributions import Distribution
from tasks.lnm.network.heads import Doubles
from tasks.lnm.network.trained import TrainedModel

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def answer_dataset(
    distribution: Distribution, names: Sequence[str], drawn: Sequence[Floats], time_T: Doubles
) -> xr.Dataset:
    """Return means, spreads, quantiles and drawn courses of the asked columns over time.

    Of angles also directions; of what is yes or no, and of categories, probabilities.
    """
    levels = np.stack([distribution.quantile(q) for q in QUANTILES])
    found = _dataset(distribution.told.mean, distribution.sd(), levels, drawn, names, time_T)
    if distribution.angles:
        units = {"units": "rad"}
        levels = np.stack([distribution.directions(q) for q in QUANTILES])
        found["direction"] = (("time", "angle"), distribution.directions(), units)
        found["direction_quantile"] = (("quantile", "time", "angle"), levels, units)
        found.coords["angle"] = list(distribution.angles)
    own, chance = distribution.chances
    if len(own):
        found["probability"] = (("time", "category"), np.asarray(chance, np.float32))
        found.coords["category"] = [names[v] for v in own]
    return found


def answer_draws(drawn: Sequence[Floats], names: Sequence[str], time_T: Doubles) -> xr.Dataset:
    """Return what courses say together where no distribution is predicted so far ahead."""
    levels = np.quantile(drawn, QUANTILES, axis=0)
    mean, sd = np.mean(drawn, axis=0), np.std(drawn, axis=0)
    found = _dataset(mean, sd, levels, drawn, names, time_T)
    found["median"] = found["quantile_value"].sel(quantile=0.5, drop=True)
    return found


def _dataset(
    mean: Floats,
    sd: Floats,
    levels: Floats,
    drawn: Sequence[Floats],
    names: Sequence[str],
    time_T: Doubles,
) -> xr.Dataset:
    dims = ("time", "column")
    arrays = {
        "mean": (dims, mean),
        "sd": (dims, sd),
        "quantile_value": (("quantile", *dims), levels),
    }
    if len(drawn):
        arrays["sample"] = (("draw", *dims), np.stack(drawn))
    return xr.Dataset(
        {name: (d, np.asarray(a, np.float32)) for name, (d, a) in arrays.items()},
        {
            "time": ("time", time_T, {"units": "s"}),
            "column": list(names),
            "quantile": ("quantile", np.array(QUANTILES)),
        },
    )


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
