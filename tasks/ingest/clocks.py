"""The time axis of a TimeSeries: timestamps or starting time and rate."""

import math
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import xarray as xr

from tasks.ingest.lazy import LazyArray, lazy_variable
from tasks.ingest.lazy_views import RegularAxis, as_float64, scale
from tasks.ingest.objects import NwbObject, ReadContext, first_match

NO_RATE = "Set sample_rates_hz for this object if you know the rate."


@dataclass(frozen=True)
class SampleClock:
    """When each sample of a series was taken.

    Attributes
    ----------
    times : (time,) float64 seconds after the file's reference time
    rate_hz : the rate if the series has one, NaN if it has timestamps
    token : equal for two series that surely share one clock
    """

    times: LazyArray
    rate_hz: float
    token: tuple[Any, ...]

    @property
    def size(self) -> int:
        """Number of samples."""
        return int(self.times.shape[0])

    @property
    def regular(self) -> bool:
        """Whether the times follow from a rate."""
        return math.isfinite(self.rate_hz)

    def variable(self) -> xr.Variable:
        """Return the times as a lazy variable."""
        return lazy_variable(("time",), self.times, {"units": "s"})

    def attrs(self) -> dict[str, Any]:
        """Return what the stream's attributes say about the clock."""
        return {"rate_hz": self.rate_hz} if self.regular else {}


def read_clock(found: NwbObject, samples: int, context: ReadContext) -> SampleClock | None:
    """Return the clock of a series, or None (with a finding) if the file gives none.

    Parameters
    ----------
    samples : number of samples, for a clock given by its rate
    """
    true_rate = first_match(context.settings.sample_rates_hz, found.path)
    timestamps = found.field("timestamps")
    if timestamps is not None and np.ndim(timestamps) == 1:
        return _stamped(found, timestamps, true_rate, context)
    stated = found.field("rate") if true_rate is None else true_rate
    rate = single_number(stated)
    if not np.isfinite(rate) or rate <= 0:
        absent = stated is None
        context.note(
            "no_clock",
            "error",
            "The series has neither timestamps nor a rate."
            if absent
            else f"The series has the rate {_shown(stated)} Hz.",
            found.path,
            NO_RATE,
            value="" if absent else f"{_shown(stated)} Hz",
            repair="The series is left out.",
        )
        return None
    start = _start(found, context)
    return SampleClock(RegularAxis(start, rate, samples), rate, ("rate", start, rate))


def _start(found: NwbObject, context: ReadContext) -> float:
    """Return when a regular series starts; 0 with a finding if the file does not tell."""
    stated = found.field("starting_time")
    start = single_number(stated)
    if np.isfinite(start):
        return start
    if stated is not None:
        context.note(
            "no_starting_time",
            "warning",
            f"The starting time is {_shown(stated)}: 0 is taken for it.",
            found.path,
            "Write one starting time in seconds.",
            value=f"{_shown(stated)} s",
        )
    return 0.0


def _stamped(
    found: NwbObject, timestamps: Any, true_rate: float | None, context: ReadContext
) -> SampleClock:
    array = context.arrays.lazy(timestamps)
    if array.dtype.itemsize < 8 and array.dtype.kind == "f":
        context.note(
            "coarse_timestamps",
            "warning",
            f"Timestamps are {array.dtype}: after 10,000 s they step by about 1 ms.",
            f"{found.path}/timestamps",
            "Write timestamps as float64.",
            value=str(array.dtype),
        )
    token = _dataset_token(timestamps)
    if true_rate is not None:
        array, _ = scale(array, 1 / true_rate, 0.0)
    return SampleClock(as_float64(array), float("nan"), token)


def _dataset_token(data: Any) -> tuple[Any, ...]:
    if isinstance(data, h5py.Dataset):
        # The address in the file: the same through every link to it.
        info = h5py.h5o.get_info(data.id)
        return ("stamps", data.file.filename, info.addr)
    return ("stamps", id(data))


def same_clock(one: SampleClock, other: SampleClock) -> bool:
    """Tell whether two series have one clock, from at most three samples of each.

    A full-length check compares the rest.
    """
    if one.size != other.size:
        return False
    if one.token == other.token:
        return True
    if one.regular or other.regular or one.size == 0:
        return False
    probes = np.unique([0, one.size // 2, one.size - 1])
    first, second = (
        lazy_variable(("time",), clock.times).isel(time=probes).to_numpy() for clock in (one, other)
    )
    return bool(np.array_equal(first, second, equal_nan=True))


def single_number(value: Any) -> float:
    """Return a rate or starting time as a number, also where a file has an array of one value."""
    if value is None:
        return float("nan")
    array = np.unique(np.asarray(value, dtype=float))
    return float(array[0]) if array.size == 1 else float("nan")


def _shown(value: Any) -> str:
    """Return a rate as a short text, also if it is an array."""
    return np.array2string(np.asarray(value), threshold=5, separator=", ")
