"""All streams of a session on one time axis."""

import json
from collections.abc import Mapping
from functools import reduce

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.contracts.streams import GROUP_ATTRS, PLACES
from schemas.entities import BEHAVIOUR_KINDS, NEURAL_KINDS, TABLE_KINDS, StreamKind
from schemas.errors import SettingsError
from schemas.settings.align import AlignSettings
from tasks.align.clock import Axis, choose_axis
from tasks.align.columns import Columns, read_columns
from tasks.align.native import native_variables
from tasks.align.resample import MOST_ROWS, choose_method, nearest_rows, resample
from tasks.align.source import read_source, sample_ages
from tasks.align.spikes import count_spikes, touched_bins

INVALID_TIMES = "invalid_times"
"""NWB's table of times that no stream should be trusted in."""
AGE_ATTRS = {"units": "s", "long_name": "distance in time to the nearest valid sample"}
KEPT_ATTRS = (
    *GROUP_ATTRS, "measure", "wrap_period", "neurodata_type", "description", "provenance",
    "clock", "clock_synchronised",
)  # fmt: skip


def align_streams(preprocessed: xr.DataTree, settings: AlignSettings) -> xr.DataTree:
    """Bring every stream of a session onto one time axis, lazily.

    Parameters
    ----------
    preprocessed : tree of the contract PREPROCESSED

    Returns
    -------
    Tree of the contract ALIGNED. Units and channels that were set aside are left out and named
    in the stream's attribute `excluded`; streams without any column in the root's `left_out`.

    Raises
    ------
    NothingToDoError
        No stream has anything to align.
    SettingsError
        The settings name a stream that the session does not have.
    """
    streams = {n: node.to_dataset(inherit=False) for n, node in preprocessed.children.items()}
    left_out = {n: why for n, d in streams.items() if (why := _useless(d))}
    used = {n: d for n, d in streams.items() if n not in left_out}
    _check_native(used, settings)
    axis = choose_axis(used, settings)
    broken = _invalid_times(used, axis)
    tables = {n: d for n, d in used.items() if d.attrs["stream_kind"] in TABLE_KINDS}
    aligned = {
        name: _align_stream(name, stream, axis, broken, settings)
        for name, stream in used.items()
        if name not in tables
    }
    root = preprocessed.to_dataset(inherit=False)
    root = root.assign_attrs(left_out=json.dumps(left_out), time_axis=settings.time_axis)
    groups = {"clock": _clock(axis, aligned), **aligned, **tables}
    return xr.DataTree.from_dict({"/": root, **{f"/{n}": d for n, d in groups.items()}})


def _check_native(streams: Mapping[str, xr.Dataset], settings: AlignSettings) -> None:
    """Refuse names that are no stream of behaviour: units are sampled as the axis is."""
    able = {n: d.attrs["stream_kind"] for n, d in streams.items()}
    able = {n: kind for n, kind in able.items() if kind not in NEURAL_KINDS | TABLE_KINDS}
    if unknown := [n for n in settings.native if n not in {*able, *BEHAVIOUR_KINDS, "signal"}]:
        raise SettingsError(
            f"{', '.join(map(repr, unknown))} is no sampled stream of behaviour nor a kind.",
            where="align.native",
            remedy=f"The session has: {', '.join(able) or 'none'}. For neurons at a higher rate "
            "set the time axis (align.time_axis, align.rate_hz).",
        )


def _useless(stream: xr.Dataset) -> str:
    """Return why a stream has no column to align; empty if it has one."""
    if stream.attrs["stream_kind"] == "video" and "value" not in stream:
        return str(stream.attrs.get("no_features", "no features"))
    if "keep" in stream and not stream["keep"].values.any():
        reasons = sorted({str(reason) for reason in stream["reason"].values})
        return f"all set aside: {'; '.join(reasons)}" if reasons else "empty"
    if "time" in stream.dims and not stream.sizes["time"]:
        return "no samples"
    return ""


def _invalid_times(streams: Mapping[str, xr.Dataset], axis: Axis) -> NDArray[np.bool_]:
    """Mark the bins that the recording itself calls invalid."""
    table = streams.get(INVALID_TIMES)
    if table is None or table.attrs["stream_kind"] != "intervals":
        return np.zeros(len(axis.time), bool)
    spans = np.stack([table["start_time"].values, table["stop_time"].values], axis=1)
    return touched_bins(axis, spans)


def _align_stream(
    name: str, stream: xr.Dataset, axis: Axis, broken: NDArray[np.bool_], settings: AlignSettings
) -> xr.Dataset:
    if stream.attrs["stream_kind"] == "spikes":
        aligned = _align_spikes(stream, axis, broken)
    else:
        aligned = _align_samples(name, stream, axis, broken, settings)
    attrs = {key: stream.attrs[key] for key in KEPT_ATTRS if key in stream.attrs}
    return aligned.assign_coords(_places(stream)).assign_attrs(
        {**attrs, **aligned.attrs, "excluded": json.dumps(_excluded(stream))}
    )


