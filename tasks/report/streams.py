"""Streams: what was recorded, where each stream has valid data, and a look at each."""

import numpy as np
import xarray as xr
from markupsafe import Markup
from plotly import graph_objects as go

from schemas.entities import TABLE_KINDS
from schemas.settings.report import ReportSettings
from tasks.report.elements import (
    Block,
    Cell,
    Chart,
    Section,
    chip,
    count_of,
    details,
    format_number,
    heading,
    keep_together,
    note,
    paragraph,
    table,
)
from tasks.report.evidence import Evidence
from tasks.report.figures import KIND_COLOURS, bar_height, distinct_labels, new_figure
from tasks.report.previews import preview_stream
from tasks.report.stream_facts import StreamFacts, describe_stream
from tasks.report.unit_quality import tell_unit_quality

TITLE, SLUG = "Streams", "streams"
QUESTION = "What was recorded, when is it valid, and does it look as it should?"
MOST_BARS = 4_000


def write_streams(evidence: Evidence, settings: ReportSettings) -> Section:
    """Return the table of streams, their timeline and a preview of each."""
    raw = read_groups(evidence.trees.get("streams"))
    cleaned = read_groups(evidence.trees.get("preprocessed"))
    shown = cleaned or raw
    if not shown:
        return Section(SLUG, TITLE, QUESTION, (note(evidence.why_missing("streams")),), empty=True)
    told = [describe_stream(name, stream) for name, stream in shown.items()]
    blocks: list[Block] = [stream_table(told)]
    if not cleaned:
        blocks.append(note(f"Shown as recorded. {evidence.why_missing('preprocessed')}"))
    elif (dropped := sorted(set(raw) - set(cleaned))) and raw:
        blocks.append(note(f"Not carried on after preprocessing: {', '.join(dropped)}."))
    blocks += [
        Chart(
            "streams-timeline",
            draw_timeline(told),
            "Where each stream has valid data",
            "Gaps shorter than a five-hundredth of a stream's extent are not drawn.",
        ),
        _cleaning(told),
        _set_aside(shown),
        tell_unit_quality(shown),
    ]
    looks = [
        block
        for name, stream in shown.items()
        for block in preview_stream(name, stream, raw.get(name), settings)
    ]
    blocks += [heading("A look at each stream"), *looks] if looks else []
    return Section(SLUG, TITLE, QUESTION, tuple(blocks))


def read_groups(tree: xr.DataTree | None) -> dict[str, xr.Dataset]:
    """Return the streams of a tree by name, lazily; nothing of no tree."""
    if tree is None:
        return {}
    return {
        name: node.to_dataset(inherit=False)
        for name, node in tree.children.items()
        if "stream_kind" in node.attrs
    }


def stream_table(told: list[StreamFacts]) -> Markup:
    """Return one row a stream."""
    columns = ["stream", "kind", "columns", "samples", "rate", "extent", "gaps", "valid", "unit"]
    return table([*columns, "source"], [_row(facts) for facts in told])


def _row(facts: StreamFacts) -> list[Cell]:
    rate = f"{format_number(facts.rate_hz)} Hz" if np.isfinite(facts.rate_hz) else ""
    known = np.isfinite([facts.start, facts.stop]).all()
    valid = f"{100 * facts.valid:.1f} %" if np.isfinite(facts.valid) else ""
    return [
        Markup("<strong>{}</strong>").format(facts.name),
        kind_mark(facts.kind),
        keep_together(count_of(facts.columns, facts.column_name) if facts.columns else ""),
        facts.samples,
        keep_together(rate),
        keep_together(f"{facts.start:,.1f} – {facts.stop:,.1f} s" if known else ""),
        facts.gaps if facts.kind not in TABLE_KINDS and facts.kind != "spikes" else None,
        keep_together(valid),
        facts.units,
        Markup('<span class="path">{}</span>').format(facts.source),
    ]


def kind_mark(kind: str) -> Markup:
    """Return a kind with the colour that it has in every chart."""
    colour = KIND_COLOURS.get(kind, KIND_COLOURS["signal"])
    return Markup('<span class="kind"><i style="background:{}"></i>{}</span>').format(colour, kind)


def draw_timeline(told: list[StreamFacts]) -> go.Figure:
    """Draw a bar wherever a stream has valid data, streams below one another."""
    figure = new_figure(bar_height(len(told), each=30, extra=70), x="time [s]")
    for name, facts in zip(distinct_labels([f.name for f in told]), told, strict=True):
        spans = facts.spans[:MOST_BARS]
        colour = KIND_COLOURS.get(facts.kind, KIND_COLOURS["signal"])
        # A moment would have no width: events are ticks of their own.
        moments = spans[spans[:, 0] == spans[:, 1], 0]
        bars = spans[spans[:, 0] < spans[:, 1]]
        figure.add_bar(
            x=bars[:, 1] - bars[:, 0],
            base=bars[:, 0],
            y=[name] * len(bars),
            orientation="h",
            marker={"color": colour, "line": {"width": 0}},
            width=0.55,
            customdata=bars[:, 1],
            hovertemplate="%{y}<br>%{base:.2f} – %{customdata:.2f} s<extra></extra>",
        )
        figure.add_scatter(
            x=moments,
            y=[name] * len(moments),
            mode="markers",
            marker={"symbol": "line-ns", "size": 14, "line": {"width": 1, "color": colour}},
            hovertemplate="%{y}<br>%{x:.3f} s<extra></extra>",
        )
    figure.update_layout(barmode="overlay")
    figure.update_yaxes(
        type="category",
        categoryorder="array",
        categoryarray=distinct_labels([f.name for f in told])[::-1],
        showgrid=False,
    )
    return figure


def _cleaning(told: list[StreamFacts]) -> Markup:
    """Return what preprocessing did to each stream."""
    rows: list[list[Cell]] = [
        [facts.name, Markup("<br>").join(Markup("{}").format(step) for step in facts.operations)]
        for facts in told
        if facts.operations
    ]
    return details("What was done to each stream", table(["stream", "steps"], rows)) * bool(rows)


def _set_aside(streams: dict[str, xr.Dataset]) -> Markup:
    """Return the units and channels that preprocessing set aside, with the reasons."""
    rows: list[list[Cell]] = []
    counted = 0
    for name, stream in streams.items():
        if "keep" not in stream or "reason" not in stream:
            continue
        kept = np.asarray(stream["keep"].values, bool)
        counted += kept.size
        column = str(stream["keep"].dims[0])
        reasons = stream["reason"].values
        rows += [
            [name, str(stream[column].values[at]), chip("warn"), str(reasons[at])]
            for at in np.flatnonzero(~kept)
        ]
    if not counted:
        return Markup("")
    if not rows:
        return paragraph(f"None of {counted:,} units and channels was set aside.")
    title = f"{len(rows):,} of {counted:,} units and channels set aside"
    return details(title, table(["stream", "column", "", "why"], rows))
