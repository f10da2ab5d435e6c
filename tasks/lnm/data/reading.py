"""Reading an aligned session: all of it, or some of its time when that is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.errors import NotFoundError, NothingToDoError
from tasks.common.matrices import behaviour_matrix, neural_matrix, unit_places
from tasks.lnm.data.events import read_tables
from tasks.lnm.data.recording import Bools, Columns, Floats, Ints, Recording
from tasks.lnm.data.runs import Runs

ROWS = 6000
"""Samples that are read at once: those of a chunk, as the lake has them."""


@dataclass(frozen=True)
class Source:
    """An aligned session whose values stay where they are until they are read.

    clock : the recording without any column
    columns, place_VX : as in Recording
    sampled : lazy (time, column), units and behaviour
    tables_TC : columns of tables, in memory
    first : number of the first sample in `sampled`
    chosen : numbers of the columns that are read; None for all
    """

    clock: Recording
    columns: Columns
    place_VX: Floats
    sampled: tuple[xr.DataArray, xr.DataArray]
    tables_TC: Floats
    first: int = 0
    chosen: Ints | None = None

    @property
    def gib(self) -> float:
        """Memory that all values take."""
        return 4 * len(self.clock.time_T) * len(self.columns.names) / 2**30

    def read(self, start: int, stop: int) -> Floats:
        """Return (time, column) float32 values of some samples, of all columns."""
        behaviour_TC = self._behaviour(start, stop)
        own = slice(self.first + start, self.first + stop)
        units_TN = self.sampled[0].isel(time=own).values
        return np.concatenate([units_TN, behaviour_TC], axis=1, dtype=np.float32)

    def _behaviour(self, start: int, stop: int) -> Floats:
        own = slice(self.first + start, self.first + stop)
        sampled_TC = self.sampled[1].isel(time=own).values
        return np.concatenate([sampled_TC, self.tables_TC[own]], axis=1, dtype=np.float32)

    def whole(self) -> Recording:
        """Return all of it."""
        return self.take([(0, len(self.clock.time_T))], self.clock.segment_T)

    def take(self, stretches: Runs, segment_T: Ints | None = None) -> Recording:
        """Return some stretches of time, each a segment of its own if not told otherwise."""
        index_T = np.concatenate([np.arange(*stretch) for stretch in stretches])
        if segment_T is None:
            segment_T = np.repeat(np.arange(len(stretches)), [b - a for a, b in stretches])
        parts = [self.read(*stretch) for stretch in stretches]
        clock, trial_T = self.clock, self.clock.trial_T
        found = replace(
            clock,
            values_TV=parts[0] if len(parts) == 1 else np.concatenate(parts),
            time_T=clock.time_T[index_T],
            segment_T=segment_T,
            columns=self.columns,
            trial_T=None if trial_T is None else trial_T[index_T],
            place_VX=self.place_VX,
        )
        return found if self.chosen is None else found.take(self.chosen)

    def between(self, start: int, stop: int) -> Recording:
        """Return the samples from `start` up to `stop`, in the segments that they lie in."""
        return self.take([(start, stop)], self.clock.segment_T[start:stop])

    def keep_behaviour(self) -> "Source":
        """Return the time that `recording.keep_behaviour` keeps."""
        length = len(self.clock.time_T)
        known = [
            np.isfinite(self._behaviour(at, min(at + ROWS, length))).any(1)
            for at in range(0, length, ROWS)
        ]
        known_T = np.concatenate(known)
        if not known_T.any():
            return self
        first = int(known_T.argmax())
        clock = self.clock.between(first, length - int(known_T[::-1].argmax()))
        return replace(self, clock=clock, first=self.first + first)


def open_source(
    aligned: xr.DataTree, species: str = "", events: Sequence[str] = (), *, native: bool = True
) -> Source:
    """Find neurons and behaviour of an aligned tree, their values yet to be read.

    species : of the animal, which the catalogue knows
    events : tables, or columns of them, that are read as behaviour too; see events.read_tables
    native : read streams of which align kept every sample at their own rate

    Raises
    ------
    NothingToDoError
        The session has neither neurons nor behaviour.
    """
    neurons, behaviour = neural_matrix(aligned), behaviour_matrix(aligned, native=native)
    tables = read_tables(aligned, events)
    names = [*map(str, neurons["unit"].values), *map(str, behaviour["channel"].values)]
    names += [name for table in tables for name in table.names]
    if not names:
        raise NothingToDoError(
            "the session has neither neurons nor behaviour to learn from.", where="aligned"
        )
    places = unit_places(aligned, names)
    front, back = len(neurons["unit"]), len(names) - sum(len(table.names) for table in tables)
    channels = names.copy()
    if "whole" in behaviour.coords:
        channels[front:back] = map(str, behaviour["whole"].values)
    columns = Columns(
        tuple(names),
        (
            *(str(s) for part in (neurons, behaviour) for s in part["stream"].values),
            *(table.stream for table in tables for _ in table.names),
        ),
        (
            *(str(k) for part in (neurons, behaviour) for k in part["kind"].values),
            *(table.kind for table in tables for _ in table.names),
        ),
        tuple(str(region) for region in places["region"].values),
        tuple(channels) if channels != names else (),
    )
    time_T = neurons["time"].values.astype(np.float64)
    none_TV = np.zeros((len(time_T), 0), np.float32)
    clock = Recording(
        none_TV,
        time_T,
        neurons["segment"].values.astype(np.int64),
        float(aligned["clock"].attrs["rate_hz"]),
        Columns((), (), ()),
        _inside_trials(aligned, time_T),
        origin=_origin_of(aligned, species),
    )
    return Source(
        clock,
        columns,
        places["position"].values,
        (neurons["activity"], behaviour["behaviour"]),
        np.concatenate([none_TV, *(table.values_TC for table in tables)], axis=1),
    )


def read_recording(
    aligned: xr.DataTree, species: str = "", events: Sequence[str] = ()
) -> Recording:
    """Read all of an aligned tree into one matrix, in memory; see open_source."""
    return open_source(aligned, species, events).whole()


def _origin_of(aligned: xr.DataTree, species: str) -> tuple[str, ...]:
    told = {
        "session": aligned.attrs.get("session_name", ""),
        "animal": aligned.attrs.get("subject_id", ""),
        "species": species,
    }
    return tuple(f"{what} {which}" for what, which in told.items() if which)


def open_for(columns: Columns, aligned: xr.DataTree) -> Source:
    """Find the columns that a model was trained on, to be read in its order.

    Raises
    ------
    NotFoundError
        The session lacks some of them.
    """
    source = open_source(aligned, events=columns.tables, native=bool(columns.channels))
    at = {name: i for i, name in enumerate(source.columns.names)}
    if lacking := [name for name in columns.names if name not in at]:
        raise NotFoundError(
            f"the session lacks {len(lacking)} of the model's columns, such as {lacking[0]!r}.",
            where="aligned",
            remedy="Ask a model that was trained on this session.",
        )
    return replace(source, chosen=np.array([at[name] for name in columns.names]))


def _inside_trials(aligned: xr.DataTree, time_T: NDArray[np.float64]) -> Bools | None:
    """Return which samples lie in an interval of the stream `trials`; None without one."""
    if "trials" not in aligned.children:
        return None
    trials = aligned.children["trials"].to_dataset(inherit=False)
    if trials.attrs.get("stream_kind") != "intervals":
        return None
    inside_T = np.zeros(len(time_T), bool)
    for start, stop in zip(trials["start_time"].values, trials["stop_time"].values, strict=True):
        if np.isfinite(start) and np.isfinite(stop):
            inside_T[np.searchsorted(time_T, start) : np.searchsorted(time_T, stop)] = True
    return inside_T
