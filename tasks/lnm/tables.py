"""Figures over several variants of a model, to read and to look at."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

COLOURS = {"adapted": "#1f6feb", "scratch": "#8b95a1", "ridge": "#e08a1e", "bar": "#5a9e3a"}
MOST_CHARTS = 12


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


def _labels(stacked: xr.DataArray) -> list[tuple[object, ...]]:
    found = stacked.indexes["column"].tolist()
    return [label if isinstance(label, tuple) else (label,) for label in found]


def _told(part: object) -> str:
    return f"{part:g} min" if isinstance(part, float) else str(part)


def draw_curve(curve: xr.Dataset, title: str) -> "Figure":
    """Draw scores over minutes: adapted, from scratch, ridge and the bar, a chart a target.

    R2 and bits per spike, of forecasts the nearest and the farthest horizon.
    """
    from plotly.subplots import make_subplots

    ahead = curve["horizon"].values
    ends = {-1, int(ahead.max(initial=-1)), int(ahead[ahead > 0].min(initial=1))}
    chosen = np.flatnonzero((curve["metric"].values != "mae") & np.isin(ahead, list(ends)))
    chosen = chosen[:MOST_CHARTS]
    labels = [
        f"{curve['task'].values[at]} {curve['target'].values[at]}"
        + (f", {ahead[at]} ahead" if ahead[at] > 0 else "")
        for at in chosen
    ]
    columns = min(3, len(chosen))
    rows = -(-len(chosen) // columns)
    figure = make_subplots(rows=rows, cols=columns, subplot_titles=labels)
    for place, at in enumerate(chosen):
        for name in curve["predictor"].values:
            figure.add_scatter(
                x=curve["minutes"].values,
                y=curve["value"].sel(predictor=name).values[:, at],
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
