"""Cleaned streams as plain columns over time: angles as two coordinates, points as channels."""

from dataclasses import dataclass

import dask.array as da
import numpy as np
import xarray as xr

from schemas.entities import StreamKind

FULL_TURN = {
    "degrees": 360.0,
    "degree": 360.0,
    "deg": 360.0,
    "radians": 2 * np.pi,
    "rad": 2 * np.pi,
}


@dataclass(frozen=True)
class Columns:
    """What is resampled.

    Attributes
    ----------
    values : (sample, column) floats, NaN where not valid
    valid : (sample,) or (sample, column)
    labels : name of each column
    units : unit of measure of each column
    variable, dim : what the columns are called on the axis
    logical : whether the values are yes or no
    circular : whether the columns are coordinates of angles on the circle
    stored : the variable as it is in the lake, where `values` are exactly that
    """

    values: da.Array
    valid: da.Array
    labels: list[str]
    units: list[str]
    variable: str = "value"
    dim: str = "channel"
    logical: bool = False
    circular: bool = False
    stored: xr.Variable | None = None


def read_columns(stream: xr.Dataset) -> Columns:
    """Return the kept columns of a cleaned stream of any sampled kind but spikes."""
    kind: StreamKind = stream.attrs["stream_kind"]
    if kind == "pose":
        return _pose_columns(stream)
    primary = stream[str(stream.attrs["primary"])]
    dim = str(primary.dims[1])
    valid = stream["valid"]
    labels = [str(label) for label in stream[dim].values]
    if "keep" in stream and not stream["keep"].values.all():
        keep = np.flatnonzero(stream["keep"].values)
        primary = primary.isel({dim: keep})
        valid = valid.isel({dim: keep}) if dim in valid.dims else valid
        labels = [labels[n] for n in keep]
    values = _masked(primary, valid)
    variable, dim = ("activity", "unit") if kind == "calcium" else ("value", "channel")
    columns = Columns(
        values,
        da.asarray(valid.data),
        labels,
        [str(primary.attrs.get("units", "1"))] * len(labels),
        variable,
        dim,
        logical=primary.dtype == bool,
        stored=primary.variable if values is primary.data else None,
    )
    period = angle_period(stream, primary)
    return _unroll_angles(columns, period) if period else columns


def angle_period(stream: xr.Dataset, primary: xr.DataArray) -> float:
    """Return by how much an angle wraps, 0 if the stream is none.

    Ingest says so in `wrap_period`; a stream marked `circular` wraps by its unit.
    """
    if "wrap_period" in stream.attrs:
        return float(stream.attrs["wrap_period"])
    unit = str(primary.attrs.get("units", "")).lower()
    return FULL_TURN.get(unit, 0.0) if stream.attrs.get("circular") else 0.0


def _masked(values: xr.DataArray, valid: xr.DataArray) -> da.Array:
    """Return the values as floats, NaN where not valid; the same array where all are."""
    floats = values.astype(np.result_type(values.dtype, np.float32), copy=False)
    # A mask of one column is small enough to look at; a masked array would be written anew.
    if valid.ndim == 1 and bool(valid.all()):
        return da.asarray(floats.data)
    return da.asarray(floats.where(valid).transpose(*values.dims).data)


def _unroll_angles(columns: Columns, period: float) -> Columns:
    """Return the cosine and sine of each angle: their means do not jump where the angle wraps."""
    phase = columns.values * (2 * np.pi / period)
    return Columns(
        da.concatenate([da.cos(phase), da.sin(phase)], axis=1),
        columns.valid if columns.valid.ndim == 1 else da.concatenate([columns.valid] * 2, axis=1),
        [f"{label}_{part}" for part in ("cos", "sin") for label in columns.labels],
        ["1"] * (2 * len(columns.labels)),
        circular=True,
    )


def _apply(function: np.ufunc, array: xr.DataArray) -> xr.DataArray:
    applied: xr.DataArray = xr.apply_ufunc(function, array, dask="allowed")
    return applied


def _pose_columns(stream: xr.Dataset) -> Columns:
    """Return points as `keypoint_x`, ...; then speed and, if the body tells it, heading.

    With more than one animal its name comes first.
    """
    position, units = stream["position"], str(stream["position"].attrs.get("units", "1"))
    parts: list[tuple[str, str, xr.DataArray]] = []
    for i, animal in enumerate(stream["individual"].values):
        front = f"{animal}_" if stream.sizes["individual"] > 1 else ""
        for k, keypoint in enumerate(stream["keypoint"].values):
            for s, axis in enumerate(stream["space"].values):
                place = position.isel(individual=i, keypoint=k, space=s)
                known = stream["valid"].isel(individual=i, keypoint=k)
                parts.append((f"{front}{keypoint}_{axis}", units, place.where(known)))
        speed, heading = stream["speed"].isel(individual=i), stream["heading"].isel(individual=i)
        parts.append((f"{front}speed", f"{units}/s", speed))
        # The course of an animal that stands is unknown, and noise if it hardly moves: only a
        # heading read off the body is a channel.
        if heading.attrs.get("derived_from") == "body axis":
            parts.append((f"{front}heading_cos", "1", _apply(np.cos, heading)))
            parts.append((f"{front}heading_sin", "1", _apply(np.sin, heading)))
    values = da.stack([da.asarray(array.data) for _, _, array in parts], axis=1)
    values = values.rechunk({1: -1})
    return Columns(values, da.isfinite(values), [p[0] for p in parts], [p[1] for p in parts])
