"""The aligned tree as two matrices: neurons over time, behaviour over time."""

from collections.abc import Iterable, Sequence

import numpy as np
import xarray as xr

from schemas.entities import BEHAVIOUR_KINDS, NEURAL_KINDS, StreamKind

SIGNAL_AND_BEHAVIOUR: frozenset[StreamKind] = BEHAVIOUR_KINDS | {"signal"}


def neural_matrix(aligned: xr.DataTree) -> xr.Dataset:
    """Stack every neural stream of an aligned tree along `unit`, lazily.

    Returns
    -------
    Dataset with `activity` (time, unit) float32, NaN where not valid; coords `unit` (the name
    "stream/unit"), `stream` (unit), `kind` (unit) and `segment` (time). Zero units if the
    session has no neurons.
    """
    return _stack(aligned, NEURAL_KINDS, "unit", "activity")


def unit_places(aligned: xr.DataTree, units: Sequence[str]) -> xr.Dataset:
    """Return where units of `neural_matrix` lie.

    Parameters
    ----------
    units : names "stream/unit"; those of no unit of the tree have no place

    Returns
    -------
    Dataset with `region` (unit), empty where not known, and `position` (unit, space) of three
    axes, NaN where not known, each stream in its own unit of measure
    """
    region = np.full(len(units), "", object)
    position = np.full((len(units), 3), np.nan)
    index = {name: n for n, name in enumerate(units)}
    for name, node in aligned.children.items():
        stream = node.to_dataset(inherit=False)
        if stream.attrs.get("stream_kind") not in NEURAL_KINDS:
            continue
        own = stream[stream.attrs["primary"]].dims[1]
        rows = np.array([index.get(f"{name}/{u}", -1) for u in stream[own].values], int)
        used = np.flatnonzero(rows >= 0)
        if "region" in stream.coords:
            region[rows[used]] = stream["region"].values[used]
        if "position" in stream.coords:
            place = stream["position"].values[used]
            position[rows[used], : place.shape[1]] = place
    return xr.Dataset(
        {"region": ("unit", region), "position": (("unit", "space"), position)},
        {"unit": ("unit", np.asarray(units, dtype=object)), "space": ["x", "y", "z"]},
    )


def behaviour_matrix(aligned: xr.DataTree, *, native: bool = False) -> xr.Dataset:
    """Stack every behaviour stream of an aligned tree along `channel`, lazily.

    native : where align kept a stream at its own rate (`align.native`), give a column to each slot
        of each of its channels, named "stream/channel@+0.025" by its seconds from `time`

    Returns
    -------
    Dataset with `behaviour` (time, channel) float32, NaN where not valid; coords `channel`
    ("stream/channel", or "stream" where it has one channel), `whole` (the same without a slot),
    `stream`, `kind`, `segment`.
    """
    return _stack(aligned, SIGNAL_AND_BEHAVIOUR, "channel", "behaviour", native=native)


def _stack(
    aligned: xr.DataTree,
    kinds: Iterable[StreamKind],
    dim: str,
    variable: str,
    *,
    native: bool = False,
) -> xr.Dataset:
    clock = aligned.children["clock"].to_dataset(inherit=False)
    arrays = [
        _flat(name, node.to_dataset(inherit=False), dim, native=native)
        for name, node in aligned.children.items()
        if node.attrs.get("stream_kind") in set(kinds)
    ]
    stacked = xr.concat(arrays, dim=dim) if arrays else _no_columns(clock["time"], dim)
    return stacked.to_dataset(name=variable).assign_coords(segment=clock["segment"])


def _flat(name: str, stream: xr.Dataset, dim: str, *, native: bool) -> xr.DataArray:
    """Return a stream's primary variable as float32 columns named after the stream."""
    values: xr.DataArray = stream[stream.attrs["primary"]].astype(np.float32)
    own = str(values.dims[1])
    labels = [str(label) for label in stream[own].values]
    wholes = [name] if dim == "channel" and len(labels) == 1 else [f"{name}/{c}" for c in labels]
    if not (native and "native" in stream):
        columns, data = wholes, values.where(stream["valid"]).variable.data
    else:
        slots = stream["slot"].values
        data = stream["native"].transpose("time", own, "slot").variable.data
        data = data.reshape(len(values), -1)
        columns = [f"{c}@{s:+.4g}" if len(slots) > 1 else c for c in wholes for s in slots]
        wholes = [whole for whole in wholes for _ in slots]
    coords = {
        "time": stream["time"].variable,
        dim: columns,
        "stream": (dim, [name] * len(columns)),
        "kind": (dim, [stream.attrs["stream_kind"]] * len(columns)),
    }
    if native:
        coords["whole"] = (dim, wholes)
    return xr.DataArray(data, coords, ("time", dim))


def _no_columns(time: xr.DataArray, dim: str) -> xr.DataArray:
    none: list[str] = []
    return xr.DataArray(
        np.zeros((time.size, 0), np.float32),
        dims=("time", dim),
        coords={
            "time": time.variable,
            dim: (dim, np.array(none, dtype="U1")),
            "stream": (dim, np.array(none, dtype="U1")),
            "kind": (dim, np.array(none, dtype="U1")),
        },
    )
