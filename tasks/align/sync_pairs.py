"""Which clocks a session has, which pulses relate them, and which streams run on them.

The settings name pairs of pulse streams; a file may say so itself, in the comments or description
of a stream: `[clock: camera]` for times on that clock, `[line: sync]` for the pulses of a line
that the session's clock and the other both recorded.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from schemas.settings.sync import PulsePair, SyncSettings
from tasks.align.sync_barcode import read_barcode
from tasks.align.sync_chains import Pulses, Times, Window

Streams = Mapping[str, xr.Dataset]

SAYS = re.compile(r"\[(clock|line):\s*([\w -]+?)\s*\]")
SESSION = "session"
"""The name of the clock that needs no synchronising."""


@dataclass(frozen=True)
class DeviceClock:
    """A clock other than the session's.

    Attributes
    ----------
    name : what it is called
    pair : the pulses that relate it to the session's clock; None where there are none
    streams : streams whose times it gave, its pulses included
    problem : why it cannot be related; empty if it can be tried
    """

    name: str
    pair: PulsePair | None
    streams: tuple[str, ...]
    problem: str = ""


def find_clocks(streams: Streams, settings: SyncSettings) -> list[DeviceClock]:
    """Return every clock that the settings or the file name; none for most sessions."""
    clocks = [
        _named_by_settings(streams, pair)
        for pair in settings.pairs
        if any(name in streams for name in (pair.device, *pair.streams))
    ]
    if not settings.automatic:
        return clocks
    told = {name: read_remarks(stream) for name, stream in streams.items()}
    taken = {name for clock in clocks for name in clock.streams}
    names = {said["clock"] for name, said in told.items() if "clock" in said and name not in taken}
    return clocks + [_named_by_file(name, streams, told) for name in sorted(names - {SESSION})]


def read_remarks(stream: xr.Dataset) -> dict[str, str]:
    """Return what a stream says of its clock and line."""
    texts = (str(stream.attrs.get(key, "")) for key in ("comments", "description"))
    return {key: name for text in texts for key, name in SAYS.findall(text)}


def _named_by_settings(streams: Streams, pair: PulsePair) -> DeviceClock:
    absent = [name for name in (pair.reference, pair.device) if name not in streams]
    problem = f"the session has no stream {' and no '.join(absent)}" if absent else ""
    on_clock = tuple(n for n in dict.fromkeys((pair.device, *pair.streams)) if n in streams)
    return DeviceClock(pair.device, None if absent else pair, on_clock, problem)


def _named_by_file(
    clock: str, streams: Streams, told: Mapping[str, Mapping[str, str]]
) -> DeviceClock:
    on_clock = tuple(name for name, said in told.items() if said.get("clock") == clock)
    lines = {said["line"]: n for n, said in told.items() if n in on_clock and "line" in said}
    pairs = [
        (reference, lines[said["line"]])
        for reference, said in told.items()
        if said.get("line") in lines and said.get("clock", SESSION) == SESSION
    ]
    if not pairs:
        problem = "no line that the session's clock recorded too is named for it"
        return DeviceClock(clock, None, on_clock, problem)
    # Of several lines the one with most pulses.
    reference, device = max(pairs, key=lambda p: (len(_rises(streams[p[1]])), p))
    return DeviceClock(clock, PulsePair(reference=reference, device=device), on_clock)


def read_pulses(streams: Streams, pair: PulsePair) -> tuple[Pulses, Pulses]:
    """Return the reference's and the device's pulses; times that are not finite are left out."""
    reference = _read_train(streams[pair.reference], pair)
    order = np.unique(reference.time_P, return_index=True)[1]
    reference = Pulses(reference.time_P[order], reference.label_P[order])
    return reference, _read_train(streams[pair.device], pair)


def known_window(reference: Pulses, device: Pulses, pair: PulsePair) -> Window | None:
    """Return the offsets (session minus device, seconds) that the pair's settings leave open."""
    if pair.starts_together and reference.time_P.size > 1 and device.time_P.size:
        offset = float(reference.time_P[0] - device.time_P[0])
        within = 0.45 * float(np.median(np.diff(reference.time_P)))
    elif pair.offset_s is not None:
        offset, within = pair.offset_s, pair.offset_within_s
    else:
        return None
    return offset - within, offset + within


def _read_train(stream: xr.Dataset, pair: PulsePair) -> Pulses:
    rise_P, fall_P = _rises(stream), _falls(stream)
    finite = np.isfinite(rise_P)
    if pair.barcode is None or fall_P is None:
        return Pulses.plain(rise_P[finite])
    return read_barcode(rise_P[finite], fall_P[finite], pair.barcode)


def _rises(stream: xr.Dataset) -> Times:
    """Return when pulses began: events, starts of intervals, or sample times such as frames."""
    names: Iterable[str] = ("event_time", "start_time", "time")
    name = next(name for name in names if name in stream.variables)
    return np.asarray(stream[name].values, np.float64)


def _falls(stream: xr.Dataset) -> Times | None:
    if "stop_time" in stream:
        return np.asarray(stream["stop_time"].values, np.float64)
    if "event_time" in stream and "duration" in stream:
        return np.asarray((stream["event_time"] + stream["duration"]).values, np.float64)
    return None
