"""Large neural model: its scores beside the baselines', what it decodes and forecasts."""

import numpy as np
import xarray as xr
from markupsafe import Markup
from numpy.typing import NDArray
from plotly import graph_objects as go
from plotly.subplots import make_subplots

from schemas.settings.report import ReportSettings
from tasks.report.alignment import take_in_turn
from tasks.report.courses import Course, draw_courses, generated_courses
from tasks.report.elements import (
    Block,
    Cell,
    Chart,
    Section,
    chip,
    details,
    facts,
    keep_together,
    note,
    paragraph,
    table,
)
from tasks.report.evidence import Evidence
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

TITLE, SLUG = "Large neural model", "large-neural-model"
QUESTION = "Does one model over all streams beat simple baselines, and on what?"
RIVALS = {"ridge": RIDGE, "persistence": PERSISTENCE, "mean": MEAN}
LEADS = {"win": "#2a9d5f", "tie": "#8b95a1", "loss": "#d1495b"}
METRICS = {"r2": "R²", "bits_per_spike": "bits per spike"}
MOST_DOTS, MOST_HORIZON_CHARTS, MOST_FORECAST, MOST_GENERATED = 60, 6, 3, 6


def write_large_model(evidence: Evidence, settings: ReportSettings) -> Section:
    """Return scores, decoded and generated courses, forecasts by horizon, training."""
    tree = evidence.trees.get("lnm")
    if tree is None:
        return Section(SLUG, TITLE, QUESTION, (note(evidence.why_missing("lnm")),), empty=True)
    groups = {name: node.to_dataset(inherit=False).load() for name, node in tree.children.items()}
    scores, training = groups["scores"], groups["training"]
    blocks: list[Block] = [
        _facts(scores, training),
        summarise_tasks(scores),
        paragraph(str(scores.attrs.get("verdict_means", ""))),
        *draw_scores(scores),
        *draw_horizons(scores),
    ]
    if "decoded" in groups:
        blocks.append(_decoded(groups["decoded"], settings))
    blocks += _forecast(groups["forecast"], settings)
    if "generated" in groups:
        blocks.append(_generated(groups["generated"], settings))
    blocks += [_training(training), details("All scores", score_table(scores))]
    return Section(SLUG, TITLE, QUESTION, tuple(blocks))


def _facts(scores: xr.Dataset, training: xr.Dataset) -> Markup:
    verdicts = [str(verdict) for verdict in scores["verdict"].values]
    parameters = training.attrs.get("parameters")
    return facts(
        [
            ("scores", len(verdicts)),
            ("better than every baseline", verdicts.count("win")),
            ("no clear difference", verdicts.count("tie")),
            ("worse than the best baseline", verdicts.count("loss")),
            ("parameters", int(parameters) if parameters is not None else None),
            ("best step", int(training.attrs.get("best_step", -1))),
            ("training ended", str(training.attrs.get("stopped", ""))),
        ]
    )


def score_table(scores: xr.Dataset) -> Markup:
    """Return every score with its baselines, interval and verdict."""
    rows: list[list[Cell]] = []
    for at in range(scores.sizes["score"]):
        row = scores.isel(score=at)
        horizon = int(row["horizon"])
        values = [format_score(float(row[name])) for name in ("model", *RIVALS)]
        interval = f"{float(row['low']):+.3f} … {float(row['high']):+.3f}".replace("-", "−")
        rows.append(
            [
                *(str(row[name].values).replace("_", " ") for name in ("task", "target", "metric")),
                horizon if horizon >= 0 else None,
                Markup("<strong>{}</strong>").format(values[0]),
                *values[1:],
                interval,
                chip(str(row["verdict"].values)),
            ]
        )
    columns = ["task", "target", "metric", "horizon", "model", *RIVALS, "model − best", "verdict"]
    return table(columns, rows)


