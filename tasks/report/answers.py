"""An answer of the large neural model as a page to look at, beside what was recorded."""

from html import escape
from pathlib import Path

import numpy as np
import xarray as xr
from plotly import graph_objects as go

from schemas.settings.workspace import WorkspaceSettings
from tasks.common.matrices import behaviour_matrix, neural_matrix
from tasks.common.workspace import Workspace
from tasks.report.courses import Course, draw_courses
from tasks.report.figures import (
    FAINT,
    GENERATED,
    MEAN,
    MODEL,
    SERIES,
    band,
    label,
    new_figure,
    stack_rows,
)
from tasks.report.large_model import pick_by_stream

MOST_ROWS, MOST_DRAWS, MOST_POINTS = 16, 8, 4000
ROW = 104
REAL = "#000000"
LOWEST = -1.0
"""Scores are drawn no lower."""


def write_answer(
    workspace: WorkspaceSettings, session: str, answer: xr.Dataset, title: str, path: Path
) -> None:
    """Write a page that holds the figure of what `query_lnm` answered and its description."""
    opened = Workspace(workspace)
    key = opened.catalogue.find_session(session)
    aligned = opened.lake.open_tree(opened.catalogue.latest(key, "aligned").ref)
    figure = draw_answer(answer, aligned)
    figure.update_layout(template="plotly_white")
    head = f'<!doctype html><meta charset="utf-8"><title>{escape(title)}</title>'
    told = escape(str(answer))
    drawn = figure.to_html(full_html=False)
    page = (
        f"{head}<h3 style='font-family:sans-serif'>{escape(title)}</h3>{drawn}<pre>{told}</pre>\n"
    )
    path.write_text(page, encoding="utf-8")


def draw_answer(answer: xr.Dataset, aligned: xr.DataTree) -> go.Figure:
    """Draw predictions, courses, scores, hidden states or probes, whichever the answer holds."""
    if "mean" in answer and "column" in answer["mean"].dims:
        return _draw_columns(answer, _recorded(answer, aligned, 0.0))
    if "value" in answer:
        return _draw_columns(answer, _recorded_course(answer, aligned))
    if "task" in answer:
        return _draw_scores(answer)
    if "state" in answer:
        return _draw_states(answer["state"])
    return _draw_layers(answer)


def _recorded(answer: xr.Dataset, aligned: xr.DataTree, start_s: float) -> xr.DataArray:
    """Return (time, column) what was recorded of the asked columns, NaN where nothing was."""
    neurons = neural_matrix(aligned)["activity"].rename(unit="column")
    own_rate = "channel" in answer.coords
    behaviour = behaviour_matrix(aligned, native=own_rate)["behaviour"].rename(channel="column")
    parts = [part.drop_vars(set(part.coords) - {"time", "column"}) for part in (neurons, behaviour)]
    when = answer["time"].values + start_s
    found = []
    for part in parts:
        own = part.isel(column=np.flatnonzero(np.isin(part["column"], answer["column"])))
        near = own.sel(time=slice(when[0] - 1.0, when[-1] + 1.0)).compute()
        step = np.median(np.diff(near["time"])) if near.sizes["time"] > 1 else 0.0
        found.append(near.reindex(time=when, method="nearest", tolerance=step / 2 + 1e-9))
    real = xr.concat(found, "column").reindex(column=answer["column"].values)
    return real.assign_coords(time=answer["time"].values)


def _recorded_course(answer: xr.Dataset, aligned: xr.DataTree) -> xr.DataArray | None:
    """Return what was recorded after the courses' start, if all have the same."""
    starts = np.unique(answer["start"].values)
    return _recorded(answer, aligned, float(starts[0])) if len(starts) == 1 else None


def _draw_columns(answer: xr.Dataset, real: xr.DataArray | None) -> go.Figure:
    chosen = pick_by_stream(answer["column"].values, MOST_ROWS)
    courses = [] if real is None else [_course("recorded", real, REAL, 1.0)]
    if "mean" in answer:
        courses.append(_course("model", answer["mean"], MODEL, 1.5))
    courses += _drawn(answer)
    figure = draw_courses(courses, chosen, MOST_POINTS)
    if "mean" in answer:
        lines = figure.data
        for row, at in enumerate(chosen, start=1):
            figure.add_trace(_band_of(answer.isel(column=at)), row=row, col=1)
        figure.data = (*figure.data[len(lines) :], *lines)
    return figure


def _drawn(answer: xr.Dataset) -> list[Course]:
    """Return one draw, and of a generated course some others below it."""
    generated = "value" in answer
    draws = answer.get("value", answer.get("sample"))
    if draws is None:
        return []
    runs = draws.transpose("sample" if generated else "draw", "time", "column")[:MOST_DRAWS]
    others = runs[1:] if generated else []
    return [
        *(_course("draws", run, FAINT, 0.8) for run in others),
        _course("one draw", runs[0], GENERATED, 1.2),
    ]


