"""The scores of the large neural model beside those of its baselines."""

import numpy as np
import xarray as xr
from markupsafe import Markup
from numpy.typing import NDArray
from plotly import graph_objects as go
from plotly.subplots import make_subplots

from tasks.report.elements import (
    Block,
    Cell,
    Chart,
    chip,
    keep_together,
    table,
)
from tasks.report.figures import (
    BOTTOM,
    FAINT,
    MEAN,
    MODEL,
    PERSISTENCE,
    RIDGE,
    TOP,
    bar_height,
    distinct_labels,
    lay_out,
    new_figure,
)

RIVALS = {
    "ridge": RIDGE,
    "drift_free": "#b08d57",
    "reduced_rank": "#c97b84",
    "glm": "#5a9e3a",
    "knn": "#c05fa8",
    "kernel": "#8f7ad1",
    "gru": "#2a9d8f",
    "persistence": PERSISTENCE,
    "mean": MEAN,
}
LEADS = {"win": "#2a9d5f", "tie": "#8b95a1", "loss": "#d1495b"}
METRICS = {"r2": "R²", "bits_per_spike": "bits per spike", "mae": "mean absolute error [SD]"}
MOST_DOTS, MOST_HORIZON_CHARTS = 60, 6


def rivals_in(scores: xr.Dataset) -> list[str]:
    """Return the baselines that answer any of these scores."""
    known = [name for name in RIVALS if name in scores]
    return [name for name in known if bool(np.isfinite(scores[name].values).any())]


def score_table(scores: xr.Dataset) -> Markup:
    """Return every score with its baselines, interval and verdict."""
    rows: list[list[Cell]] = []
    rivals = rivals_in(scores)
    for at in range(scores.sizes["score"]):
        row = scores.isel(score=at)
        horizon = int(row["horizon"])
        values = [format_score(float(row[name])) for name in ("model", *rivals)]
        interval = f"{float(row['low']):+.3f} … {float(row['high']):+.3f}".replace("-", "−")
        rows.append(
            [
                *(str(row[name].values).replace("_", " ") for name in ("task", "target", "metric")),
                horizon if horizon >= 0 else None,
                Markup("<strong>{}</strong>").format(values[0]),
                *values[1:],
                str(row["best"].values).replace("_", " "),
                interval,
                chip(str(row["verdict"].values)),
            ]
        )
    told = [name.replace("_", " ") for name in rivals]
    columns = ["task", "target", "metric", "horizon", "model", *told]
    return table([*columns, "bar", "how much better", "verdict"], rows)


def quality_table(scores: xr.Dataset) -> Markup:
    """Return what the predicted distributions are worth, and correlations with the truth."""
    names = (
        "correlation",
        "best_correlation",
        "trial_correlation",
        "crps",
        "crps_mean",
        "coverage",
    )
    rows: list[list[Cell]] = []
    for at in np.flatnonzero(np.isfinite(scores["crps"].values)):
        row = scores.isel(score=at)
        horizon = int(row["horizon"])
        told = [str(row[name].values).replace("_", " ") for name in ("task", "target")]
        figures = [format_score(float(row[name])) for name in names]
        rows.append([*told, horizon if horizon >= 0 else None, *figures])
    columns = ["task", "target", "horizon", "r", "r of the bar", "r in trials"]
    return table(
        [*columns, "CRPS", "CRPS of the mean", "truth inside 90 %"],
        rows,
        caption="CRPS in standard deviations of training, lower is better",
    )


def ablation_table(ablations: xr.Dataset) -> Markup:
    """Return the scores with parts taken away: medians over targets and horizons."""
    rows: list[list[Cell]] = []
    pairs = zip(ablations["task"].values, ablations["metric"].values, strict=True)
    for task, metric in dict.fromkeys((str(t), str(m)) for t, m in pairs):
        own = (ablations["task"].values == task) & (ablations["metric"].values == metric)
        medians = [_median(values[own]) for values in ablations["value"].values]
        told = [keep_together(format_score(median)) for median in medians]
        rows.append([task, metric.replace("_", " "), *told])
    variants = [str(name).replace("_", " ") for name in ablations["variant"].values]
    caption = f"Ablations, medians. {ablations.attrs['variant_means'].replace('_', ' ')}"
    return table(["task", "metric", *variants], rows, caption=caption)


def summarise_tasks(scores: xr.Dataset) -> Markup:
    """Return how the model does on each task as a whole: medians and counted verdicts."""
    rows: list[list[Cell]] = []
    rivals = rivals_in(scores)
    pairs = zip(scores["task"].values, scores["metric"].values, strict=True)
    for task, metric in dict.fromkeys((str(t), str(m)) for t, m in pairs):
        chosen = (scores["task"].values == task) & (scores["metric"].values == metric)
        verdicts = [str(verdict) for verdict in scores["verdict"].values[chosen]]
        medians = [_median(scores[name].values[chosen]) for name in ("model", *rivals)]
        told = [keep_together(format_score(median)) for median in medians]
        counts = [verdicts.count(verdict) for verdict in ("win", "tie", "loss")]
        rows.append([task, metric.replace("_", " "), len(verdicts), *counts, *told])
    names = [name.replace("_", " ") for name in rivals]
    # Verdicts first: on a narrow screen the last columns have to be scrolled to.
    columns = ["task", "metric", "scores", "win", "tie", "loss", "model", *names]
    return table(columns, rows, caption="Medians over targets and horizons")


def format_score(value: float) -> str:
    """Return a score to three decimals, which is all that the intervals allow."""
    return f"{value:.3f}".replace("-", "−") if np.isfinite(value) else "–"


def _median(values: NDArray[np.floating]) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")


