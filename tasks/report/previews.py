"""A look at one stream: traces, an image of units, a raster, a table of intervals."""

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from plotly import graph_objects as go

from schemas.settings.report import ReportSettings
from tasks.report.elements import Block, Chart
from tasks.report.envelope import BLOCK, average_bins, draw_envelope, scale_rows, spread_rows
from tasks.report.figures import (
    FAINT,
    KIND_COLOURS,
    distinct_labels,
    hide_row_names,
    image_matrix,
    label,
    line,
    matrix,
    new_figure,
    stack_rows,
)

RASTER_SPIKES = 6_000


def preview_stream(
    name: str, stream: xr.Dataset, raw: xr.Dataset | None, settings: ReportSettings
) -> list[Block]:
    """Return charts of one stream by its kind; none of a stream without samples."""
    kind = str(stream.attrs["stream_kind"])
    if kind == "spikes":
        return preview_spikes(name, stream, settings)
    if "time" not in stream.dims or stream.sizes["time"] < 2:
        return []
    if kind == "calcium":
        return [preview_units(name, stream, settings)]
    columns = read_columns(stream)
    return [] if columns is None else [preview_traces(name, kind, columns, raw, settings)]


def preview_units(name: str, stream: xr.Dataset, settings: ReportSettings) -> Chart:
    """Draw the activity of units over time, each scaled to its own range."""
    values = mask_invalid(stream, stream[stream.attrs["primary"]])
    times = np.asarray(stream["time"].values, float)
    image = average_bins(times, values, settings.max_columns, settings.max_rows)
    scaled = type(image)(
        image.start, image.seconds, scale_rows(image.mean_RB), image.rows, image.averaged
    )
    figure = new_figure(max(220, min(560, 120 + 4 * len(image.rows))), x="time [s]")
    figure.add_trace(image_matrix(scaled, stream["unit"].values[image.rows]))
    hide_row_names(figure, len(image.rows))
    return Chart(
        f"stream-{name}",
        figure,
        name,
        describe_image(image.rows.size, values.shape[1], image.averaged, "units"),
    )


def describe_image(rows: int, of: int, averaged: float, noun: str) -> str:
    """Return what an image leaves out."""
    shown = f"All {of:,} {noun}" if rows == of else f"{rows:,} of {of:,} {noun}, evenly picked"
    if averaged > 1.5:
        return f"{shown}; each column is the mean of about {averaged:.0f} samples."
    return f"{shown}; every sample is drawn."


def mask_invalid(stream: xr.Dataset, values: xr.DataArray) -> xr.DataArray:
    """Return values with NaN where the stream says that they are not valid, lazily."""
    return values.where(stream["valid"]) if "valid" in stream else values


def read_columns(stream: xr.Dataset) -> xr.DataArray | None:
    """Return a sampled stream as (time, channel), lazily; poses as keypoint coordinates."""
    if stream.attrs["stream_kind"] == "pose" and "position" in stream:
        masked = mask_invalid(stream, stream[stream.attrs["primary"]])
        flat = masked.stack(channel=("individual", "keypoint", "space"), create_index=False)
        names = [
            " ".join(str(part) for part in parts if str(part) not in {"", "individual_0"})
            for parts in zip(
                flat["individual"].values,
                flat["keypoint"].values,
                flat["space"].values,
                strict=True,
            )
        ]
        flat = flat.drop_vars(["individual", "keypoint", "space"])
        return flat.assign_coords(channel=names).transpose("time", "channel")
    primary = "value" if "value" in stream else str(stream.attrs["primary"])
    if primary not in stream or stream[primary].dims != ("time", "channel"):
        return None
    return mask_invalid(stream, stream[primary])


def preview_traces(
    name: str,
    kind: str,
    columns: xr.DataArray,
    raw: xr.Dataset | None,
    settings: ReportSettings,
) -> Chart:
    """Draw a few channels below one another; grey behind them what was recorded."""
    count = columns.sizes["channel"]
    picked = spread_rows(count, settings.preview_channels)
    colour = KIND_COLOURS.get(kind, KIND_COLOURS["signal"])
    before = _same_columns(columns, raw)
    names = [label(columns["channel"].values[at]) for at in picked]
    figure = stack_rows([78] * len(picked), names)
    times = np.asarray(columns["time"].values, float)
    reduced = False
    for row, at in enumerate(picked, start=1):
        if before is not None:
            earlier = draw_envelope(times, before.isel(channel=at), settings.max_points)
            figure.add_trace(
                line(earlier, "as recorded", FAINT, opacity=0.55, width=0.9), row=row, col=1
            )
        trace = draw_envelope(times, columns.isel(channel=at), settings.max_points)
        reduced |= len(times) > settings.max_points
        figure.add_trace(line(trace, names[row - 1], colour), row=row, col=1)
    parts = [f"{len(picked)} of {count:,} channels, evenly picked"] * (count > len(picked))
    if before is not None:
        parts.append("grey: as recorded, before cleaning")
    parts.append(
        f"drawn as the envelope (smallest and largest sample) of {len(times):,} samples"
        if reduced
        else "every sample is drawn"
    )
    caption = "; ".join(parts)
    return Chart(f"stream-{name}", figure, name, caption[:1].upper() + caption[1:] + ".")


