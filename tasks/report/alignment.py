"""Alignment: the common time axis, how each stream was brought onto it, and the result."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from markupsafe import Markup
from numpy.typing import NDArray
from plotly import graph_objects as go
from scipy.cluster.hierarchy import leaves_list, linkage

from schemas.entities import TABLE_KINDS
from schemas.settings.report import ReportSettings
from tasks.common.matrices import behaviour_matrix, neural_matrix
from tasks.common.segments import split_runs
from tasks.report.elements import (
    Block,
    Cell,
    Chart,
    Section,
    details,
    facts,
    format_number,
    format_seconds,
    heading,
    meter,
    note,
    paragraph,
    table,
)
from tasks.report.envelope import Image, average_bins, draw_envelope, scale_rows
from tasks.report.evidence import Evidence
from tasks.report.figures import (
    KIND_COLOURS,
    hide_row_names,
    image_matrix,
    label,
    line,
    stack_rows,
)
from tasks.report.previews import describe_image
from tasks.report.stream_facts import list_operations, valid_fraction
from tasks.report.streams import kind_mark
from tasks.report.sync import write_clocks

TITLE, SLUG = "Alignment", "alignment"
QUESTION = "Do all streams share one clock, and what had to be done to bring them there?"
WAYS = {
    "mean": "averaged over each bin",
    "band_limited": "filtered below the Nyquist frequency",
    "linear": "interpolated linearly",
    "nearest": "nearest sample",
    "previous": "last sample before",
    "counts per bin": "spikes counted in each bin",
}
LABELS = ("resampling", "resampled", "method")


def write_alignment(evidence: Evidence, settings: ReportSettings) -> Section:
    """Return the axis, the share of valid samples, the resampling, and neurons over behaviour."""
    aligned = evidence.trees.get("aligned")
    if aligned is None:
        missing = (note(evidence.why_missing("aligned")), *write_clocks(evidence))
        return Section(SLUG, TITLE, QUESTION, missing, empty=len(missing) == 1)
    clock = aligned.children["clock"].to_dataset(inherit=False)
    streams = {
        name: node.to_dataset(inherit=False)
        for name, node in aligned.children.items()
        if name != "clock" and node.attrs.get("stream_kind") not in TABLE_KINDS
    }
    clocks = write_clocks(evidence)
    blocks: list[Block] = [
        *clocks,
        *([heading("Time axis")] if clocks else []),
        describe_axis(clock),
        _stream_table(streams),
        _segments(clock),
        paragraph("Valid samples are backed by real data; the others are missing, not filled in."),
    ]
    neural, behaviour = neural_matrix(aligned), behaviour_matrix(aligned)
    if neural.sizes["unit"] + behaviour.sizes["channel"]:
        blocks.append(draw_session(neural, behaviour, settings))
    return Section(SLUG, TITLE, QUESTION, tuple(blocks))


def describe_axis(clock: xr.Dataset) -> Markup:
    """Return the facts of the common axis."""
    time_T = np.asarray(clock["time"].values, float)
    segment_T = np.asarray(clock["segment"].values)
    used = segment_T >= 0
    rate = float(clock.attrs["rate_hz"])
    return facts(
        [
            ("rate", f"{format_number(rate)} Hz"),
            ("reference", str(clock.attrs["reference"])),
            ("samples", len(time_T)),
            ("covers", format_seconds(used.sum() / rate) if rate else ""),
            ("gapless segments", len(np.unique(segment_T[used]))),
            ("samples without any stream", int((~used).sum())),
        ]
    )


def _stream_table(streams: dict[str, xr.Dataset]) -> Markup:
    rows: list[list[Cell]] = []
    for name, stream in streams.items():
        column = "unit" if "unit" in stream.dims else "channel"
        rows.append(
            [
                Markup("<strong>{}</strong>").format(name),
                kind_mark(str(stream.attrs["stream_kind"])),
                stream.sizes.get(column, 0),
                meter(valid_fraction(stream)),
                tell_resampling(stream),
            ]
        )
    return table(["stream", "kind", "columns", "valid", "how it came onto the axis"], rows)


def tell_resampling(stream: xr.Dataset) -> str:
    """Return how a stream was resampled, as its attributes or its provenance tell."""
    said = [
        WAYS.get(str(stream.attrs[key]), str(stream.attrs[key]))
        for key in LABELS
        if stream.attrs.get(key)
    ]
    operations = list_operations(stream)
    return "; ".join(said) or (operations[-1] if operations else "")


def _segments(clock: xr.Dataset) -> Markup:
    """Return the list of gapless segments where there are several."""
    time_T = np.asarray(clock["time"].values, float)
    segment_T = np.asarray(clock["segment"].values)
    runs = [run for run in split_runs(segment_T) if segment_T[run.start] >= 0]
    if len(runs) < 2:
        return Markup("")
    rows: list[list[Cell]] = [
        [
            int(segment_T[run.start]),
            float(time_T[run.start]),
            float(time_T[run.stop - 1]),
            run.stop - run.start,
        ]
        for run in runs
    ]
    listed = table(["segment", "from [s]", "to [s]", "samples"], rows)
    return details(f"{len(runs):,} gapless segments", listed)


def draw_session(neural: xr.Dataset, behaviour: xr.Dataset, settings: ReportSettings) -> Chart:
    """Draw all neurons above all behaviour on one time axis that zooms as one."""
    units = neural.sizes["unit"]
    streams = [str(name) for name in behaviour["stream"].values]
    channels = take_in_turn(streams, settings.behaviours)
    names = [label(behaviour["channel"].values[at]) for at in channels]
    top = [min(520, 120 + 4 * min(units, settings.max_rows))] if units else []
    figure = stack_rows([*top, *[58] * len(channels)], ["neurons"] * len(top) + names)
    caption = []
    if units:
        image, order = order_units(neural, settings)
        figure.add_trace(
            image_matrix(
                image,
                neural["unit"].values[image.rows],
                colorbar={"len": 0.5, "y": 1, "yanchor": "top"},
            ),
            row=1,
            col=1,
        )
        hide_row_names(figure, len(image.rows), row=1, col=1)
        caption.append(describe_image(len(image.rows), units, image.averaged, "neurons") + order)
    _add_behaviour(figure, behaviour, channels, settings, first=2 if units else 1)
    left = behaviour.sizes["channel"] - len(channels)
    if left:
        caption.append(f"{left} more behaviour channels are not drawn.")
    return Chart("alignment-session", figure, "Neurons and behaviour", " ".join(caption))


def _add_behaviour(
    figure: go.Figure,
    behaviour: xr.Dataset,
    channels: list[int],
    settings: ReportSettings,
    first: int,
) -> None:
    time_T = np.asarray(behaviour["time"].values, float)
    segment_T = np.asarray(behaviour["segment"].values)
    for row, at in enumerate(channels, start=first):
        column = behaviour["behaviour"].isel(channel=at)
        colour = KIND_COLOURS.get(str(behaviour["kind"].values[at]), KIND_COLOURS["signal"])
        name = label(behaviour["channel"].values[at])
        trace = draw_envelope(time_T, column, settings.max_points, segment_T)
        figure.add_trace(line(trace, name, colour), row=row, col=1)


def order_units(neural: xr.Dataset, settings: ReportSettings) -> tuple[Image, str]:
    """Return the activity as an image, similar units next to each other within a stream."""
    time_T = np.asarray(neural["time"].values, float)
    image = average_bins(time_T, neural["activity"], settings.max_columns, settings.max_rows)
    scaled = scale_rows(image.mean_RB)
    streams = neural["stream"].values[image.rows]
    order = np.concatenate(
        [
            at[order_similar(scaled[at])]
            for name in dict.fromkeys(streams)
            if (at := np.flatnonzero(streams == name)).size
        ]
    )
    sorted_image = Image(
        image.start, image.seconds, scaled[order], image.rows[order], image.averaged
    )
    return sorted_image, " Neurons of a stream are ordered by similarity (average linkage)."


def order_similar(values_RB: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return an order of rows in which correlated ones are neighbours."""
    if len(values_RB) < 3:
        return np.arange(len(values_RB))
    filled = np.nan_to_num(values_RB - np.nanmean(np.nan_to_num(values_RB), axis=1, keepdims=True))
    length = np.linalg.norm(filled, axis=1, keepdims=True)
    unit_RB = np.divide(filled, length, out=np.zeros_like(filled), where=length > 0)
    # Euclidean distance of unit vectors grows with 1 - correlation.
    tree = linkage(unit_RB, method="average", optimal_ordering=len(unit_RB) <= 400)
    return np.asarray(leaves_list(tree), np.intp)


def take_in_turn(groups: Sequence[str], most: int) -> list[int]:
    """Return at most `most` positions, from each group in turn, in their own order."""
    queues = {name: [i for i, g in enumerate(groups) if g == name] for name in groups}
    picked: list[int] = []
    while len(picked) < min(most, len(groups)):
        for queue in queues.values():
            if queue and len(picked) < most:
                picked.append(queue.pop(0))
    return sorted(picked)