def _course(name: str, values_TV: xr.DataArray, colour: str, width: float) -> Course:
    plain = values_TV.drop_vars(set(values_TV.coords) - {"time", "column"})
    return Course(name, plain.rename(column="channel"), colour, width=width)


def _band_of(answer: xr.Dataset) -> go.Scatter:
    """Return the central 90 % of one column."""
    step = max(1, answer.sizes["time"] // MOST_POINTS)
    low, high = (answer["quantile_value"].sel(quantile=q).values for q in (0.05, 0.95))
    time_T = np.asarray(answer["time"].values, float)
    return band(time_T[::step], low[::step], high[::step], MODEL)


def _draw_scores(answer: xr.Dataset) -> go.Figure:
    """Draw scores as bars, those of forecasts as lines over samples ahead; no absolute errors."""
    kept = answer.isel(score=np.flatnonzero(answer["metric"].values != "mae"))
    keys = zip(*(kept[n].values for n in ("task", "target", "metric")), strict=True)
    names = np.array([f"{task}: {label(target)} [{metric}]" for task, target, metric in keys])
    ahead, value = kept["horizon"].values, np.maximum(kept["model"].values, LOWEST)
    bars, lines = np.flatnonzero(ahead < 0), np.flatnonzero(ahead > 0)
    heights = [18 * len(bars) + 20] * bool(len(bars)) + [420] * bool(len(lines))
    figure = stack_rows(heights or [ROW], [""] * max(1, len(heights)), x="")
    figure.update_xaxes(matches=None, showticklabels=True)
    for name, colour in (("mean", MEAN), ("model", MODEL)) if len(bars) else ():
        figure.add_bar(
            x=np.maximum(kept[name].values[bars], LOWEST), y=names[bars], name=name,
            orientation="h", marker_color=colour, row=1, col=1,
        )  # fmt: skip
    figure.update_yaxes(autorange="reversed", automargin=True, tickmode="linear", row=1)
    for number, name in enumerate(dict.fromkeys(names[lines])):
        own = lines[names[lines] == name]
        figure.add_scatter(
            x=ahead[own], y=value[own], name=name, mode="lines+markers", showlegend=False,
            line={"color": SERIES[number % len(SERIES)]}, row=len(heights), col=1,
        )  # fmt: skip
    if len(lines):
        figure.update_xaxes(
            type="log", dtick=np.log10(2), title_text="samples ahead", row=len(heights)
        )
        figure.update_yaxes(autorange=True, tickmode="auto", title_text="score", row=len(heights))
    return figure.update_layout(showlegend=True)


def _draw_states(states: xr.DataArray) -> go.Figure:
    """Draw the last layer's states along their two widest axes, coloured by time."""
    last_PD = np.asarray(states.isel(layer=-1).transpose("time", "feature").values, float)
    centred_PD = last_PD - last_PD.mean(0)
    along_P2 = centred_PD @ np.linalg.svd(centred_PD, full_matrices=False)[2][:2].T
    figure = new_figure(620, x="first axis of the last layer", y="second axis")
    when = states["time"].values
    return figure.add_scatter(
        x=along_P2[:, 0], y=along_P2[:, 1], mode="markers", customdata=when,
        marker={"size": 5, "color": when, "colorscale": "Viridis",
                "colorbar": {"title": "time [s]"}},
        hovertemplate="%{customdata:.2f} s<extra></extra>",
    )  # fmt: skip


def _draw_layers(answer: xr.Dataset) -> go.Figure:
    """Draw what linear probes read from each layer, and how alike layers and brain are."""
    figure = new_figure(520, x="layer", y="R2 or similarity (dotted: control)")
    layers = answer["layer"].values
    pairs = []
    if "r2" in answer:
        chosen = pick_by_stream(answer["column"].values, MOST_ROWS)
        for at in chosen:
            own = answer.isel(column=at)
            pairs.append((str(own["column"].values), own["r2"], own["control"]))
    if "similarity" in answer:
        control = answer["similarity_control" if "r2" in answer else "control"]
        pairs.append(("similarity with the brain", answer["similarity"], control))
    for number, (name, values, control) in enumerate(pairs):
        colour = SERIES[number % len(SERIES)]
        for line_of, dash in ((values, "solid"), (control, "dot")):
            figure.add_scatter(
                x=layers, y=np.asarray(line_of.values), name=label(name), legendgroup=name,
                mode="lines+markers", line={"color": colour, "dash": dash},
                showlegend=dash == "solid",
            )  # fmt: skip
    figure.update_xaxes(dtick=1)
    beside = {"orientation": "v", "x": 1.02, "y": 1, "yref": "paper"}
    return figure.update_layout(showlegend=True, legend=beside)
