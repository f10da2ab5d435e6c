"""Streams of other clocks put onto the session's, by the map of each."""

import json

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.align.sync_map import ClockMap
from tasks.align.sync_tree import read_map

TIMES = {"time": "time", "spike_time": "spike", "event_time": "event"}
"""Variables that hold times, and the dimension whose entries go where a time is refused."""


def put_on_session_clock(preprocessed: xr.DataTree, clocks: xr.DataTree) -> xr.DataTree:
    """Return the same tree with every stream of a synchronised clock on the session's clock.

    Samples whose time is refused are left out. Streams of a clock that could not be related are
    left out altogether, with the reason in the root's attribute `left_out_clocks`: their times
    mean nothing on the session's clock. What was done stands in the stream's attribute `clock`.
    """
    streams = {n: node.to_dataset(inherit=False) for n, node in preprocessed.children.items()}
    left_out: dict[str, str] = {}
    for clock, node in clocks.children.items():
        told = node.to_dataset(inherit=False)
        for name in json.loads(told.attrs["streams"]):
            if told.sizes["span"]:
                streams[name] = _convert_stream(streams[name], clock, told)
            else:
                del streams[name]
                left_out[name] = f"its clock '{clock}' is {told.attrs['verdict']}: " + str(
                    told.attrs["reason"]
                )
    root = preprocessed.to_dataset(inherit=False)
    root = root.assign_attrs(left_out_clocks=json.dumps(left_out))
    return xr.DataTree.from_dict({"/": root, **{f"/{n}": d for n, d in streams.items()}})


def _convert_stream(stream: xr.Dataset, clock: str, told: xr.Dataset) -> xr.Dataset:
    """Return a stream with its times converted; entries without one are dropped."""
    to_session, reach = read_map(told), float(told.attrs["extrapolate_s"])
    dropped = 0
    for name, dim in TIMES.items():
        if name in stream.variables:
            session = _convert_all(to_session, stream[name].values, reach)
            dropped += int(np.isnan(session).sum())
            stream = _replace(stream, {name: session}, dim)
    if "start_time" in stream.variables:
        ends = ("start_time", "stop_time")
        pair = {n: _convert_all(to_session, stream[n].values, reach) for n in ends}
        stream = _replace(stream, pair, "interval")
    if "observed_start" in stream.variables:
        stream = _convert_observations(stream, to_session)
    return stream.assign_attrs(
        clock=clock,
        clock_synchronised=(
            f"by {told.attrs['device']} with {told.attrs['reference']}: "
            f"{told.attrs['matched']} pulses, residual p95 {told.attrs['residual_p95_s']:.3g} s; "
            f"{dropped} times beyond the pulses left out"
        ),
    )


def _convert_observations(stream: xr.Dataset, to_session: ClockMap) -> xr.Dataset:
    """Cut the times in which units were observed to where the map holds, and convert them."""
    low = np.maximum.outer(stream["observed_start"].values, to_session.start_S)
    high = np.minimum.outer(stream["observed_stop"].values, to_session.stop_S)
    row, span = np.nonzero(low < high)
    ends = {"observed_start": low[row, span], "observed_stop": high[row, span]}
    session = {name: _convert_all(to_session, values, 0.0) for name, values in ends.items()}
    return _replace(stream.isel({"observation": row}), session, "observation")


def _convert_all(
    to_session: ClockMap, device_T: NDArray[np.float64], reach: float
) -> NDArray[np.float64]:
    """Convert times in any order: those of spikes go unit by unit, which is no reset."""
    order = np.argsort(device_T, kind="stable")
    session_T = np.full(len(device_T), np.nan)
    session_T[order] = to_session.convert(device_T[order], reach)
    return session_T


def _replace(stream: xr.Dataset, times: dict[str, NDArray[np.float64]], dim: str) -> xr.Dataset:
    """Put new times in place of old ones and drop the entries of `dim` where one is NaN."""
    known = np.isfinite(np.stack(list(times.values()))).all(0)
    new = {name: (dim, values, stream[name].attrs) for name, values in times.items()}
    coords = {name: value for name, value in new.items() if name in stream.coords}
    stream = stream.assign({n: v for n, v in new.items() if n not in coords})
    stream = stream.assign_coords(coords)
    return stream if known.all() else stream.isel({dim: _as_slice(known)})


def _as_slice(known: NDArray[np.bool_]) -> slice | NDArray[np.intp]:
    """Return a slice where only the ends go: it keeps lazy arrays in their chunks."""
    kept = np.flatnonzero(known)
    if len(kept) and len(kept) == kept[-1] - kept[0] + 1:
        return slice(int(kept[0]), int(kept[-1]) + 1)
    return kept
