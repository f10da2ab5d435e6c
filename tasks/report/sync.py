"""Clocks: how each device's clock was related to the session's, and how well."""

import json

import numpy as np
import xarray as xr
from markupsafe import Markup
from numpy.typing import NDArray
from plotly import graph_objects as go

from tasks.report.elements import (
    Block,
    Cell,
    Chart,
    chip,
    count_of,
    format_number,
    heading,
    note,
    paragraph,
    table,
)
from tasks.report.evidence import Evidence
from tasks.report.figures import FAINT, GENERATED, SERIES, label, stack_rows

MOST_PULSES = 20_000
"""More residuals than this are thinned out in the picture, not in the figures."""
COLUMNS = (
    "clock", "verdict", "offset [s]", "drift [ppm]", "residual median, p95, max [ms]", "matched",
    "missing", "extra", "stretches",
)  # fmt: skip


def write_clocks(evidence: Evidence) -> list[Block]:
    """Return what is known of a session's clocks; nothing if all streams share one."""
    clocks = evidence.trees.get("sync")
    if clocks is None:
        return []
    told = {name: node.to_dataset(inherit=False) for name, node in clocks.children.items()}
    blocks: list[Block] = [
        heading("Clocks"),
        table(COLUMNS, [_row(name, clock) for name, clock in told.items()]),
        paragraph(
            "Pulses that both clocks recorded were matched by the intervals between them or the "
            "numbers they carry. Missing: seen by the session's clock only (or frames that were "
            "never stored); extra: seen by the device only. Times outside the matched pulses are "
            "refused, not extrapolated, unless the settings ask for it."
        ),
    ]
    blocks += [_explain(clock) for clock in told.values() if clock.attrs["reason"]]
    blocks += [
        _draw_clock(number, name, clock)
        for number, (name, clock) in enumerate(told.items())
        if clock.sizes["point"]
    ]
    return blocks


def _row(name: str, clock: xr.Dataset) -> list[Cell]:
    told = clock.attrs
    late = [
        format_number(1e3 * float(told[key]))
        for key in ("residual_median_s", "residual_p95_s", "residual_max_s")
        if key in told
    ]
    return [
        Markup("<strong>{}</strong>").format(name),
        chip(str(told["verdict"])),
        _number(told.get("offset_s")),
        _number(told.get("drift_ppm")),
        ", ".join(late),
        int(told["matched"]),
        int(told["missing_count"]),
        int(told["spurious_count"]),
        int(told["segments"]),
    ]


def _number(value: object) -> float | None:
    return float(str(value)) if value is not None else None


def _explain(clock: xr.Dataset) -> Markup:
    told, names = clock.attrs, json.loads(clock.attrs["streams"])
    if clock.sizes["point"]:
        return note(f"Not used: {told['reason']}.", "warn")
    left = count_of(len(names), "stream")
    return note(f"{told['reason']}. Its {left} could not be aligned and stand aside.", "fail")


def _draw_clock(number: int, name: str, clock: xr.Dataset) -> Chart:
    """Draw drift, what is left of the offset without its mean drift, and residuals with losses."""
    names = ["drift [ppm]", "offset less its mean drift [ms]", "residual [ms]", "without a partner"]
    figure = stack_rows([90, 110, 150, 50], names, x="device time [s]")
    group = clock["segment"].values
    for segment in np.unique(group):
        _add_segment(figure, clock, group == segment)
    pulse = clock["pulse_time"].values
    residual_ms = 1e3 * clock["residual"].values
    matched = np.flatnonzero(np.isfinite(residual_ms))
    shown = matched[:: 1 + len(matched) // MOST_PULSES]
    _add_dots(figure, 3, pulse[shown], residual_ms[shown], SERIES[0], "residual")
    missing, extra = _without_partner(clock)
    _add_dots(figure, 4, missing, np.full(len(missing), 1.0), GENERATED, "missing on the device")
    _add_dots(figure, 4, extra, np.zeros(len(extra)), FAINT, "extra on the device")
    figure.update_yaxes(
        range=[-0.7, 1.7], tickvals=[0, 1], ticktext=["extra", "missing"], row=4, col=1
    )
    least, most = (clock.attrs[f"drift_{end}_ppm"] for end in ("least", "greatest"))
    caption = (
        f"{clock.attrs['matched']:,} pulses of '{clock.attrs['device']}' matched with "
        f"'{clock.attrs['reference']}' by {clock.attrs['evidence']}; drift from "
        f"{format_number(least)} to {format_number(most)} ppm. The next best offset matches "
        f"{100 * float(clock.attrs['margin']):.0f} % fewer. On this clock: "
        f"{', '.join(json.loads(clock.attrs['streams']))}."
    )
    return Chart(f"sync-{number}", figure, f"Clock of {name}", caption)


def _add_segment(figure: go.Figure, clock: xr.Dataset, own: NDArray[np.bool_]) -> None:
    """Draw one stretch without a reset: the drift in steps, and the sway of the offset."""
    device = clock["device_time"].values[own]
    offset_ms = 1e3 * (clock["reference_time"].values[own] - device)
    drift = 1e3 * np.diff(offset_ms) / np.diff(device)
    since = device - device[0]
    sway = offset_ms - offset_ms[0] - (offset_ms[-1] - offset_ms[0]) * since / since[-1]
    style = {"mode": "lines", "line": {"color": SERIES[1], "width": 1.6}}
    steps = go.Scatter(
        x=np.repeat(device, 2)[1:-1],
        y=np.repeat(drift, 2),
        hovertemplate="%{x:.1f} s<br>%{y:.3f} ppm<extra></extra>",
        **style,
    )
    figure.add_trace(steps, row=1, col=1)
    hover = "%{x:.1f} s<br>%{y:.4f} ms<extra></extra>"
    figure.add_trace(go.Scatter(x=device, y=sway, hovertemplate=hover, **style), row=2, col=1)


def _add_dots(
    figure: go.Figure,
    row: int,
    time: NDArray[np.float64],
    value: NDArray[np.float64],
    colour: str,
    name: str,
) -> None:
    dots = go.Scattergl if len(time) > 2000 else go.Scatter
    trace = dots(
        x=time,
        y=value,
        mode="markers",
        marker={"color": colour, "size": 4 if row == 3 else 7},
        hovertemplate=f"%{{x:.3f}} s<br>%{{y:.4g}}<extra>{label(name)}</extra>",
    )
    figure.add_trace(trace, row=row, col=1)


def _without_partner(clock: xr.Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return when a pulse is missing on the device, in its own time, and when it has an extra."""
    pulse, partner = clock["pulse_time"].values, clock["partner"].values
    reference = clock["reference_pulse_time"].values
    matched = np.flatnonzero(partner >= 0)
    missing = np.interp(
        reference[clock["missing"].values], reference[partner[matched]], pulse[matched]
    )
    inside = np.zeros(len(pulse), bool)
    for start, stop in zip(clock["span_start"].values, clock["span_stop"].values, strict=True):
        inside |= (pulse >= start) & (pulse <= stop)
    return missing, pulse[inside & (partner < 0)]
