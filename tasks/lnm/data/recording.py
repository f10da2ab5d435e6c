"""One session as a matrix of named columns, its units first; their mean and spread."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from schemas.entities import NEURAL_KINDS, TABLE_KINDS
from schemas.errors import NothingToDoError

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

COLUMNS = 4096
"""Columns that are worked on at once where all at once would be a second recording in memory."""


@dataclass(frozen=True)
class Columns:
    """What each column of a recording is: units first, then behaviour channels.

    regions : where each unit lies, empty where that is not known
    channels : what each column is a slot of, empty where each is a channel itself: of a stream at
        its own rate, a channel has several samples in one of the clock, each a column of its own
    """

    names: tuple[str, ...]
    streams: tuple[str, ...]
    kinds: tuple[str, ...]
    regions: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()

    @property
    def neural(self) -> Bools:
        """(column,) true for units."""
        return np.array([kind in NEURAL_KINDS for kind in self.kinds], bool)

    @property
    def counts(self) -> Bools:
        """(column,) true for spike counts."""
        return np.array([kind == "spikes" for kind in self.kinds], bool)

    @property
    def targets(self) -> tuple[str, ...]:
        """(column,) what a column is scored under.

        Its stream if neural, what it is a category of, else its channel's name.
        """
        own = {self.names[v]: name for name, at in self.choices.items() for v in at}
        triples = zip(self.channels or self.names, self.streams, self.neural, strict=True)
        return tuple(stream if neural else own.get(name, name) for name, stream, neural in triples)

    @property
    def choices(self) -> dict[str, tuple[int, ...]]:
        """Numbers of the columns of which one holds at a time; see events.py."""
        found: dict[str, tuple[int, ...]] = {}
        for at, (name, kind) in enumerate(zip(self.names, self.kinds, strict=True)):
            of, category = name.partition("=")[::2]
            if kind == "intervals" and category:
                found[of] = (*found.get(of, ()), at)
        return {of: at for of, at in found.items() if len(at) > 1}

    @property
    def tables(self) -> tuple[str, ...]:
        """What of tables of events and intervals the columns are read from."""
        pairs = zip(self.names, self.kinds, strict=True)
        return tuple(dict.fromkeys(n.partition("=")[0] for n, kind in pairs if kind in TABLE_KINDS))

    @property
    def labels(self) -> tuple[str, ...]:
        """(column,) what its like elsewhere is called: a channel's name, a unit's kind, region."""
        regions = self.regions or ("",) * len(self.names)
        of_units = (f"{kind} {region}" for kind, region in zip(self.kinds, regions, strict=True))
        triples = zip(self.names, of_units, self.neural, strict=True)
        return tuple(unit if neural else name for name, unit, neural in triples)

    @property
    def angles(self) -> dict[str, tuple[int, int]]:
        """Numbers of cosine and sine of each angle, as align lays it on the circle."""
        at = {name: i for i, name in enumerate(self.names)}
        channels = self.channels or self.names
        pairs: dict[str, tuple[int, int]] = {}
        for i, (name, channel) in enumerate(zip(self.names, channels, strict=True)):
            angle, slot = channel.removesuffix("_cos"), name.removeprefix(channel)
            sine = at.get(f"{angle}_sin{slot}", -1)
            if angle != channel and sine >= 0:
                pairs[f"{angle}{slot}"] = (i, sine)
        return pairs

    @property
    def slots(self) -> dict[str, Ints]:
        """Numbers of the slots, in order of time, of each channel that has several."""
        found: dict[str, list[int]] = {}
        for at, channel in enumerate(self.channels):
            found.setdefault(channel, []).append(at)
        return {name: np.array(at) for name, at in found.items() if len(at) > 1}

    @property
    def offset(self) -> Floats:
        """(column,) seconds from a sample's time to the column's slot in it, 0 without slots."""
        pairs = zip(self.names, self.channels or self.names, strict=True)
        return np.array([float(n.removeprefix(f"{c}@")) if n != c else 0.0 for n, c in pairs])

    @property
    def first(self) -> Ints:
        """(column,) number of the first slot of the column's channel; its own without slots."""
        first_V = np.arange(len(self.names))
        for at in self.slots.values():
            first_V[at] = at[0]
        return first_V

    def take(self, index: Ints) -> "Columns":
        """Return the columns at `index`."""
        fields = (self.names, self.streams, self.kinds, self.regions, self.channels)
        return Columns(*(tuple(field[i] for i in index) if field else () for field in fields))