def _same_columns(columns: xr.DataArray, raw: xr.Dataset | None) -> xr.DataArray | None:
    """Return what was recorded in the same channels at the same times, if there is such."""
    before = None if raw is None else read_columns(raw)
    if before is None or before.shape != columns.shape:
        return None
    same = np.array_equal(before["time"].values, columns["time"].values)
    return before if same else None


def preview_spikes(name: str, stream: xr.Dataset, settings: ReportSettings) -> list[Block]:
    """Draw firing rates over the whole session and single spikes of a part of it."""
    units = stream.sizes["unit"]
    spikes = stream.sizes["spike"]
    if not units or not spikes:
        return []
    times = np.asarray(stream["spike_time"].values, float)
    unit_S = np.asarray(stream["unit_index"].values)
    rows = spread_rows(units, settings.max_rows)
    names = distinct_labels(stream["unit"].values[rows])
    edges = np.linspace(times.min(), times.max() + 1e-9, min(settings.max_columns, 600) + 1)
    width = float(edges[1] - edges[0]) or 1.0
    rate_RB = count_spikes(times, unit_S, edges, units)[rows] / width
    whole = new_figure(max(200, min(480, 110 + 8 * len(rows))), x="time [s]")
    whole.add_trace(
        matrix(
            rate_RB,
            0,
            max(float(np.quantile(rate_RB, 0.995)), 1 / width),
            x0=float(edges[0]) + width / 2,
            dx=width,
            y=names,
            title="spikes/s",
            hovertemplate="%{y}<br>%{x:.1f} s<br>%{z:.1f} spikes/s<extra></extra>",
        )
    )
    hide_row_names(whole, len(rows))
    raster, said = draw_raster(times, unit_S, rows, names, settings.raster_s)
    shown = f"{len(rows)} of {units:,}" if len(rows) < units else f"All {units:,}"
    caption = f"{shown} units, {spikes:,} spikes, in bins of {width:.3g} s."
    return [
        (
            Chart(f"stream-{name}-rates", whole, f"{name}: firing rates", caption),
            Chart(f"stream-{name}", raster, f"{name}: single spikes", said),
        )
    ]


def count_spikes(
    times: NDArray[np.float64],
    unit_S: NDArray[np.integer],
    edges: NDArray[np.float64],
    units: int,
) -> NDArray[np.float64]:
    """Return (unit, bin) how many spikes fall into each bin, read in blocks."""
    bins = len(edges) - 1
    total = np.zeros(units * bins)
    for start in range(0, len(times), BLOCK):
        part = slice(start, start + BLOCK)
        bin_S = np.clip(np.searchsorted(edges, times[part], side="right") - 1, 0, bins - 1)
        total += np.bincount(unit_S[part].astype(np.int64) * bins + bin_S, minlength=total.size)
    return total.reshape(units, bins)


def draw_raster(
    times: NDArray[np.float64],
    unit_S: NDArray[np.integer],
    rows: NDArray[np.intp],
    names: list[str],
    seconds: float,
) -> tuple[go.Figure, str]:
    """Draw single spikes around the median spike, and say which part of how many that is."""
    middle = float(np.median(times))
    near = np.flatnonzero((np.abs(times - middle) <= seconds / 2) & np.isin(unit_S, rows))
    if len(near) > RASTER_SPIKES:
        order = np.argsort(np.abs(times[near] - middle), kind="stable")
        near = near[order[:RASTER_SPIKES]]
    figure = new_figure(max(200, min(480, 110 + 8 * len(rows))), x="time [s]")
    row_of_unit = np.full(int(unit_S.max()) + 1, -1)
    kept = rows[rows < len(row_of_unit)]
    row_of_unit[kept] = np.arange(len(kept))
    at = row_of_unit[unit_S[near]]
    figure.add_scatter(
        x=times[near],
        y=[names[row] for row in at],
        mode="markers",
        marker={
            "symbol": "line-ns",
            "size": 7,
            "line": {"width": 1.1, "color": KIND_COLOURS["spikes"]},
        },
        hovertemplate="%{y}<br>%{x:.4f} s<extra></extra>",
    )
    hide_row_names(figure, len(names))
    figure.update_yaxes(categoryorder="array", categoryarray=names)
    extent = (times[near].min(), times[near].max()) if len(near) else (middle, middle)
    return figure, f"{len(near):,} spikes from {extent[0]:.2f} to {extent[1]:.2f} s."