def draw_scores(scores: xr.Dataset) -> list[Chart]:
    """Draw the model's scores beside the baselines', a chart for each metric.

    Of a task with horizons the nearest is shown; the others follow as curves.
    """
    nearest = np.ones(scores.sizes["score"], bool)
    horizons = scores["horizon"].values
    for task in dict.fromkeys(str(task) for task in scores["task"].values):
        own = scores["task"].values == task
        nearest[own] = horizons[own] == horizons[own].min()
    charts = []
    for at, metric in enumerate(dict.fromkeys(str(m) for m in scores["metric"].values)):
        chosen = np.flatnonzero(nearest & (scores["metric"].values == metric))
        rows = scores.isel(score=chosen[:MOST_DOTS])
        caption = (
            "Right: how much better the model is than the baseline that validation chose, "
            "with 95 % intervals."
        )
        if len(chosen) > MOST_DOTS:
            caption += f" The first {MOST_DOTS} of {len(chosen)} scores."
        title = f"Model and baselines: {METRICS.get(metric, metric)}"
        charts.append(Chart(f"lnm-scores-{at}", draw_dots(rows, metric), title, caption))
    return charts


def draw_dots(rows: xr.Dataset, metric: str) -> go.Figure:
    """Draw one line a target: scores on the left, the lead over the best baseline on the right."""
    names = name_rows(rows)
    figure = make_subplots(cols=2, shared_yaxes=True, column_widths=[0.62, 0.38])
    lay_out(figure, bar_height(len(names), each=26, extra=TOP + BOTTOM), top=TOP)
    for name in rivals_in(rows):
        colour = RIVALS[name]
        figure.add_scatter(
            x=rows[name].values,
            y=names,
            mode="markers",
            name=name,
            marker={"symbol": "line-ns", "size": 17, "line": {"width": 2.6, "color": colour}},
            hovertemplate="%{y}<br>%{x:.4g}",
        )
    figure.add_scatter(
        x=rows["model"].values,
        y=names,
        mode="markers",
        name="model",
        marker={"size": 11, "color": MODEL},
        hovertemplate="%{y}<br>%{x:.4g}",
    )
    _add_lead(figure, rows, names, -1 if metric == "mae" else 1)
    figure.update_layout(showlegend=True)
    figure.update_xaxes(title_text=METRICS.get(metric, metric), col=1)
    figure.update_xaxes(title_text="how much better", col=2)
    figure.update_yaxes(type="category", range=[len(names) - 0.4, -0.6])
    return figure


def _add_lead(figure: go.Figure, rows: xr.Dataset, names: list[str], sign: int) -> None:
    """Add the interval of the model's lead, in the colour of its verdict, and the line of a tie."""
    best = [float(rows[str(name)].values[at]) for at, name in enumerate(rows["best"].values)]
    lead = sign * (rows["model"].values - best)
    colours = [LEADS.get(str(verdict), FAINT) for verdict in rows["verdict"].values]
    for at, name in enumerate(names):
        low, high = float(rows["low"].values[at]), float(rows["high"].values[at])
        figure.add_scatter(
            x=[low, high],
            y=[name, name],
            mode="lines",
            line={"color": colours[at], "width": 3},
            showlegend=False,
            hoverinfo="skip",
            row=1,
            col=2,
        )
    figure.add_scatter(
        x=lead,
        y=names,
        mode="markers",
        marker={"size": 9, "color": colours},
        customdata=np.stack([rows["low"].values, rows["high"].values], axis=-1),
        text=[str(verdict) for verdict in rows["verdict"].values],
        hovertemplate="%{y}: %{text}<br>%{x:.4f} (%{customdata[0]:.4f} to %{customdata[1]:.4f})"
        "<extra></extra>",
        showlegend=False,
        row=1,
        col=2,
    )
    figure.add_vline(x=0, line={"width": 1, "dash": "dot", "color": FAINT}, row=1, col=2)


def name_rows(rows: xr.Dataset) -> list[str]:
    """Return the task and the target of each score, with the horizon where there is one."""
    columns = (rows[name].values for name in ("task", "target", "horizon"))
    return distinct_labels(
        f"{task} {target}, {horizon} ahead" if horizon >= 0 else f"{task} {target}"
        for task, target, horizon in zip(*columns, strict=True)
    )


def draw_horizons(scores: xr.Dataset) -> list[Block]:
    """Draw how scores change with the horizon, for each target with at least two horizons."""
    charts: list[Chart] = []
    keys = zip(*(scores[name].values for name in ("task", "target", "metric")), strict=True)
    for task, target, metric in dict.fromkeys(tuple(map(str, key)) for key in keys):
        same = (
            (scores["task"].values == task)
            & (scores["target"].values == target)
            & (scores["metric"].values == metric)
            & (scores["horizon"].values >= 0)
        )
        rows = scores.isel(score=np.flatnonzero(same)).sortby("horizon")
        if rows.sizes["score"] < 2 or len(charts) >= MOST_HORIZON_CHARTS:
            continue
        title = f"{task.capitalize()} of {target} by horizon".replace("_", " ")
        charts.append(Chart(f"lnm-horizon-{len(charts)}", _over_horizon(rows, metric), title))
    return [tuple(charts[at : at + 2]) for at in range(0, len(charts), 2)]


def _over_horizon(rows: xr.Dataset, metric: str) -> go.Figure:
    figure = new_figure(300, x="samples ahead", y=METRICS.get(metric, metric))
    shown = {name: RIVALS[name] for name in rivals_in(rows)}
    for name, colour in {**shown, "model": MODEL}.items():
        figure.add_scatter(
            x=rows["horizon"].values,
            y=rows[name].values,
            mode="lines+markers",
            name=name,
            line={"color": colour, "width": 2.4 if name == "model" else 1.4},
        )
    figure.update_layout(showlegend=True)
    return figure
