"""What people ask of a session, on any DataTree: `tree.tectum.between(10, 20)`."""

from collections.abc import Callable

import numpy as np
import xarray as xr

from schemas.entities import TABLE_KINDS
from schemas.errors import NotFoundError
from tasks.common.matrices import behaviour_matrix, neural_matrix
from tasks.common.trials import as_dask, cut_trials, event_times


@xr.register_datatree_accessor("tectum")
class TectumAccessor:
    """Questions about a session, or about each session of a tree of many."""

    def __init__(self, tree: xr.DataTree) -> None:
        self._tree = tree

    def between(self, start_s: float, stop_s: float) -> xr.DataTree:
        """Return what was recorded from `start_s` up to, not including, `stop_s`.

        Samples, events and spikes by their time; intervals that overlap it, not cut. Only times
        are read.
        """
        return self._tree.map_over_datasets(lambda stream: _between(stream, start_s, stop_s))

    def valid(self) -> xr.DataTree:
        """Return the tree with every stream's main variable NaN where it is not valid, lazily."""
        return self._tree.map_over_datasets(_mask)

    def trials(
        self, event: str, before: float, after: float, stream: str | None = None
    ) -> xr.Dataset | xr.DataTree:
        """Return the session around each event as (trial, time), lazily.

        Parameters
        ----------
        event : table of events or intervals (their starts), or `table/column`, e.g.
            `trials/go_cue`
        before, after : seconds around each event
        stream : one stream with its `valid`, or None for `activity` (trial, time, unit) and
            `behaviour` (trial, time, channel) of an aligned session, NaN where not valid

        Returns
        -------
        Dataset; of many sessions a tree with a dataset each. See `cut_trials`.
        """

        def cut(session: xr.DataTree) -> xr.Dataset:
            return cut_trials(_whole(session, stream), event_times(session, event), before, after)

        return self._each_session(cut)

    def _each_session(self, ask: Callable[[xr.DataTree], xr.Dataset]) -> xr.Dataset | xr.DataTree:
        # Streams have data of their own; a tree of many sessions has only branches.
        children = self._tree.children
        many = children and all(child.children for child in children.values())
        if not many:
            return ask(self._tree)
        return xr.DataTree.from_dict({name: ask(session) for name, session in children.items()})


def _whole(session: xr.DataTree, stream: str | None) -> xr.Dataset:
    """Return one stream, or neurons and behaviour of an aligned session."""
    if stream is None:
        if "clock" not in session.children:
            raise NotFoundError(
                "the session is not aligned: its streams have no time axis in common.",
                remedy="Name one with stream=..., or open tectum:SESSION/aligned.",
            )
        lazy = session.map_over_datasets(as_dask)
        neurons, behaviour = neural_matrix(lazy), behaviour_matrix(lazy)
        return _rename("unit", neurons).merge(_rename("channel", behaviour))
    streams = [n for n, node in session.children.items() if "time" in node.to_dataset().dims]
    if stream not in streams:
        raise NotFoundError(f"no sampled stream '{stream}'.", remedy=f"It has: {streams}.")
    return session.children[stream].to_dataset(inherit=False)


def _rename(dim: str, matrix: xr.Dataset) -> xr.Dataset:
    """Tell apart what the two matrices call alike."""
    return matrix.drop_vars("segment").rename(stream=f"{dim}_stream", kind=f"{dim}_kind")


def _between(stream: xr.Dataset, start_s: float, stop_s: float) -> xr.Dataset:
    if "time" in stream.dims:
        return _take(stream, "time", _within(stream["time"], start_s, stop_s))
    if "event_time" in stream:
        return _take(stream, "event", _within(stream["event_time"], start_s, stop_s))
    if "spike_time" in stream:
        return _take(stream, "spike", _within(stream["spike_time"], start_s, stop_s))
    if stream.attrs.get("stream_kind") in TABLE_KINDS:
        start, stop = stream["start_time"].values, stream["stop_time"].values
        return _take(stream, "interval", np.flatnonzero((start < stop_s) & (stop > start_s)))
    return stream


def _within(time: xr.DataArray, start_s: float, stop_s: float) -> slice | np.ndarray:
    values = np.asarray(time.values, np.float64)
    inside = np.flatnonzero((values >= start_s) & (values < stop_s))
    neighbours = len(inside) and inside[-1] - inside[0] == len(inside) - 1
    # A slice stays lazy and cheap; positions are for times out of order.
    return slice(int(inside[0]), int(inside[-1]) + 1) if neighbours else inside


def _take(stream: xr.Dataset, dim: str, which: slice | np.ndarray) -> xr.Dataset:
    return stream.isel({dim: which})


def _mask(stream: xr.Dataset) -> xr.Dataset:
    name = stream.attrs.get("primary")
    if "valid" not in stream or name not in stream:
        return stream
    stream = as_dask(stream)
    values = stream[name]
    floats = values.astype(np.result_type(values.dtype, np.float32), copy=False)
    masked = floats.where(stream["valid"]).transpose(*values.dims).assign_attrs(values.attrs)
    return stream.assign({name: masked})
