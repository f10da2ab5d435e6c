"""What follows an event: which moments are worth a look, rates and means around them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.entities import TABLE_KINDS
from tasks.common.segments import sample_period
from tasks.common.trials import STARTS, as_dask, cut_trials
from tasks.report.envelope import spread_rows

Times = NDArray[np.float64]

FEWEST_EVENTS = 5
"""Of fewer a mean tells nothing."""
SAME_S = 1e-3
"""Two kinds of events that always lie nearer together than this are one."""
NOT_TRIALS = frozenset({"invalid_times"})
SYNC_LINE = "[line: "
"""What descriptions of pulses say that relate clocks and mean nothing to the animal."""
NORMAL_95 = 1.96


@dataclass(frozen=True)
class Anchor:
    """Moments of one kind that neurons and behaviour are looked at around.

    name : the table, or `table/column`, as `tree.tectum.trials` takes it
    event_s : (event,) seconds, ascending
    """

    name: str
    event_s: Times

    def spread(self, most: int) -> Times:
        """Return at most so many of the events, evenly spread."""
        picked: Times = self.event_s[spread_rows(len(self.event_s), most)]
        return picked


class Response(NamedTuple):
    """Means over events; `half_TC` is half the width of their 95 % interval.

    lag_T : (time,) seconds from the event
    mean_TC, half_TC : (time, column), NaN where nothing was valid
    """

    lag_T: Times
    mean_TC: NDArray[np.float64]
    half_TC: NDArray[np.float64]


def find_events(session: xr.DataTree) -> dict[str, Times]:
    """Return the finite times of each table, ascending: of events, or the starts of intervals.

    A table of intervals also gives each of its columns `..._time` that is of seconds within the
    table's own extent (a go cue, a response), as `table/column`.
    """
    found: dict[str, Times] = {}
    for name, node in session.children.items():
        kind = node.attrs.get("stream_kind")
        if kind not in TABLE_KINDS or name in NOT_TRIALS:
            continue
        if SYNC_LINE in node.attrs.get("description", ""):
            continue
        table = node.to_dataset(inherit=False)
        first = found[name] = _finite(table[STARTS[kind]])
        if kind == "intervals" and len(first):
            last = max(_finite(table["stop_time"]).max(initial=-np.inf), first[-1])
            for column in sorted({str(c) for c in table.data_vars} - {"start_time", "stop_time"}):
                if column.endswith("_time") and table[column].dtype.kind == "f":
                    moment = _finite(table[column])
                    if len(moment) and first[0] <= moment[0] and moment[-1] <= last:
                        found[f"{name}/{column}"] = moment
    return found


def choose_anchors(events: Mapping[str, Times], most: int) -> list[Anchor]:
    """Return the kinds of events to look around: trials, times within them, then the rarest.

    Kinds with fewer than five events are left out, and those that are always at the time of one
    that was taken already.
    """
    enough = {name: at for name, at in events.items() if len(at) >= FEWEST_EVENTS}

    def interest(name: str) -> tuple[bool, float]:
        return "/" not in name, -float(np.median(np.diff(enough[name])))

    tables = {"trials", *(name.partition("/")[0] for name in enough if "/" in name)}
    order = sorted(enough, key=lambda name: (name not in tables, *interest(name)))
    chosen: list[Anchor] = []
    for name in order:
        if len(chosen) < most and not any(_alike(enough[name], c.event_s) for c in chosen):
            chosen.append(Anchor(name, enough[name]))
    return chosen


def _finite(times: xr.DataArray) -> Times:
    values = np.asarray(times.values, np.float64)
    return np.sort(values[np.isfinite(values)])


def _alike(one: Times, other: Times) -> bool:
    return len(one) == len(other) and bool(np.abs(one - other).max() < SAME_S)


def rate_around(times: Times, event_s: Times, edges: Times) -> Times:
    """Return (bin,) how often a second something happens at each lag after an event.

    times, event_s : seconds, `times` ascending
    edges : (bin + 1,) seconds from the event
    """
    before = np.searchsorted(times, event_s[:, None] + edges)
    rate: Times = np.diff(before, axis=1).sum(0) / (max(len(event_s), 1) * np.diff(edges))
    return rate


@dataclass(frozen=True)
class Trains:
    """The spikes of some units, read and sorted once.

    unit_U : names
    time_US : ascending spike times of each unit in seconds
    observed_UO : start and stop of the spans in which each was observed; None where not told
    """

    unit_U: NDArray[np.generic]
    time_US: list[Times]
    observed_UO: list[tuple[Times, Times]] | None


def read_trains(spikes: xr.Dataset, most: int) -> Trains:
    """Read the spikes of at most so many of the units that are kept, evenly spread."""
    keep = spikes["keep"].values if "keep" in spikes else np.ones(spikes.sizes["unit"], bool)
    kept = np.flatnonzero(keep)
    units = kept[spread_rows(len(kept), most)]
    unit_S = np.asarray(spikes["unit_index"].values)
    own = np.flatnonzero(np.isin(unit_S, units))
    unit_S, time_S = unit_S[own], np.asarray(spikes["spike_time"].values, np.float64)[own]
    order = np.lexsort((time_S, unit_S))
    unit_S, time_S = unit_S[order], time_S[order]
    first, stop = (np.searchsorted(unit_S, units, side=side) for side in ("left", "right"))
    time_US = [time_S[a:b] for a, b in zip(first, stop, strict=True)]
    observed_UO = None
    if "observed_start" in spikes:
        own_O, start_O, stop_O = (
            np.asarray(spikes[f"observed_{part}"].values) for part in ("unit", "start", "stop")
        )
        observed_UO = [(start_O[own_O == unit], stop_O[own_O == unit]) for unit in units]
    return Trains(spikes["unit"].values[units], time_US, observed_UO)


def unit_rates(trains: Trains, event_s: Times, edges: Times) -> NDArray[np.float64]:
    """Return (bin, unit) firing rates around events.

    By the time that a unit was observed; NaN in bins of less than five events' worth of it.
    """
    rate_TU = np.stack([rate_around(time_S, event_s, edges) for time_S in trains.time_US], 1)
    if trains.observed_UO is None:
        return rate_TU
    share_TU = np.stack(
        [share_observed(start, stop, event_s, edges) for start, stop in trains.observed_UO], 1
    )
    enough = share_TU * len(event_s) >= min(FEWEST_EVENTS, len(event_s))
    return np.asarray(
        np.divide(rate_TU, share_TU, out=np.full(rate_TU.shape, np.nan), where=enough)
    )


def share_observed(start_O: Times, stop_O: Times, event_s: Times, edges: Times) -> Times:
    """Return (bin,) which part of the bins around all events lies within some spans."""
    order = np.argsort(start_O, kind="stable")
    stop_O = np.maximum.accumulate(stop_O[order])
    # Of spans that overlap the later one counts from where the earlier ones end.
    start_O = np.maximum(start_O[order], np.append(-np.inf, stop_O[:-1]))
    corner_C = np.stack([start_O, stop_O], 1).ravel()
    seconds_C = np.append(
        0.0, np.cumsum(np.diff(corner_C) * (np.arange(len(corner_C) - 1) % 2 == 0))
    )
    if not len(corner_C):
        return np.zeros(len(edges) - 1)
    within = np.interp(event_s[:, None] + edges, corner_C, seconds_C)
    share: Times = np.diff(within, axis=1).mean(0) / np.diff(edges)
    return share


def mean_around(
    values: xr.DataArray, event_s: Times, before_s: float, after_s: float
) -> Response | None:
    """Return means of (time, column) values over events; None if too few moments are sampled.

    Read in the stream's chunks, a block of events at a time.
    """
    step = sample_period(np.asarray(values["time"].values, np.float64))
    if not np.isfinite(step) or before_s + after_s < 2 * step:
        return None
    stream = as_dask(values.rename("value").to_dataset())
    cut = cut_trials(stream, event_s, before_s, after_s)["value"]
    known = cut.notnull().sum("trial")
    half = NORMAL_95 * cut.std("trial", ddof=1) / np.sqrt(known.where(known > 1))
    found = xr.Dataset({"mean": cut.mean("trial"), "half": half}).astype(np.float64).compute()
    return Response(
        np.asarray(found["time"].values, np.float64), found["mean"].values, found["half"].values
    )


def score_rows(mean_TC: NDArray[np.float64], lag_T: Times) -> NDArray[np.float64]:
    """Return (column, time) how far each mean lies from that before the event, in its SDs.

    Not in SDs before the event: a unit that is silent then would outshine all others.
    """
    before = lag_T < 0
    centre_C = _mean_known(mean_TC[before] if before.any() else mean_TC)
    sd_C = np.sqrt(_mean_known((mean_TC - _mean_known(mean_TC)) ** 2))
    away_TC = mean_TC - np.where(np.isfinite(centre_C), centre_C, _mean_known(mean_TC))
    score_TC = np.divide(away_TC, sd_C, out=np.zeros_like(away_TC), where=sd_C > 0)
    return np.where(np.isfinite(mean_TC), score_TC, np.nan).T


def _mean_known(values_TC: NDArray[np.float64]) -> NDArray[np.float64]:
    known = np.isfinite(values_TC)
    total_C, count_C = np.where(known, values_TC, 0).sum(0), known.sum(0)
    empty_C = np.full(len(total_C), np.nan)
    return np.asarray(np.divide(total_C, count_C, out=empty_C, where=count_C > 0))


def order_by_peak(score_CT: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return rows by when they differ most from before the event, earliest first."""
    return np.argsort(np.abs(np.nan_to_num(score_CT)).argmax(1), kind="stable")
