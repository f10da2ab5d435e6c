"""The time axis of a session: a stream's own clock, or bins of one rate."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.entities import BEHAVIOUR_KINDS, TABLE_KINDS
from schemas.errors import NothingToDoError, SettingsError
from schemas.settings.align import AlignSettings
from tasks.common.segments import find_gaps, merge_spans, sample_period, split_runs

Times = NDArray[np.float64]
Streams = Mapping[str, xr.Dataset]

ALMOST = 1.01
"""A camera of 30.1 Hz is one of 30 Hz."""


@dataclass(frozen=True)
class Axis:
    """The time axis that all streams come onto.

    Attributes
    ----------
    time : (time,) seconds, ascending: where values are sampled
    low, high : (time,) seconds: the bin of each sample; bins neither overlap nor straddle a gap
    segment : (time,) number of the gapless stretch
    rate_hz : one over the median step
    reference : the stream or table whose times it has, or "rate"
    """

    time: Times
    low: Times
    high: Times
    segment: NDArray[np.int32]
    rate_hz: float
    reference: str

    @property
    def bin_s(self) -> float:
        """Usual length of a bin in seconds."""
        return float(np.median(self.high - self.low))


def choose_axis(streams: Streams, settings: AlignSettings) -> Axis:
    """Return the time axis that the settings ask for.

    Raises
    ------
    SettingsError
        The reference is not a stream (or, for 'events', a table) of this session.
    NothingToDoError
        There is no stream with samples, or none long enough for one bin.
    """
    sampled = {n: d for n, d in streams.items() if d.attrs["stream_kind"] not in TABLE_KINDS}
    if not sampled:
        raise NothingToDoError("the session has no streams with samples to align.")
    if settings.time_axis == "stream":
        return _named_axis(streams, settings)
    if settings.time_axis == "events":
        return _events_axis(streams, settings)
    if settings.time_axis == "rate":
        return _binned_axis(_neural(sampled) or sampled, settings, settings.rate_hz)
    if calcium := _of_kind(sampled, {"calcium"}):
        # Most units first, then by name: the same choice for the same recording.
        name = min(calcium, key=lambda n: (-int(calcium[n]["keep"].sum()), n))
        return stream_axis(name, _time_of(calcium[name]), settings.max_gap_periods)
    if neural := _neural(sampled):
        return _binned_axis(neural, settings, settings.rate_hz)
    return _behaviour_axis(sampled, settings)


def _named_axis(streams: Streams, settings: AlignSettings) -> Axis:
    sampled = {n: d for n, d in streams.items() if "time" in d.dims}
    stream = _reference(sampled, settings.reference, "sampled stream")
    return stream_axis(settings.reference, _time_of(stream), settings.max_gap_periods)


def _events_axis(streams: Streams, settings: AlignSettings) -> Axis:
    tables = {n: d for n, d in streams.items() if d.attrs["stream_kind"] in TABLE_KINDS}
    table = _reference(tables, settings.reference, "table of events or intervals")
    when = table["event_time" if table.attrs["stream_kind"] == "events" else "start_time"]
    return event_axis(settings.reference, np.asarray(when.values), settings.event_window_s)


def _reference(streams: Streams, name: str, what: str) -> xr.Dataset:
    if name not in streams:
        raise SettingsError(
            f"reference '{name}' is not a {what} of this session.",
            where="align.reference",
            remedy=f"It has: {', '.join(streams) or 'none'}.",
        )
    return streams[name]


def _behaviour_axis(streams: Streams, settings: AlignSettings) -> Axis:
    """Return the clock of the fastest behaviour, or bins of the highest rate allowed."""
    sampled = {n: d for n, d in streams.items() if "valid" in d and d.sizes["time"] > 1}
    chosen = _of_kind(sampled, BEHAVIOUR_KINDS) or sampled
    if not chosen:
        raise NothingToDoError("no stream of the session has two samples or more.")
    rates = {name: 1.0 / sample_period(_time_of(dataset)) for name, dataset in chosen.items()}
    name = min(rates, key=lambda n: (-rates[n], n))
    if rates[name] <= settings.max_behaviour_rate_hz * ALMOST:
        return stream_axis(name, _time_of(chosen[name]), settings.max_gap_periods)
    return _binned_axis({name: chosen[name]}, settings, settings.max_behaviour_rate_hz)


def _binned_axis(streams: Streams, settings: AlignSettings, rate_hz: float) -> Axis:
    return rate_axis(_coverage(streams, settings, rate_hz), rate_hz)


def stream_axis(name: str, time: Times, max_gap_periods: float) -> Axis:
    """Return the sample times of a stream as axis; of repeated times the first counts."""
    time = time[ascending(time)]
    period = sample_period(time)
    if not np.isfinite(period):
        raise NothingToDoError(f"stream '{name}' has {len(time)} samples, too few for a time axis.")
    segment = find_gaps(time, max_gap_periods)
    middle = (time[1:] + time[:-1]) / 2
    same = segment[1:] == segment[:-1]
    low, high = time - period / 2, time + period / 2
    low[1:][same], high[:-1][same] = middle[same], middle[same]
    return Axis(time, low, high, segment, 1.0 / period, name)


def event_axis(name: str, time: Times, window_s: float) -> Axis:
    """Return one sample at each event, in a bin around it; each is a stretch of its own.

    Events are not evenly spaced: nothing may be embedded or filtered from one to the next.
    """
    time = np.unique(time[np.isfinite(time)])
    if not time.size:
        raise NothingToDoError(f"table '{name}' has no times.")
    middle = (time[1:] + time[:-1]) / 2
    low, high = time - window_s / 2, time + window_s / 2
    low[1:], high[:-1] = np.maximum(low[1:], middle), np.minimum(high[:-1], middle)
    period = sample_period(time)
    rate_hz = 1.0 / (period if np.isfinite(period) else window_s)
    return Axis(time, low, high, np.arange(len(time), dtype=np.int32), rate_hz, name)


def rate_axis(stretches: NDArray[np.float64], rate_hz: float) -> Axis:
    """Divide stretches of time into bins of one rate; each stretch starts a bin of its own.

    Parameters
    ----------
    stretches : (stretch, [start, stop]) seconds, ascending, apart from each other
    """
    # 1e-6: 3 s at 10 Hz is 30 bins even where the times are rounded.
    counts = np.floor((stretches[:, 1] - stretches[:, 0]) * rate_hz + 1e-6).astype(np.int64)
    stretches, counts = stretches[counts > 0], counts[counts > 0]
    if not counts.size:
        raise NothingToDoError(f"no gapless stretch is as long as one bin of {1 / rate_hz:g} s.")
    segment = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    start = stretches[segment, 0]
    low, high = start + place / rate_hz, start + (place + 1) / rate_hz
    return Axis(start + (place + 0.5) / rate_hz, low, high, segment, rate_hz, "rate")


def _coverage(streams: Streams, settings: AlignSettings, rate_hz: float) -> NDArray[np.float64]:
    """Return the stretches of time in which at least one of the streams was recorded.

    Pauses shorter than a bin do not end a stretch: a lost frame of a fast camera must not shift
    the bins after it. The bin with the pause is valid or not by what it holds.
    """
    spans = [span for dataset in streams.values() for span in _spans(dataset, settings)]
    return merge_spans(np.array(spans, np.float64).reshape(-1, 2), 1.0 / rate_hz)


def _spans(stream: xr.Dataset, settings: AlignSettings) -> Iterable[tuple[float, float]]:
    if stream.attrs["stream_kind"] == "spikes":
        return map(tuple, observed_spans(stream).tolist())
    time = _time_of(stream)
    time = time[ascending(time)]
    half = sample_period(time) / 2
    runs = split_runs(find_gaps(time, settings.max_gap_periods))
    # A single sample has no period, and so no length.
    return [(time[r.start] - half, time[r.stop - 1] + half) for r in runs] if half > 0 else []


def observed_spans(stream: xr.Dataset) -> NDArray[np.float64]:
    """Return when units were observed, (span, [start, stop]): as told, or first to last spike."""
    if "observed_start" in stream:
        spans = np.stack([stream["observed_start"].values, stream["observed_stop"].values], axis=1)
    else:
        time = stream["spike_time"].values
        ends = [np.fmin.reduce(time), np.fmax.reduce(time)] if time.size else []
        spans = np.array(ends, np.float64).reshape(-1, 2)
    return np.asarray(spans[np.isfinite(spans).all(1)], np.float64)


def ascending(time: Times) -> NDArray[np.bool_]:
    """Mark the samples later than all before them; a repeated time is marked once."""
    before = np.concatenate([[-np.inf], np.fmax.accumulate(time)[:-1]])[: len(time)]
    return time > before


def _time_of(stream: xr.Dataset) -> Times:
    return np.asarray(stream["time"].values, np.float64)


def _of_kind(streams: Streams, kinds: Iterable[str]) -> dict[str, xr.Dataset]:
    wanted = set(kinds)
    return {n: d for n, d in streams.items() if d.attrs["stream_kind"] in wanted}


def _neural(streams: Streams) -> dict[str, xr.Dataset]:
    return _of_kind(streams, {"spikes", "lfp"})
