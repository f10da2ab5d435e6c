"""Intervals that cleaning finds: streams of their own beside the one they were found in."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray


def interval_table(
    found_in: xr.Dataset,
    spans: Sequence[tuple[float, float]],
    columns: Mapping[str, tuple[NDArray[np.generic], str]],
    description: str,
) -> xr.Dataset:
    """Return an intervals stream of the contract INTERVALS.

    Parameters
    ----------
    found_in : the cleaned stream that the intervals were found in
    spans : start and stop in seconds
    columns : name -> one value an interval, and its unit
    """
    times = np.array(spans, np.float64).reshape(-1, 2)
    return xr.Dataset(
        {
            "start_time": ("interval", times[:, 0], {"units": "s"}),
            "stop_time": ("interval", times[:, 1], {"units": "s"}),
            **{key: ("interval", one, {"units": unit}) for key, (one, unit) in columns.items()},
        },
        attrs={
            "stream_kind": "intervals",
            "source": str(found_in.attrs.get("source", "")),
            "primary": "start_time",
            "description": description,
            "provenance": str(found_in.attrs.get("provenance", "[]")),
        },
    )