def summarise_tasks(scores: xr.Dataset) -> Markup:
    """Return how the model does on each task as a whole: medians and counted verdicts."""
    rows: list[list[Cell]] = []
    pairs = zip(scores["task"].values, scores["metric"].values, strict=True)
    for task, metric in dict.fromkeys((str(t), str(m)) for t, m in pairs):
        chosen = (scores["task"].values == task) & (scores["metric"].values == metric)
        verdicts = [str(verdict) for verdict in scores["verdict"].values[chosen]]
        medians = [_median(scores[name].values[chosen]) for name in ("model", *RIVALS)]
        told = [keep_together(format_score(median)) for median in medians]
        counts = [verdicts.count(verdict) for verdict in ("win", "tie", "loss")]
        rows.append([task, metric.replace("_", " "), len(verdicts), *told, *counts])
    columns = ["task", "metric", "scores", "model", *RIVALS, "win", "tie", "loss"]
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
        caption = "Right: how much better the model is than the best baseline, with 95 % intervals."
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
    for name, colour in RIVALS.items():
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
    _add_lead(figure, rows, names)
    figure.update_layout(showlegend=True)
    figure.update_xaxes(title_text=METRICS.get(metric, metric), col=1)
    figure.update_xaxes(title_text="model − best baseline", col=2)
    figure.update_yaxes(type="category", range=[len(names) - 0.4, -0.6])
    return figure


def _add_lead(figure: go.Figure, rows: xr.Dataset, names: list[str]) -> None:
    """Add the interval of the model's lead, in the colour of its verdict, and the line of a tie."""
    best = rows[list(RIVALS)].to_array().max("variable").values
    lead = rows["model"].values - best
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
    for name, colour in {**RIVALS, "model": MODEL}.items():
        figure.add_scatter(
            x=rows["horizon"].values,
            y=rows[name].values,
            mode="lines+markers",
            name=name,
            line={"color": colour, "width": 2.4 if name == "model" else 1.4},
        )
    figure.update_layout(showlegend=True)
    return figure


def pick_by_stream(names: NDArray[np.generic], most: int) -> list[int]:
    """Return at most `most` columns, from each stream ("stream/column") in turn."""
    streams = [str(name).split("/")[0] for name in names]
    return take_in_turn(streams, most)


def _compare(group: xr.Dataset) -> list[Course]:
    return [
        Course("real", group["real"], FAINT, ink=True),
        Course("ridge", group["ridge"], RIDGE, width=1.0, opacity=0.8),
        Course("model", group["model"], MODEL, width=1.5),
    ]


def _decoded(decoded: xr.Dataset, settings: ReportSettings) -> Chart:
    channels = pick_by_stream(decoded["channel"].values, settings.behaviours)
    return Chart(
        "lnm-decoded",
        draw_courses(_compare(decoded), channels, settings.max_points),
        "Behaviour decoded from neurons",
        f"Test part, never seen in training; {len(channels)} of {decoded.sizes['channel']} "
        "channels.",
    )


def _forecast(forecast: xr.Dataset, settings: ReportSettings) -> list[Block]:
    """Draw some columns at the longest horizon."""
    if not forecast.sizes["time"] or not forecast.sizes["horizon"] or not forecast.sizes["column"]:
        return []
    ahead = int(forecast["horizon"].values[-1])
    at = forecast.isel(horizon=-1, drop=True).rename(column="channel")
    columns = pick_by_stream(at["channel"].values, MOST_FORECAST)
    return [
        Chart(
            "lnm-forecast",
            draw_courses(_compare(at), columns, settings.max_points),
            f"Forecast {ahead} samples ahead",
            f"Test part; {len(columns)} of {at.sizes['channel']} columns. "
            f"Time is {forecast.attrs.get('time_is', 'that of the forecast sample')}.",
        )
    ]


def _generated(generated: xr.Dataset, settings: ReportSettings) -> Chart:
    courses = generated["value"].rename(column="channel")
    columns = pick_by_stream(courses["channel"].values, MOST_GENERATED)
    runs = min(settings.samples, courses.sizes["sample"])
    return Chart(
        "lnm-generated",
        draw_courses(generated_courses(None, courses, runs), columns, settings.max_points),
        "Activity and behaviour generated freely",
        f"{runs} of {courses.sizes['sample']} runs, {len(columns)} of {courses.sizes['channel']} "
        "columns.",
    )


def _training(training: xr.Dataset) -> Chart:
    figure = new_figure(300, x="step", y="loss")
    for name, colour in (("train_loss", FAINT), ("validation_loss", MODEL)):
        known = np.isfinite(training[name].values)
        figure.add_scatter(
            x=training["step"].values[known],
            y=training[name].values[known],
            mode="lines" if known.sum() > MOST_DOTS else "lines+markers",
            name=name.replace("_loss", ""),
            line={"width": 1.8, "color": colour},
        )
    figure.update_layout(showlegend=True)
    return Chart("lnm-training", figure, "Training", "Loss; 1 is what the linear prediction costs.")
