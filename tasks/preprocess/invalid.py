"""The times that a recording itself calls invalid: false in the mask of every stream."""

from collections.abc import Mapping

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.settings.preprocess import PreprocessSettings
from tasks.preprocess.clock import Clock
from tasks.preprocess.stream import note_operation

INVALID_TIMES = "invalid_times"
"""NWB's table of times that no stream should be trusted in."""


def mask_invalid_times(
    streams: Mapping[str, xr.Dataset], settings: PreprocessSettings
) -> dict[str, xr.Dataset]:
    """Make `valid` false within the recording's invalid times; values stay as they are.

    Spikes have no mask: alignment takes the bins that the same table touches out of them.
    """
    masked = dict(streams)
    table = streams.get(INVALID_TIMES)
    if table is None or table.attrs.get("stream_kind") != "intervals":
        return masked
    spans = np.stack([table["start_time"].values, table["stop_time"].values], axis=1)
    spans = spans[np.isfinite(spans).all(1)]
    for name, stream in streams.items():
        if "valid" in stream and len(spans):
            masked[name] = _mask(stream, spans, settings)
    return masked


def _mask(
    stream: xr.Dataset, spans: NDArray[np.float64], settings: PreprocessSettings
) -> xr.Dataset:
    inside = np.zeros(stream.sizes["time"], bool)
    clock = Clock(stream, settings.max_gap_periods)
    for start, stop in spans.tolist():
        # Both ends count: a sample at the very end of a bad stretch is not known to be good.
        inside[
            np.searchsorted(clock.time, start) : np.searchsorted(clock.time, stop, side="right")
        ] = True
    if not inside.any():
        return stream
    trusted = xr.DataArray(da.from_array(~inside, 2**22), dims="time")
    valid = (stream["valid"] & trusted).transpose(*stream["valid"].dims)
    masked = stream.assign(valid=valid.drop_attrs(deep=False))
    return note_operation(masked, "mask_invalid_times", samples=int(inside.sum()))
