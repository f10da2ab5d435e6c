"""Windows around events as (trial, time): cut lazily, not valid where the recording is not."""

from itertools import pairwise

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.entities import TABLE_KINDS
from schemas.errors import NotFoundError, SettingsError
from tasks.common.segments import sample_period
from tasks.common.windows import Window, block_starts, columns_at_once, map_windows

Times = NDArray[np.float64]

MOST_TRIALS = 256
STARTS = {"events": "event_time", "intervals": "start_time"}


def event_times(session: xr.DataTree, event: str) -> Times:
    """Return when something happened, in seconds; NaN where the table does not say.

    Parameters
    ----------
    event : name of a table of events or intervals, whose starts count; or `table/column` for
        another of its times, e.g. `trials/go_cue`

    Raises
    ------
    NotFoundError
        There is no such table or column.
    """
    table, _, column = event.partition("/")
    tables = {
        n: d for n, d in session.children.items() if d.attrs.get("stream_kind") in TABLE_KINDS
    }
    if table not in tables:
        raise NotFoundError(
            f"no events or intervals '{table}'.",
            remedy=f"There are: {', '.join(tables) or 'none'}.",
        )
    found = tables[table].to_dataset(inherit=False)
    column = column or STARTS[found.attrs["stream_kind"]]
    if column not in found or found[column].dtype.kind not in "fiu":
        numbers = [str(n) for n, v in found.data_vars.items() if v.dtype.kind in "fiu"]
        raise NotFoundError(
            f"'{table}' has no times '{column}'.", remedy=f"It has: {', '.join(numbers)}."
        )
    return np.asarray(found[column].values, np.float64)


def cut_trials(stream: xr.Dataset, event_s: Times, before_s: float, after_s: float) -> xr.Dataset:
    """Return a stream around each event as (trial, time, ...), lazily.

    Parameters
    ----------
    stream : variables over an ascending `time`, those with other dimensions are kept as they are
    event_s : (trial,) seconds; trials without a time are left out
    before_s, after_s : how much time around the event

    Returns
    -------
    Dataset over `trial` (row of the table) and `time` (seconds from the event, at the stream's
    usual step), with `event_time` (trial). A sample belongs to a moment of a trial if it is the
    nearest and less than half a step (and a tenth) away; where there is none, or at the
    recording's ends, floats are NaN and flags false; counts become floats.
    """
    time = np.asarray(stream["time"].values, np.float64)
    row, lag = _rows(time, event_s, before_s, after_s)
    trial = np.flatnonzero(np.isfinite(event_s))
    cut = {
        name: _cut_variable(variable.variable, row)
        for name, variable in as_dask(stream).data_vars.items()
        if variable.dims[:1] == ("time",)
    }
    others = stream.drop_dims("time")
    return others.assign(cut).assign_coords(
        trial=("trial", trial),
        time=("time", lag, {"units": "s", "long_name": "time from the event"}),
        event_time=("trial", event_s[trial], {"units": "s"}),
    )


def _rows(
    time: Times, event_s: Times, before_s: float, after_s: float
) -> tuple[NDArray[np.int64], Times]:
    """Return the sample at each moment of each trial, -1 where there is none; and the moments."""
    step = sample_period(time)
    first, last = -round(before_s / step), round(after_s / step)
    if not np.isfinite(step) or last < first:
        raise SettingsError(
            f"no sample lies between {-before_s:g} and {after_s:g} s around an event.",
            remedy="Give `before` and `after` in seconds, both counted away from the event.",
        )
    lag: Times = np.arange(first, last + 1) * np.float64(step)
    moment = event_s[np.isfinite(event_s)][:, None] + lag
    after = np.clip(np.searchsorted(time, moment), 0, len(time) - 1)
    ahead = np.maximum(after - 1, 0)
    near = np.where(np.abs(time[ahead] - moment) <= np.abs(time[after] - moment), ahead, after)
    row: NDArray[np.int64] = np.where(np.abs(time[near] - moment) <= 0.6 * step, near, -1)
    return row, lag


def _cut_variable(variable: xr.Variable, row: NDArray[np.int64]) -> xr.Variable:
    """Return (trial, time, ...) of a variable over time."""
    values = da.asarray(variable.data)
    flags = values.dtype == bool
    dtype = values.dtype if flags else np.result_type(values.dtype, np.float32)
    dims = ("trial", *map(str, variable.dims))
    if not row.size:
        return xr.Variable(dims, np.zeros((*row.shape, *variable.shape[1:]), dtype), variable.attrs)
    # In the order of the recording, so that neighbouring trials share what is read.
    order = np.argsort(row.max(axis=1), kind="stable")
    made = map_windows(values, _trial_windows(values, row[order], dtype), dtype)
    trials = made.map_blocks(
        _fold,
        length=row.shape[1],
        dtype=dtype,
        chunks=(
            tuple(size // row.shape[1] for size in made.chunks[0]),
            row.shape[1],
            *made.chunks[1:],
        ),
        new_axis=1,
    )
    return xr.Variable(dims, trials[np.argsort(order)], variable.attrs)


def _trial_windows(
    values: da.Array, row: NDArray[np.int64], dtype: np.dtype[np.generic]
) -> list[Window]:
    first = np.where(row >= 0, row, len(values)).min(axis=1)
    first = np.minimum(np.minimum.accumulate(first[::-1])[::-1], len(values) - 1)
    windows = []
    starts = block_starts(first, columns_at_once(values), MOST_TRIALS)
    for begin, end in pairwise(starts):
        part = row[begin:end]
        low = int(first[begin])
        high = max(int(part.max()) + 1, low + 1)
        windows.append(Window(slice(low, high), part.size, _Picker(part.ravel(), low, dtype)))
    return windows


class _Picker:
    """Takes rows of a block; -1 gives NaN, or false."""

    def __init__(self, row: NDArray[np.int64], low: int, dtype: np.dtype[np.generic]) -> None:
        self.row, self.low, self.dtype = row, low, dtype

    def __call__(self, block: NDArray[np.generic]) -> NDArray[np.generic]:
        there = self.row >= 0
        made = block[np.where(there, self.row - self.low, 0)].astype(self.dtype)
        made[~there] = False if self.dtype == bool else np.nan
        return made


def _fold(block: NDArray[np.generic], length: int) -> NDArray[np.generic]:
    return block.reshape(-1, length, *block.shape[1:])


def as_dask(stream: xr.Dataset) -> xr.Dataset:
    """Return a stream's variables as dask arrays, in the chunks they are stored in.

    What xarray opens without `chunks` is read whole by any arithmetic.
    """
    return stream.assign(
        {
            name: array.variable.chunk(array.encoding.get("preferred_chunks", {}))
            for name, array in stream.data_vars.items()
            if array.chunks is None and array.ndim
        }
    )