@dataclass(frozen=True)
class Recording:
    """All streams of one session on one time axis.

    values_TV : (time, column) float32, NaN where not valid; spikes as counts a sample
    time_T : (time,) seconds
    segment_T : (time,) number of the gapless segment, -1 outside any
    trial_T : (time,) true inside trials; None where the session has none
    place_VX : (column, 3) coordinates of units, NaN where not known; None where none is
    origin : labels of the session, its animal and, where told, its species
    """

    values_TV: Floats
    time_T: NDArray[np.float64]
    segment_T: Ints
    rate_hz: float
    columns: Columns
    trial_T: Bools | None = None
    place_VX: Floats | None = None
    origin: tuple[str, ...] = ()

    @property
    def clock(self) -> "Recording":
        """What tells the times; see reading.Source."""
        return self

    def whole(self) -> "Recording":
        """Return all of it."""
        return self

    def take(self, index: Ints) -> "Recording":
        """Return the recording with only the columns at `index`."""
        if np.array_equal(index, np.arange(len(self.columns.names))):
            return self
        return replace(
            self,
            values_TV=self.values_TV[:, index],
            columns=self.columns.take(index),
            place_VX=None if self.place_VX is None else self.place_VX[index],
        )

    def between(self, start: int, stop: int) -> "Recording":
        """Return the recording with only the samples from `start` up to `stop`."""
        own = slice(start, stop)
        return replace(
            self,
            values_TV=self.values_TV[own],
            time_T=self.time_T[own],
            segment_T=self.segment_T[own],
            trial_T=None if self.trial_T is None else self.trial_T[own],
        )


def keep_behaviour(recording: Recording) -> Recording:
    """Return the stretch from the first to the last sample with any behaviour; all if none is.

    A test part without behaviour could judge no decoding, and rest is not what it was about.
    """
    known_T = np.isfinite(recording.values_TV[:, ~recording.columns.neural]).any(1)
    if not known_T.any():
        return recording
    return recording.between(int(known_T.argmax()), len(known_T) - int(known_T[::-1].argmax()))


def usable_columns(recording: Recording, train: Bools) -> Ints:
    """Return the columns that vary in training and are valid in a tenth of it at least.

    Raises
    ------
    NothingToDoError
        No column does.
    """
    columns = recording.values_TV.shape[1]
    usable_V = np.zeros(columns, bool)
    for at in range(0, columns, COLUMNS):
        values_TV = recording.values_TV[train, at : at + COLUMNS]
        finite_TV = np.isfinite(values_TV)
        low_V = np.where(finite_TV, values_TV, np.inf).min(0)
        high_V = np.where(finite_TV, values_TV, -np.inf).max(0)
        usable_V[at : at + COLUMNS] = (finite_TV.mean(0) >= 0.1) & (high_V > low_V)
    index = np.flatnonzero(usable_V)
    if not len(index):
        raise NothingToDoError(
            f"none of {columns} columns varies in the training part.", where="aligned"
        )
    return index


@dataclass(frozen=True)
class Scaler:
    """Mean, standard deviation, least and greatest value of each column in training."""

    mean_V: Floats
    sd_V: Floats
    low_V: Floats
    high_V: Floats

    def take(self, index: Ints) -> "Scaler":
        """Return the scaler of the columns at `index`."""
        return Scaler(*(a[index] for a in (self.mean_V, self.sd_V, self.low_V, self.high_V)))

    def standardise(self, values_TV: Floats) -> Floats:
        """Return values in standard deviations from the training mean."""
        z_TV = values_TV - self.mean_V
        z_TV /= self.sd_V
        return z_TV.astype(np.float32, copy=False)


def fit_scaler(recording: Recording, train: Bools) -> Scaler:
    """Fit a scaler on training samples only; all slots of a channel have the same."""
    values_TV = recording.values_TV
    found_SV = np.empty((4, values_TV.shape[1]), np.float32)
    for at in range(0, values_TV.shape[1], COLUMNS):
        own = values_TV[train, at : at + COLUMNS].astype(np.float64)
        found_SV[:2, at : at + COLUMNS] = np.nanmean(own, 0), np.nanstd(own, 0)
        found_SV[2:, at : at + COLUMNS] = np.nanmin(own, 0), np.nanmax(own, 0)
    for at_S in recording.columns.slots.values():
        own = values_TV[np.ix_(train, at_S)].astype(np.float64)
        ends = (np.nanmean(own), np.nanstd(own), np.nanmin(own), np.nanmax(own))
        found_SV[:, at_S] = np.array(ends)[:, None]
    return Scaler(*found_SV)
