"""Datasets of streams with a time axis, laid out as their kind's contract says."""

import json
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import xarray as xr

from schemas.entities import StreamKind
from tasks.ingest.clocks import SampleClock, read_clock
from tasks.ingest.lazy import LazyArray, lazy_variable
from tasks.ingest.lazy_views import Columns, FirstRows, GainedColumns, Transposed, scale
from tasks.ingest.names import unit_symbol
from tasks.ingest.objects import NwbObject, ReadContext

PRIMARY: Mapping[StreamKind, tuple[str, str]] = {
    "calcium": ("activity", "unit"),
    "lfp": ("voltage", "channel"),
    "eye": ("value", "channel"),
    "audio": ("value", "channel"),
    "motion": ("value", "channel"),
    "signal": ("value", "channel"),
}
"""Kind of a sampled stream -> its main variable and the dimension beside time."""

MAX_COLUMNS = 4096
"""A series with more columns once flattened is a movie or a spectrogram, not channels."""

DESCRIPTIVE = ("description", "comments", "reference_frame")


class Samples:
    """The data of one series with its clock, axes in order, lengths equal, still unread."""

    def __init__(self, array: LazyArray, clock: SampleClock) -> None:
        self.array = array
        self.clock = clock


def read_samples(found: NwbObject, context: ReadContext) -> Samples | None:
    """Return the samples and times of a series, or None (with a finding) if it has none.

    Data of another length than the timestamps are cut to the shorter of the two, and data whose
    second axis is the one of that length are transposed; either is a finding.
    """
    data = found.field("data")
    if data is None or np.ndim(data) == 0 or np.shape(data)[0] == 0:
        context.note(
            "empty_stream", "warning", "The series holds no samples; it is left out.", found.path
        )
        return None
    array = context.arrays.lazy(data)
    if array.dtype.kind not in "iufb":
        what = f"Data of type {array.dtype} are no samples; the series is left out."
        context.note("not_numeric", "warning", what, found.path)
        return None
    clock = read_clock(found, array.shape[0], context)
    return None if clock is None else _match_lengths(found, array, clock, context)


def _match_lengths(
    found: NwbObject, array: LazyArray, clock: SampleClock, context: ReadContext
) -> Samples | None:
    if array.shape[0] == clock.size:
        return Samples(array, clock)
    if len(array.shape) == 2 and array.shape[1] == clock.size:
        context.note(
            "data_transposed",
            "warning",
            f"Data are {array.shape} with {clock.size} timestamps: read as (channel, time).",
            found.path,
            "Write the file with time as the first axis.",
            value=f"{array.shape}",
            repair="The two axes are exchanged.",
        )
        return Samples(Transposed(array), clock)
    size = min(array.shape[0], clock.size)
    context.note(
        "length_mismatch",
        "error",
        f"{array.shape[0]} samples but {clock.size} timestamps; the first {size} of both are kept, "
        "and nothing tells whether they belong together.",
        found.path,
        "Find out which samples have no timestamp and write the file again.",
        sample=size,
        value=f"{array.shape[0]:,} and {clock.size:,}",
        repair="The surplus is left out.",
    )
    if size == 0:
        return None
    cut = SampleClock(FirstRows(clock.times, size), clock.rate_hz, (*clock.token, size))
    return Samples(FirstRows(array, size), cut)


def scaled_columns(
    found: NwbObject, array: LazyArray, dims: tuple[str, ...], gains: np.ndarray | None = None
) -> xr.Variable:
    """Return data x conversion (x gain of the column) + offset, lazily, in the file's unit.

    Integers keep an encoding with which the lake stores them as they are; gains that differ
    between columns leave no such encoding, and the values become floats.
    """
    conversion = float(1.0 if found.field("conversion") is None else found.field("conversion"))
    offset = float(found.field("offset") or 0.0)
    if gains is not None and np.unique(gains).size == 1:
        conversion, gains = conversion * float(gains[0]), None
    if gains is not None:
        scaled: LazyArray = GainedColumns(array, conversion * gains, offset)
        encoding: dict[str, Any] = {}
    else:
        scaled, encoding = scale(array, conversion, offset)
    variable = lazy_variable(dims, scaled, {"units": unit_symbol(found.text("unit"))})
    variable.encoding = encoding
    return variable


