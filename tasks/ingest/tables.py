"""Columns of NWB tables as xarray variables."""

from typing import Any

import h5py
import numpy as np
import xarray as xr

from tasks.ingest.lazy import FileArrays, lazy_variable, plain_dataset
from tasks.ingest.names import slug
from tasks.ingest.objects import Container, NwbObject, ReadContext, stored_path

MAX_WIDTH = 256


def row_columns(
    table: Container, dim: str, rows: np.ndarray, context: ReadContext
) -> dict[str, xr.Variable]:
    """Read the flat columns that describe rows of a table: numbers, truth values and text.

    Ragged columns, references and masks are left in the file. Names are slugs; one that would
    hide the dimension, the time or a unit's place gets "_column" behind it.
    """
    found: dict[str, xr.Variable] = {}
    where = stored_path(table) or str(table.name)
    for column in table.columns:
        with context.sparing(f"{where}/{column.name}"):
            data = column.data
            if not is_flat(table, column):
                continue
            if len(data) != len(table.id):
                _note_length(where, column, len(table.id), context)
                continue
            values = text_array(data) if is_text(data) else np.asarray(data[:])
            found[column_name(column, dim)] = xr.Variable((dim,), values[rows])
    return found


def table_variables(
    found: NwbObject, dim: str, context: ReadContext, leave: tuple[str, ...] = ()
) -> dict[str, xr.Variable]:
    """Return the flat columns of a table as variables along `dim`; numbers are not read yet.

    Of ragged columns, those of text (such as tags) are joined by commas. What cannot be a flat
    column is named in a finding.
    """
    table = found.container
    variables: dict[str, xr.Variable] = {}
    left: list[str] = []
    for column in table.columns:
        name = column_name(column, dim)
        if column.name in leave or type(column).__name__ == "VectorIndex":
            continue
        with context.sparing(f"{found.path}/{column.name}"):
            if (tags := _joined(table, column)) is not None:
                variables[name] = xr.Variable((dim,), tags)
            elif not is_flat(table, column):
                left.append(str(column.name))
            elif len(column.data) != len(table.id):
                _note_length(found.path, column, len(table.id), context)
            else:
                variables[name] = column_variable(column.data, dim, context.arrays)
    if left:
        context.note(
            "columns_left", "info", f"Columns left in the file: {', '.join(left)}.", found.path
        )
    return variables


def _joined(table: Container, column: Container) -> np.ndarray | None:
    """Return a ragged column of text with each row's words joined; None for any other column."""
    index = next((c for c in table.columns if getattr(c, "target", None) is column), None)
    if index is None or len(index.data) != len(table.id) or not is_text(column.data):
        return None
    ends = np.asarray(index.data[:], dtype=np.int64).tolist()
    words = text_array(column.data).tolist()
    starts = [0, *ends[:-1]]
    return text_array([", ".join(words[a:b]) for a, b in zip(starts, ends, strict=True)])


def _note_length(where: str, column: Container, rows: int, context: ReadContext) -> None:
    size = len(column.data)
    context.note(
        "length_mismatch",
        "error",
        f"The column '{column.name}' has {size:,} values for {rows:,} rows.",
        where,
        "Find out which rows have no value and write the file again.",
        sample=min(size, rows),
        value=f"{size:,} and {rows:,}",
        repair="The column is left out.",
    )


def column_variable(data: Any, dim: str, arrays: FileArrays) -> xr.Variable:
    """Return a column as a variable: numbers lazily, text read."""
    if is_text(data):
        return xr.Variable((dim,), text_array(data))
    return lazy_variable((dim,), arrays.lazy(data))


def is_flat(table: Container, column: Container) -> bool:
    """Tell whether a column has one plain value a row."""
    if type(column).__name__ in {"VectorIndex", "DynamicTableRegion"}:
        return False
    if any(getattr(other, "target", None) is column for other in table.columns):
        return False
    data = plain_dataset(column.data)
    if np.ndim(data) != 1:
        return False
    return is_text(data) or _dtype(data).kind in "iufb"


def is_text(data: Any) -> bool:
    """Tell whether a column holds text."""
    if isinstance(data, h5py.Dataset):
        return h5py.check_string_dtype(data.dtype) is not None
    kind = _dtype(data).kind
    # Only objects are looked at: a damaged chunk of numbers must not break what asks for text.
    return kind in "UST" or (kind == "O" and len(data) > 0 and isinstance(data[0], str | bytes))


def _dtype(data: Any) -> np.dtype[Any]:
    """Return the dtype of a dataset, or of a list, without reading the former."""
    dtype = getattr(data, "dtype", None)
    if isinstance(dtype, np.dtype):
        return dtype
    # What hdmf resolves as it is read (references, compound rows) has a dtype in words.
    return np.dtype(object) if dtype is not None else np.asarray(data).dtype


def text_array(data: Any) -> np.ndarray:
    """Read a column of text: of fixed width, unless one long text would make that too wide."""
    values = [v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in data[:]]
    width = max(map(len, values), default=1)
    return np.asarray(values, dtype=object if width > MAX_WIDTH else str)


def column_name(column: Container, dim: str) -> str:
    """Return what a column along `dim` is called: its slug, or that and "_column"."""
    name = slug(str(column.name))
    return f"{name}_column" if name in {dim, "time", "position"} else name
