"""Around events: what neurons, behaviour and other events do around each kind of event."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle

import numpy as np
import xarray as xr
from plotly import graph_objects as go

from schemas.settings.report import ReportSettings
from tasks.common.matrices import behaviour_matrix, neural_matrix
from tasks.common.segments import sample_period
from tasks.common.trials import as_dask
from tasks.report.alignment import take_in_turn
from tasks.report.elements import Block, Chart, Section, note, paragraph
from tasks.report.envelope import spread_rows
from tasks.report.event_units import Row, neuron_rows, spike_rows
from tasks.report.evidence import Evidence
from tasks.report.figures import (
    FAINT,
    KIND_COLOURS,
    SERIES,
    band,
    hide_row_names,
    label,
    stack_rows,
)
from tasks.report.responses import (
    FEWEST_EVENTS,
    Anchor,
    Response,
    Times,
    Trains,
    choose_anchors,
    find_events,
    mean_around,
    rate_around,
    read_trains,
)

TITLE, SLUG = "Around events", "events"
QUESTION = "What do neurons and behaviour do around trials and events?"
MOST_EVENTS = 400
"""Events that a mean is over."""
MOST_ROWS, MOST_MARKS = 120, 8_000
"""Events of a raster, and about how many marks they may have."""
BINS = 150


@dataclass(frozen=True)
class Session:
    """What is looked at around events.

    tables : times of each kind of event, as `find_events` gives them
    neurons, behaviour : matrices over time, None of a session that is not aligned
    spikes : spikes of each stream, at the clock of the session
    """

    tables: Mapping[str, Times]
    neurons: xr.DataArray | None
    behaviour: xr.DataArray | None
    spikes: Mapping[str, Trains]


def write_events(evidence: Evidence, settings: ReportSettings) -> Section:
    """Return a chart for each kind of event: neurons, behaviour, other events around it."""
    tree = next(
        (evidence.trees[k] for k in ("aligned", "preprocessed", "streams") if k in evidence.trees),
        None,
    )
    if tree is None:
        return Section(SLUG, TITLE, QUESTION, (note(evidence.why_missing("streams")),), empty=True)
    session = _gather(tree, evidence.trees.get("preprocessed"), settings.max_rows)
    anchors = choose_anchors(session.tables, settings.event_kinds)
    if not anchors:
        missing = f"No table of trials or events has {FEWEST_EVENTS} entries or more."
        return Section(SLUG, TITLE, QUESTION, (note(missing),), empty=True)
    charts = [
        chart
        for number, anchor in enumerate(anchors)
        if (chart := draw_anchor(number, anchor, session, settings)) is not None
    ]
    blocks: list[Block] = [
        paragraph(
            "Lines are means over events with their 95 % interval. A unit's colour is how far its "
            "mean lies from that before the event, in standard deviations over the time drawn. "
            "Units are ordered by every other event and drawn from the rest: ordered by what is "
            "drawn, noise would look like a sequence."
        ),
        *charts,
    ]
    left = sorted(set(session.tables) - {anchor.name for anchor in anchors})
    if left:
        blocks.append(paragraph(f"Not drawn around: {', '.join(left)}."))
    return Section(SLUG, TITLE, QUESTION, tuple(blocks), empty=not charts)


def _gather(tree: xr.DataTree, preprocessed: xr.DataTree | None, most: int) -> Session:
    tables = find_events(tree)
    if "clock" not in tree.children:
        return Session(tables, None, None, _read_spikes(tree, most))
    # Spikes of a device with a clock of its own are on the session's only in the aligned counts.
    spikes = {} if preprocessed is None else _read_spikes(preprocessed, most, tree.children)
    lazy = tree.map_over_datasets(as_dask)
    neurons = neural_matrix(lazy)["activity"]
    others = np.flatnonzero(~np.isin(neurons["stream"].values, list(spikes)))
    return Session(tables, neurons.isel(unit=others), behaviour_matrix(lazy)["behaviour"], spikes)


def _read_spikes(
    tree: xr.DataTree, most: int, aligned: Container[str] | None = None
) -> dict[str, Trains]:
    """Read the streams of spikes; of an aligned session those that are on its clock."""
    return {
        name: read_trains(node.to_dataset(inherit=False), most)
        for name, node in tree.children.items()
        if node.attrs.get("stream_kind") == "spikes"
        and (aligned is None or (name in aligned and not node.attrs.get("clock")))
    }


def draw_anchor(
    number: int, anchor: Anchor, session: Session, settings: ReportSettings
) -> Chart | None:
    """Draw what happens around one kind of event; None if there is nothing to draw."""
    event_s = anchor.spread(MOST_EVENTS)
    period = 0.0
    if session.behaviour is not None:
        period = sample_period(np.asarray(session.behaviour["time"].values, np.float64))
    window = (
        max(settings.before_event_s, 3 * period),
        max(settings.after_event_s, 5 * period),
    )
    edges = np.linspace(-window[0], window[1], BINS + 1)
    rows = [
        *spike_rows(session.spikes, event_s, edges),
        *neuron_rows(session.neurons, event_s, window, settings),
        *_behaviour_rows(session.behaviour, event_s, window, settings),
        *_event_rows(session.tables, anchor.name, event_s, edges),
    ]
    if not rows:
        return None
    figure = stack_rows(
        [row.height for row in rows], [row.name for row in rows], x=f"time from {anchor.name} [s]"
    )
    for at, row in enumerate(rows, start=1):
        for trace in row.traces:
            figure.add_trace(trace, row=at, col=1)
        low, high = figure.layout[f"yaxis{at if at > 1 else ''}"].domain
        bar = {"y": (low + high) / 2, "len": high - low, "thickness": 10}
        figure.update_traces(colorbar=bar, row=at, col=1, selector={"type": "heatmap"})
        if row.names:
            hide_row_names(figure, row.names, row=at, col=1)
    figure.update_xaxes(range=[-window[0], window[1]])
    figure.add_vline(x=0, line={"color": FAINT, "width": 1, "dash": "dot"})
    figure.update_layout(showlegend=any(t.showlegend for row in rows for t in row.traces))
    count = f"{len(event_s):,} of {len(anchor.event_s):,} times, evenly picked."
    caption = count if len(event_s) < len(anchor.event_s) else f"All {len(event_s):,} times."
    return Chart(f"events-{number}", figure, f"Around {anchor.name}", caption)


def _behaviour_rows(
    behaviour: xr.DataArray | None,
    event_s: Times,
    window: tuple[float, float],
    settings: ReportSettings,
) -> Iterator[Row]:
    if behaviour is None or not behaviour.sizes["channel"]:
        return
    streams = [str(name) for name in behaviour["stream"].values]
    picked = take_in_turn(streams, settings.behaviours)
    response = mean_around(behaviour.isel(channel=picked), event_s, *window)
    if response is None:
        return
    for column, at in enumerate(picked):
        kind = str(behaviour["kind"].values[at])
        name = label(behaviour["channel"].values[at])
        traces = _mean_and_band(response, column, name, KIND_COLOURS.get(kind, FAINT))
        yield Row(name, 64, traces)


def _mean_and_band(response: Response, column: int, name: str, colour: str) -> list[go.Scatter]:
    mean_T, half_T = response.mean_TC[:, column], response.half_TC[:, column]
    return [
        band(response.lag_T, mean_T - half_T, mean_T + half_T, colour),
        _curve(response.lag_T, mean_T, name, colour),
    ]


def _curve(x: Times, y: Times, name: str, colour: str) -> go.Scatter:
    return go.Scatter(
        x=x, y=y, mode="lines", name=name, line={"color": colour, "width": 1.5},
        hovertemplate="%{x:.3f} s<br>%{y:.4g}<extra>" + name + "</extra>", showlegend=False,
    )  # fmt: skip


def _event_rows(
    tables: Mapping[str, Times], anchor: str, event_s: Times, edges: Times
) -> Iterator[Row]:
    """Yield how often other events are, and each of them, one row of marks an event."""
    lag_T = (edges[1:] + edges[:-1]) / 2
    colours = dict(zip(tables, cycle(SERIES), strict=False))
    others = (name for name in tables if name != anchor)
    rates = {name: rate_around(tables[name], event_s, edges) for name in others}
    # Those whose number changes most around the event: all others fall anywhere.
    shown = sorted(rates, key=lambda name: -float(np.ptp(rates[name])))[: len(SERIES)]
    shown = [name for name in shown if rates[name].any()]
    if not shown:
        return
    curves = [_curve(lag_T, rates[name], label(name), colours[name]) for name in shown]
    yield Row("other events a second", 90, [c.update(showlegend=True) for c in curves])
    width = edges[-1] - edges[0]
    marks_an_event = sum(float(rates[name].mean()) * width for name in shown)
    rows_s = event_s[spread_rows(len(event_s), int(min(MOST_ROWS, MOST_MARKS / marks_an_event)))]
    marks = [_marks(tables[n], rows_s, edges, label(n), colours[n]) for n in shown]
    height = max(120, min(320, 40 + 3 * len(rows_s)))
    yield Row(f"each of them, around {len(rows_s):,} of the times, one a row", height, marks)


def _marks(times: Times, rows_s: Times, edges: Times, name: str, colour: str) -> go.Scatter:
    first = np.searchsorted(times, rows_s + edges[0])
    stop = np.searchsorted(times, rows_s + edges[-1])
    row = np.repeat(np.arange(len(rows_s)), stop - first)
    at = np.concatenate([np.arange(a, b) for a, b in zip(first, stop, strict=True)]).astype(int)
    return go.Scatter(
        x=(times[at] - rows_s[row]).astype(np.float32),
        y=row + 1,
        mode="markers",
        name=name,
        marker={"symbol": "line-ns", "size": 5, "line": {"width": 1.2, "color": colour}},
        hovertemplate="row %{y}<br>%{x:.3f} s<extra>" + name + "</extra>",
        showlegend=False,
    )
