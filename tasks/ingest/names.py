"""Names of streams, units and channels, and units of measure, as the lake writes them."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from tasks.ingest.objects import Container, NwbObject, ReadContext, Stream, stored_path

LABEL_COLUMNS = (
    "label",
    "unit_name",
    "roi_name",
    "channel_name",
    "name",
    "cell_name",
    "neuron_name",
)
"""Columns whose text, if unique, names the rows of a table of units, ROIs or electrodes."""

RESERVED = frozenset({"clock", "sync"})
"""Group names that later stages use for themselves."""

SYMBOLS = {
    "seconds": "s", "second": "s", "sec": "s", "secs": "s",
    "milliseconds": "ms", "minutes": "min", "hours": "h", "days": "d",
    "microseconds": "us", "nanoseconds": "ns",
    "volts": "V", "volt": "V", "meters": "m", "metres": "m", "meter": "m",
    "radians": "rad", "degrees": "deg", "\N{DEGREE SIGN}": "deg",
    "amperes": "A", "watts": "W", "watt": "W", "hertz": "Hz",
}  # fmt: skip


def slug(name: str) -> str:
    """Return a name in lower snake case: DfOverF -> df_over_f, "Ball speed" -> ball_speed."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    parted = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", plain)
    parted = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", parted).lower()
    text = re.sub(r"[^a-z0-9]+", "_", parted).strip("_")
    return f"{text}_stream" if text in RESERVED else text or "stream"


def stream_name(found: NwbObject) -> str:
    """Return the slug of an object's own name, of its container's where that says nothing."""
    says_nothing = found.name in found.type_names or found.name in {"data", "timeseries"}
    if says_nothing and found.parent is not None and not _is_a_place(found.parent):
        return slug(found.parent.name)
    return slug(found.name)


def fallback_name(found: NwbObject) -> str:
    """Return what stands in front of an object's name where two have the same."""
    return slug(found.parent.name) if found.parent is not None else "file"


def _is_a_place(found: NwbObject) -> bool:
    return found.is_a("NWBFile", "ProcessingModule")


def settle_names(streams: Sequence[Stream]) -> dict[str, Stream]:
    """Return streams by name; those that share one get their container's name in front.

    The file's own tables (trials, epochs, invalid_times) keep theirs: later stages ask for them.
    """
    wanted = Counter(stream.name for stream in streams)
    own = {stream.name for stream in streams if _is_own_table(stream)}
    settled: dict[str, Stream] = {}
    for stream in streams:
        name = stream.name
        if not _is_own_table(stream):
            if wanted[name] > 1 and stream.fallback != name:
                name = f"{stream.fallback}_{name}"
            name = _unused(name, own | settled.keys())
        settled[name] = stream
    return settled


def _is_own_table(stream: Stream) -> bool:
    return bool(stream.dataset.attrs["source"] == f"intervals/{stream.name}")


def _unused(name: str, taken: Iterable[str]) -> str:
    if name not in taken:
        return name
    return next(f"{name}_{n}" for n in range(2, 1_000_000) if f"{name}_{n}" not in taken)


def row_names(
    table: Container, rows: np.ndarray, prefix: str, context: ReadContext, *, unique: bool = True
) -> list[str]:
    """Name rows of a table: by a column of unique text if there is one, else prefix and id.

    unique : whether each row is named once; otherwise rows may come again
    """
    if not unique:
        every, at = np.unique(rows, return_inverse=True)
        names = row_names(table, every, prefix, context)
        return [names[position] for position in at]
    where = stored_path(table) or str(table.name)
    columns = {column.name: column for column in table.columns}
    for name in LABEL_COLUMNS:
        if name in columns:
            with context.sparing(f"{where}/{name}"):
                labels = [_as_text(value) for value in np.asarray(columns[name].data[:])[rows]]
                if all(labels) and len(set(labels)) == len(labels):
                    return labels
    with context.sparing(f"{where}/id"):
        ids = [f"{prefix}_{value}" for value in np.asarray(table.id.data[:])[rows]]
        if len(set(ids)) == len(ids):
            return ids
    return [f"{prefix}_{position}" for position in range(len(rows))]


def _as_text(value: object) -> str:
    """Return text as it is, and "" for what is no text."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    return text.strip() if isinstance(text, str) else ""


def unit_symbol(unit: str) -> str:
    """Return a unit of measure that no reader takes for a date or a duration.

    xarray decodes "seconds" and anything with " since " into times; "s" it leaves alone.
    """
    text = unit.strip()
    return SYMBOLS.get(text.lower(), text.replace(" since ", "_since_")) or "unknown"
