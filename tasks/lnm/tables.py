"""Figures over several variants of a model, to read and to look at."""

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

COLOURS = {"adapted": "#1f6feb", "scratch": "#8b95a1", "ridge": "#e08a1e", "bar": "#5a9e3a"}
MOST_CHARTS = 12
LOWEST = -1.0
"""Scores count no lower than this in a mean, of which a single one would else be all."""


def tabulate(found: xr.Dataset, over: str) -> str:
    """Return a table of `value`, a row for each score and a column for each variant.

    over : the dimension of the variants; another, such as minutes, makes more columns
    """
    others = [d for d in found["value"].dims if d not in (over, "score")]
    stacked = found["value"].stack(column=[*others, over]).transpose("score", "column")
    heads = [" ".join(_told(part) for part in label) for label in _labels(stacked)]
    lines = [
        f"{'task':9} {'target':24} {'metric':14} ahead  " + "  ".join(f"{h:>12}" for h in heads)
    ]
    for at in range(found.sizes["score"]):
        task, target, metric, ahead = (
            found[name].values[at] for name in ("task", "target", "metric", "horizon")
        )
        told = f"{task:9} {str(target)[:24]:24} {metric:14} {ahead if ahead > 0 else '':>5}  "
        lines.append(told + "  ".join(f"{value:12.3f}" for value in stacked.values[at]))
    return "\n".join(lines)


def summarise_curve(curve: xr.Dataset) -> str:
    """Return a table of the means over scores: a row for each number of minutes.

    All R2 and bits per spike together, then task by task; verdicts of the adapted model last.
    """
    means = mean_scores(curve)
    predictors = [str(name) for name in curve["predictor"].values]
    heads = "  ".join(f"{name:>8}" for name in predictors)
    lines = [f"{'mean of scores':16} {'minutes':>7}  {heads}"]
    for group in means["group"].values:
        for at, minutes in enumerate(curve["minutes"].values):
            values = means.sel(group=group).transpose("minutes", "predictor").values[at]
            told = "  ".join(f"{value:8.3f}" for value in values)
            lines.append(f"{group if at == 0 else '':16} {minutes:7g}  {told}")
    for minutes, own in zip(curve["minutes"].values, curve["verdict"].values, strict=True):
        counted = ", ".join(f"{int((own == v).sum())} {v}" for v in ("win", "tie", "loss"))
        lines.append(f"{minutes:g} min beside the bar: {counted}")
    return "\n".join(lines)


def mean_scores(curve: xr.Dataset) -> xr.DataArray:
    """Return (group, predictor, minutes) means of R2 and bits per spike; groups: all, each task.

    No score counts for less than -1.
    """
    kept = curve.isel(score=np.flatnonzero(curve["metric"].values != "mae"))
    held = kept["value"].clip(min=LOWEST)
    tasks = list(dict.fromkeys(kept["task"].values.tolist()))
    own = [held.isel(score=np.flatnonzero(kept["task"].values == task)) for task in tasks]
    means = [part.mean("score") for part in (held, *own)]
    return xr.concat(means, "group").assign_coords(group=["all", *tasks])


def _labels(stacked: xr.DataArray) -> list[tuple[object, ...]]:
    found = stacked.indexes["column"].tolist()
    return [label if isinstance(label, tuple) else (label,) for label in found]


def _told(part: object) -> str:
    return f"{part:g} min" if isinstance(part, float) else str(part)


def write_curve(curve: xr.Dataset, title: str, path: Path) -> None:
    """Write a page with the curve, the table of means and the table of all scores."""
    told = "\n\n".join((summarise_curve(curve), tabulate(curve, "predictor")))
    drawn = draw_curve(curve, title).to_html(full_html=False)
    head = f'<!doctype html><meta charset="utf-8"><title>{escape(title)}</title>'
    path.write_text(f"{head}{drawn}<pre>{escape(told)}</pre>\n", encoding="utf-8")


def draw_curve(curve: xr.Dataset, title: str) -> "Figure":
    """Draw scores over minutes: adapted, from scratch, ridge and the bar, a chart a target.

    The mean of all first; then R2 and bits per spike, of forecasts the nearest and the farthest
    horizon.
    """
    from plotly.subplots import make_subplots

    ahead = curve["horizon"].values
    ends = {-1, int(ahead.max(initial=-1)), int(ahead[ahead > 0].min(initial=1))}
    chosen = np.flatnonzero((curve["metric"].values != "mae") & np.isin(ahead, list(ends)))
    charts = {"mean of all scores": mean_scores(curve).sel(group="all")} | {
        f"{curve['task'].values[at]} {curve['target'].values[at]}"
        + (f", {ahead[at]} ahead" if ahead[at] > 0 else ""): curve["value"].isel(score=at)
        for at in chosen[: MOST_CHARTS - 1]
    }
    columns = min(3, len(charts))
    rows = -(-len(charts) // columns)
    figure = make_subplots(rows=rows, cols=columns, subplot_titles=list(charts))
    for place, value in enumerate(charts.values()):
        for name in curve["predictor"].values:
            figure.add_scatter(
                x=curve["minutes"].values,
                y=value.sel(predictor=name).values,
                name=str(name),
                legendgroup=str(name),
                showlegend=place == 0,
                mode="lines+markers",
                line={"color": COLOURS[str(name)], "dash": "dot" if name == "bar" else "solid"},
                row=place // columns + 1,
                col=place % columns + 1,
            )
    figure.update_xaxes(title_text="minutes")
    figure.update_layout(title=title, height=120 + 260 * rows, template="plotly_white")
    return figure
