"""Tables of events and intervals as columns on the clock: whether, and which one it was."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.entities import TABLE_KINDS
from schemas.errors import NotFoundError, SettingsError

MOST_CATEGORIES = 32
UNKNOWN = ("", "nan", "N/A", "None")
"""How tables say that they do not know."""


class Table(NamedTuple):
    """Columns of one table: 1 where an event fell or a category holds, else 0; NaN where unknown.

    kind : "events" are yes or no each; of "intervals" with a category one of them holds
    """

    values_TC: NDArray[np.float32]
    names: tuple[str, ...]
    stream: str
    kind: str


def read_tables(aligned: xr.DataTree, wanted: Sequence[str]) -> list[Table]:
    """Read tables, or columns of them ("trials/choice"), onto the clock of an aligned tree.

    Of events: whether one fell into each sample, and with a column which, each category by
    itself, for several may fell together. Of intervals: whether one holds, and with a column which
    category does, unknown outside of them. An interval holds in each sample that it touches.

    Raises
    ------
    NotFoundError
        There is no such table or column.
    SettingsError
        A column has more values than categories.
    """
    clock = aligned.children["clock"].to_dataset(inherit=False)
    edges = (clock["bin_start"].values, clock["bin_stop"].values)
    return [_read_table(aligned, name, edges) for name in wanted]


def _read_table(
    aligned: xr.DataTree, name: str, edges: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> Table:
    stream, _, column = (name, "", "") if name in aligned.children else name.rpartition("/")
    stream, column = (stream, "") if name in aligned.children else (stream or name, column)
    tables = {
        n: node.to_dataset(inherit=False)
        for n, node in aligned.children.items()
        if node.attrs.get("stream_kind") in TABLE_KINDS
    }
    if stream not in tables or (column and column not in tables[stream]):
        have = [f"{n}/{c}" for n, table in tables.items() for c in table.data_vars]
        raise NotFoundError(
            f"no table of events or intervals, and no column of one, is called {name!r}.",
            where="lnm.events",
            remedy=f"There are {', '.join((*tables, *have)) or 'none in this session'}.",
        )
    table = tables[stream]
    kind = table.attrs["stream_kind"]
    start_E = table["event_time" if kind == "events" else "start_time"].values
    stop_E = start_E if kind == "events" else np.fmax(start_E, table["stop_time"].values)
    first_E, last_E = _samples(start_E, stop_E, edges)
    if not column:
        held_TC = _mark(first_E, last_E, np.zeros(len(first_E), np.int64), 1, len(edges[0]))
        return Table(held_TC, (name,), stream, kind)
    category_E, labels = _categories(name, table[column].values)
    held_TC = _mark(first_E, last_E, category_E, len(labels), len(edges[0]))
    if kind == "intervals":
        held_TC[held_TC.sum(1) != 1] = np.nan
    return Table(held_TC, tuple(f"{name}={label}" for label in labels), stream, kind)


def _samples(
    start_E: NDArray[np.float64],
    stop_E: NDArray[np.float64],
    edges: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first and the last sample that each touches."""
    low_T, high_T = edges
    at_E, last_E = (np.searchsorted(low_T, when, side="right") - 1 for when in (start_E, stop_E))
    # Before the first sample, or in a gap, the next one is the first.
    first_E = np.where((at_E < 0) | (start_E >= high_T[at_E]), at_E + 1, at_E)
    known_E = np.isfinite(start_E) & np.isfinite(stop_E)
    return np.where(known_E, first_E, len(low_T)), np.where(known_E, last_E, -1)


def _mark(
    first_E: NDArray[np.int64],
    last_E: NDArray[np.int64],
    category_E: NDArray[np.int64],
    categories: int,
    samples: int,
) -> NDArray[np.float32]:
    held_TC = np.zeros((samples, categories), np.float32)
    for first, last, category in zip(first_E, last_E, category_E, strict=True):
        if category >= 0:
            held_TC[first : last + 1, category] = 1
    return held_TC


def _categories(name: str, values_E: NDArray[np.generic]) -> tuple[NDArray[np.int64], list[str]]:
    """Return the category of each row, -1 where it is not known, and what they are called."""
    text_E = np.array([_call(value) for value in values_E.tolist()], dtype=object)
    labels = sorted({text for text in text_E if text not in UNKNOWN})
    if not 1 <= len(labels) <= MOST_CATEGORIES or values_E.ndim != 1:
        raise SettingsError(
            f"{name!r} has {len(labels)} values, which are no categories.",
            where="lnm.events",
            remedy=f"Name a column of 1 to {MOST_CATEGORIES} values.",
        )
    number = {label: n for n, label in enumerate(labels)}
    return np.array([number.get(text, -1) for text in text_E], np.int64), labels


def _call(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).strip()