def as_columns(array: LazyArray) -> LazyArray:
    """Return an array of (time,) or (time, ...) as (time, column)."""
    return array if len(array.shape) == 2 else Columns(array)


def column_labels(found: NwbObject, shape: tuple[int, ...], single: str) -> list[str]:
    """Name the columns of a series: its features, the axes of space, or numbers."""
    features = found.field("features")
    count = int(np.prod(shape[1:], dtype=np.int64))
    if features is not None and len(features) == count:
        return [str(feature) for feature in features[:]]
    if len(shape) == 1 or count == 1:
        return [single]
    if found.is_a("SpatialSeries") and count <= 3:
        return list("xyz")[:count]
    bands = _band_names(found)
    names = [list(map(str, range(size))) for size in shape[1:]]
    if len(shape) == 3 and len(bands) == shape[2]:
        names[1] = bands
    return ["_".join(place) for place in product(*names)]


def _band_names(found: NwbObject) -> list[str]:
    """Return the names of the frequency bands of a DecompositionSeries, the last of its axes."""
    bands = found.field("bands")
    columns = {} if bands is None else {column.name: column for column in bands.columns}
    names = columns.get("band_name")
    return [] if names is None else [str(name) for name in names.data[:]]


def sampled_dataset(
    kind: StreamKind,
    found: NwbObject,
    values: xr.Variable,
    clock: SampleClock,
    labels: Sequence[str],
    context: ReadContext,
    extra: Mapping[str, xr.Variable] | None = None,
) -> xr.Dataset:
    """Put values and times together as the kind's contract wants them; nothing is read.

    extra : what describes the columns, such as where an electrode was; coordinates beside `dim`
    """
    primary, dim = PRIMARY[kind]
    label_variable = xr.Variable((dim,), np.asarray(labels, dtype=str))
    coords = xr.Coordinates({"time": clock.variable(), dim: label_variable}, indexes={})
    described = {k: v for k, v in (extra or {}).items() if k not in (primary, dim, "time")}
    variables = {primary: values, **_control(found, clock, context)}
    attrs = {**group_attrs(kind, found, primary), **clock.attrs()}
    return xr.Dataset(variables, coords, attrs).assign_coords(described)


def _control(found: NwbObject, clock: SampleClock, context: ReadContext) -> dict[str, xr.Variable]:
    """Return the labels that a series gives to its samples, with what they mean."""
    data = found.field("control")
    if data is None or np.ndim(data) != 1:
        return {}
    if len(data) != clock.size:
        what = f"control labels {len(data):,} of {clock.size:,} samples; it is not used."
        context.note("length_mismatch", "warning", what, found.path, sample=len(data))
        return {}
    meanings = found.field("control_description")
    attrs = {} if meanings is None else {"meanings": json.dumps([str(one) for one in meanings[:]])}
    return {"control": lazy_variable(("time",), context.arrays.lazy(data), attrs)}


def group_attrs(kind: StreamKind, found: NwbObject, primary: str) -> dict[str, Any]:
    """Return the attributes that every stream carries."""
    described = {name: found.text(name) for name in DESCRIPTIVE}
    plain = {"", "no description", "no comments"}
    return {
        "stream_kind": kind,
        "source": found.path,
        "primary": primary,
        "neurodata_type": found.type_name,
        **{name: text for name, text in described.items() if text not in plain},
        **_measurement_attrs(found),
    }


def _measurement_attrs(found: NwbObject) -> dict[str, Any]:
    """Return how finely a series was measured, and the units of its columns if they differ."""
    attrs: dict[str, Any] = {}
    resolution = found.field("resolution")
    # -1 and NaN both say that it is not known.
    if isinstance(resolution, int | float | np.number) and resolution > 0:
        attrs["resolution"] = float(resolution)
    units = found.field("feature_units")
    if units is not None and len(units):
        attrs["channel_units"] = json.dumps([unit_symbol(str(unit)) for unit in units[:]])
    return attrs
