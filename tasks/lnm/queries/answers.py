"""What a query answers as a dataset: means, spreads, quantiles, draws, and what was asked."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from schemas.errors import NotFoundError
from tasks.lnm.data.recording import Columns, Floats
from tasks.lnm.network.distributions import Distribution
from tasks.lnm.network.heads import Doubles
from tasks.lnm.network.trained import TrainedModel

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def answer_dataset(
    distribution: Distribution, columns: Columns, drawn: Sequence[Floats], time_T: Doubles
) -> xr.Dataset:
    """Return means, spreads, quantiles and drawn courses of the asked columns over time.

    Of angles also directions; of what is yes or no, and of categories, probabilities.
    """
    levels = np.stack([distribution.quantile(q) for q in QUANTILES])
    found = _dataset(distribution.told.mean, distribution.sd(), levels, drawn, columns, time_T)
    if distribution.angles:
        units = {"units": "rad"}
        levels = np.stack([distribution.directions(q) for q in QUANTILES])
        found["direction"] = (("time", "angle"), distribution.directions(), units)
        found["direction_quantile"] = (("quantile", "time", "angle"), levels, units)
        found.coords["angle"] = list(distribution.angles)
    own, chance = distribution.chances
    if len(own):
        found["probability"] = (("time", "category"), np.asarray(chance, np.float32))
        found.coords["category"] = [columns.names[v] for v in own]
    return found


def answer_draws(drawn: Sequence[Floats], columns: Columns, time_T: Doubles) -> xr.Dataset:
    """Return what courses say together where no distribution is predicted so far ahead."""
    levels = np.quantile(drawn, QUANTILES, axis=0)
    mean, sd = np.mean(drawn, axis=0), np.std(drawn, axis=0)
    found = _dataset(mean, sd, levels, drawn, columns, time_T)
    found["median"] = found["quantile_value"].sel(quantile=0.5, drop=True)
    return found


def _dataset(
    mean: Floats,
    sd: Floats,
    levels: Floats,
    drawn: Sequence[Floats],
    columns: Columns,
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
            "quantile": ("quantile", np.array(QUANTILES)),
            **column_coords(columns),
        },
    )


def column_coords(columns: Columns) -> dict[str, Any]:
    """Return the coordinates of columns: names; with slots also their channel and offset."""
    coords: dict[str, Any] = {"column": list(columns.names)}
    if columns.channels:
        coords["channel"] = ("column", list(columns.channels))
        coords["offset"] = ("column", columns.offset, {"units": "s"})
    return coords


def at_own_rate(answer: xr.Dataset, channel: str) -> xr.Dataset:
    """Return the answer for a channel of a stream at its own rate, its slots one after the other.

    Returns
    -------
    Dataset with the variables of `answer`, (time, ...) with a time for each slot

    Raises
    ------
    NotFoundError
        The answer has no such channel.
    """
    told = answer.coords.get("channel", answer["column"]).values
    own = np.flatnonzero(told == channel)
    if "offset" not in answer.coords or not len(own):
        raise NotFoundError(f"no channel {channel!r} at its own rate.", where="answer")
    slots = answer.isel(column=own).sortby("offset")
    asked = slots[[name for name, array in slots.data_vars.items() if "column" in array.dims]]
    when = (asked["time"] + asked["offset"]).values.ravel()
    flat = asked.drop_vars(["time", "column", "channel", "offset"]).stack(
        at=("time", "column"), create_index=False
    )
    return flat.assign_coords(at=("at", when, {"units": "s"})).rename(at="time")


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