def _excluded(stream: xr.Dataset) -> dict[str, str]:
    """Return the units or channels that were set aside, and why."""
    if "keep" not in stream:
        return {}
    dim = str(stream["keep"].dims[0])
    rows = zip(stream[dim].values, stream["keep"].values, stream["reason"].values, strict=True)
    return {str(name): str(reason) for name, keep, reason in rows if not keep}


def _places(stream: xr.Dataset) -> dict[str, xr.Variable]:
    """Return where the units or channels that are kept lie, as far as the recording tells."""
    if "keep" not in stream:
        return {}
    dim = str(stream["keep"].dims[0])
    kept = stream.isel({dim: np.flatnonzero(stream["keep"].values)})
    told = (name for name in PLACES if name in kept.coords and kept[name].dims[0] == dim)
    return {name: kept[name].variable for name in told}


def _align_spikes(stream: xr.Dataset, axis: Axis, broken: NDArray[np.bool_]) -> xr.Dataset:
    counts, valid = count_spikes(stream, axis, broken)
    units = stream["unit"].values[stream["keep"].values]
    return xr.Dataset(
        {
            "counts": (("time", "unit"), counts, {"units": "1"}),
            "valid": (("time", "unit")[: valid.ndim], valid),
        },
        {"time": _time(axis), "unit": np.array(units, dtype=object)},
        {"primary": "counts", "resampling": "counts per bin"},
    )


def _align_samples(
    name: str, stream: xr.Dataset, axis: Axis, broken: NDArray[np.bool_], settings: AlignSettings
) -> xr.Dataset:
    columns = read_columns(stream)
    source = read_source(np.asarray(stream["time"].values, np.float64), settings.max_gap_periods)
    kind: StreamKind = stream.attrs["stream_kind"]
    method = choose_method(name, kind, columns.logical, source, axis, settings)
    value = resample(columns.values, source, axis, method, settings)
    if broken.any():
        value = da.where(da.from_array(broken[:, None], MOST_ROWS), np.float32(np.nan), value)
    dims = ("time", columns.dim)
    units = columns.units[0] if len(set(columns.units)) == 1 else "mixed"
    variable = _as_variable(columns, value)
    variable.attrs = {"units": units, "ancillary_variables": "valid age"}
    # One column tells for all, if they were valid together.
    valid = da.isfinite(value if columns.valid.ndim == 2 else value[:, 0])
    aligned = xr.Dataset(
        {
            columns.variable: variable,
            "valid": (dims[: valid.ndim], valid),
            "age": ("time", sample_ages(columns.valid, source, axis.time), AGE_ATTRS),
            f"{columns.dim}_units": (columns.dim, np.array(columns.units, dtype=object)),
        },
        {"time": _time(axis), columns.dim: np.array(columns.labels, dtype=object)},
        {"primary": columns.variable, "resampling": method},
    )
    if {name, kind} & {*settings.native}:
        aligned = aligned.assign(native_variables(columns, source, axis, broken))
    if "frame_index" in stream:
        aligned["frame_index"] = ("time", _frames(stream, nearest_rows(source, axis, settings)))
    return _note_resampling(aligned, stream, columns, source.period, axis)


def _as_variable(columns: Columns, value: da.Array) -> xr.Variable:
    """Return the values as a variable; that of the lake where it holds them, so it is linked."""
    stored = columns.stored
    if stored is not None and stored.data.name == value.name:
        return stored.copy(deep=False)
    return xr.Variable(("time", columns.dim), value)


def _frames(stream: xr.Dataset, row: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the frame of the video nearest to each point of the axis, -1 where there is none."""
    frame = np.append(np.asarray(stream["frame_index"].values, np.int64), -1)
    return frame[row]


def _note_resampling(
    aligned: xr.Dataset, stream: xr.Dataset, columns: Columns, period: float, axis: Axis
) -> xr.Dataset:
    """Add what was done to the stream's provenance."""
    done = json.loads(stream.attrs.get("provenance", "[]"))
    parameters = {
        "method": aligned.attrs["resampling"],
        "on_the_circle": columns.circular,
        "from_hz": 1 / period if np.isfinite(period) else None,
        "to_hz": axis.rate_hz,
        "axis": axis.reference,
    }
    done.append({"operation": "resample", "parameters": parameters})
    return aligned.assign_attrs(provenance=json.dumps(done))


def _time(axis: Axis) -> xr.Variable:
    return xr.Variable(("time",), axis.time, {"units": "s", "long_name": "session time"})


def _clock(axis: Axis, aligned: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """Return the shared axis; `segment` is -1 where no stream is valid."""
    masks = [da.asarray(d["valid"].data) for d in aligned.values()]
    any_valid = reduce(da.logical_or, [m if m.ndim == 1 else m.any(axis=1) for m in masks])
    segment = da.where(any_valid, axis.segment, -1).astype(np.int32)
    return xr.Dataset(
        {
            "segment": ("time", segment, {"long_name": "number of the gapless stretch"}),
            "bin_start": ("time", axis.low, {"units": "s"}),
            "bin_stop": ("time", axis.high, {"units": "s"}),
        },
        {"time": _time(axis)},
        {"stream_kind": "clock", "rate_hz": axis.rate_hz, "reference": axis.reference},
    )
