"""What every cleaner does: work over whole time, keep the raw values, note what was done."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import DTypeLike, NDArray

from tasks.common.windows import whole_time

BATCH_BYTES = 2**22
RowKernel = Callable[[NDArray[Any]], NDArray[Any]]


def over_time(
    kernel: RowKernel, array: xr.DataArray, dtype: DTypeLike | None = None
) -> xr.DataArray:
    """Apply a kernel that needs the whole of time, column by column, lazily.

    Parameters
    ----------
    kernel : (row, time) -> (row, time), where the rows are any columns of the array
    array : (time, ...)
    dtype : of the result; the array's own floating type if not given

    Returns
    -------
    Array of the same shape, coordinates and attributes, without the encoding of the source:
    a filtered value must not be rounded to the integers it was stored as.
    """
    kind = np.dtype(dtype) if dtype is not None else np.result_type(array.dtype, np.float32)

    def on_block(block: NDArray[Any]) -> NDArray[Any]:
        if block.size == 0:
            return block.astype(kind)
        rows = np.moveaxis(block, 0, -1)
        flat = rows.reshape(-1, rows.shape[-1])
        made = np.empty(flat.shape, kind)
        for batch in batches(flat):
            made[batch] = kernel(flat[batch])
        return np.moveaxis(made.reshape(rows.shape), -1, 0)

    data = whole_time(array.data).map_blocks(
        on_block, dtype=kind, meta=np.empty((0,) * array.ndim, kind)
    )
    return with_values(array, data)


def with_values(array: xr.DataArray, data: da.Array) -> xr.DataArray:
    """Return other values in place of an array's, with its attributes and without its encoding."""
    return xr.DataArray(data, array.coords, array.dims, array.name, dict(array.attrs))


def summarise(kernel: RowKernel, array: xr.DataArray, figures: int) -> NDArray[np.float64]:
    """Compute some numbers for each column of a (time, column) array, now.

    Parameters
    ----------
    kernel : (row, time) floats -> (figure, row), where rows are columns of the array

    Returns
    -------
    (figure, column)
    """
    data = da.asarray(array.data)

    def on_blocks(blocks: list[NDArray[Any]]) -> NDArray[np.float64]:
        kind = np.result_type(data.dtype, np.float32)
        rows = np.empty((blocks[0].shape[1], sum(map(len, blocks))), kind)
        start = 0
        # As they were stored: one array of them all would be one more copy.
        for block in blocks:
            rows[:, start : start + len(block)] = block.T
            start += len(block)
        return kernel(rows)

    made = da.blockwise(
        on_blocks, "fn", data, "tn", new_axes={"f": figures}, concatenate=False,
        dtype=np.float64, meta=np.empty((0, 0)),
    )  # fmt: skip
    return np.asarray(made.compute(), np.float64)


def batches(rows: NDArray[Any]) -> Iterator[slice]:
    """Yield slices of rows: a kernel makes several arrays of what it gets, of 8 bytes each."""
    step = max(BATCH_BYTES // (8 * max(rows.shape[1], 1)), 1)
    for start in range(0, len(rows), step):
        yield slice(start, start + step)


def as_float(array: xr.DataArray) -> xr.DataArray:
    """Return an array as floats, so that it can hold NaN."""
    return array.astype(np.result_type(array.dtype, np.float32))


def is_finite(array: xr.DataArray) -> xr.DataArray:
    """Tell where an array is finite, without its attributes."""
    # Keep, then drop: apply_ufunc would drop the units of the time coordinate as well.
    finite: xr.DataArray = xr.apply_ufunc(np.isfinite, array, dask="allowed", keep_attrs=True)
    return finite.drop_attrs(deep=False)


def replace_primary(stream: xr.Dataset, cleaned: xr.DataArray) -> xr.Dataset:
    """Put cleaned values in place of the primary variable and keep the old ones as `_raw`."""
    name = str(stream.attrs["primary"])
    raw = stream[name]
    cleaned = cleaned.assign_attrs({**raw.attrs, "ancillary_variables": f"valid {name}_raw"})
    return stream.assign({name: cleaned, f"{name}_raw": raw}).assign_attrs(raw=f"{name}_raw")


def note_operation(stream: xr.Dataset, operation: str, **parameters: Any) -> xr.Dataset:
    """Add an operation and the parameters it really used to the stream's provenance.

    As movement does with its `log`, but without the time of day: the same input and settings
    must give the same bytes.
    """
    done = json.loads(stream.attrs.get("provenance", "[]"))
    done.append({"operation": operation, "parameters": parameters})
    return stream.assign_attrs(provenance=json.dumps(done))


def text_variable(dim: str, texts: list[str]) -> xr.Variable:
    """Return texts as a variable; object dtype, which the lake stores at any length."""
    return xr.Variable((dim,), np.array([*texts, ""], dtype=object)[:-1])


def set_aside(stream: xr.Dataset, dim: str, reasons: Mapping[int, str]) -> xr.Dataset:
    """Add `keep` and `reason` to a stream's units or channels.

    Parameters
    ----------
    reasons : position of a unit or channel -> why it is not used
    """
    size = stream.sizes[dim]
    keep = np.array([n not in reasons for n in range(size)], bool)
    reason = text_variable(dim, [reasons.get(n, "") for n in range(size)])
    return stream.assign(keep=((dim,), keep), reason=reason)
