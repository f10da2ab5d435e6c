"""Large neural model: its scores beside the baselines', what it decodes and forecasts."""

import numpy as np
import xarray as xr
from markupsafe import Markup
from plotly import graph_objects as go

from schemas.settings.report import ReportSettings
from tasks.report.courses import Course, draw_courses, generated_courses
from tasks.report.elements import (
    Block,
    Cell,
    Chart,
    Section,
    chip,
    details,
    facts,
    format_number,
    heading,
    note,
    paragraph,
    table,
)
from tasks.report.evidence import Evidence
from tasks.report.figures import (
    FAINT,
    MEAN,
    MODEL,
    PERSISTENCE,
    RIDGE,
    bar_height,
    distinct_labels,
    label,
    new_figure,
)

TITLE, SLUG = "Large neural model", "large-neural-model"
QUESTION = "Does one model over all streams beat simple baselines, and on what?"
RIVALS = {"ridge": RIDGE, "persistence": PERSISTENCE, "mean": MEAN}
MOST_DOTS = 60


def write_large_model(evidence: Evidence, settings: ReportSettings) -> Section:
    """Return scores, decoded and generated courses, forecasts by horizon, training."""
    tree = evidence.trees.get("lnm")
    if tree is None:
        return Section(SLUG, TITLE, QUESTION, (note(evidence.why_missing("lnm")),), empty=True)
    groups = {
        name: node.to_dataset(inherit=False).load()
        for name, node in tree.children.items()
        if name in {"scores", "training", "decoded", "generated"}
    }
    scores = groups["scores"]
    blocks: list[Block] = [
        _facts(scores, groups.get("training")),
        *draw_scores(scores),
        *_horizons(scores),
    ]
    if "decoded" in groups:
        blocks.append(_decoded(groups["decoded"], settings))
    if "generated" in groups and groups["generated"].data_vars:
        blocks += _generated(groups["generated"], settings)
    if "training" in groups:
        blocks.append(_training(groups["training"]))
    blocks += [heading("All scores"), score_table(scores)]
    return Section(SLUG, TITLE, QUESTION, tuple(blocks))


def _facts(scores: xr.Dataset, training: xr.Dataset | None) -> Markup:
    verdicts = [str(verdict) for verdict in scores["verdict"].values]
    return facts(
        [
            ("scores", len(verdicts)),
            ("better than every baseline", verdicts.count("win")),
            ("no clear difference", verdicts.count("tie")),
            ("worse", verdicts.count("loss")),
            ("training steps recorded", training.sizes["step"] if training is not None else None),
        ]
    )


def score_table(scores: xr.Dataset) -> Markup:
    """Return every score with its baselines, interval and verdict."""
    rows: list[list[Cell]] = []
    for at in range(scores.sizes["score"]):
        row = scores.isel(score=at)
        horizon = int(row["horizon"])
        values = [format_number(float(row[name])) for name in ("model", *RIVALS)]
        interval = f"{format_number(float(row['low']))} – {format_number(float(row['high']))}"
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
    columns = ["task", "target", "metric", "horizon", "model", *RIVALS, "95 % interval", "verdict"]
    return table(columns, rows)


def draw_scores(scores: xr.Dataset) -> list[Chart]:
    """Draw the model's scores as dots beside the baselines', a chart for each task and metric."""
    pairs = zip(scores["task"].values, scores["metric"].values, strict=True)
    charts = []
    for at, (task, metric) in enumerate(dict.fromkeys((str(t), str(m)) for t, m in pairs)):
        chosen = (scores["task"].values == task) & (scores["metric"].values == metric)
        rows = scores.isel(score=np.flatnonzero(chosen))
        title = f"{task}: {metric}".replace("_", " ")
        shown = min(rows.sizes["score"], MOST_DOTS)
        caption = "Bars are 95 % intervals of the model's score." * _has_interval(rows)
        if shown < rows.sizes["score"]:
            caption += f" {shown} of {rows.sizes['score']} scores."
        chart = draw_dots(rows.isel(score=slice(shown)), metric)
        charts.append(Chart(f"lnm-scores-{at}", chart, title, caption))
    return charts


def _has_interval(rows: xr.Dataset) -> bool:
    """Return whether low and high lie around the model's score, and not around a difference."""
    inside = (rows["low"] <= rows["model"]) & (rows["model"] <= rows["high"])
    return bool(inside.all())


def draw_dots(rows: xr.Dataset, metric: str) -> go.Figure:
    """Draw one line a target: the model as a large dot, each baseline as a small mark."""
    horizons = rows["horizon"].values
    names = distinct_labels(
        [
            f"{target}, {horizon} ahead" if horizon >= 0 else str(target)
            for target, horizon in zip(rows["target"].values, horizons, strict=True)
        ]
    )
    figure = new_figure(bar_height(len(names), each=26, extra=100), x=metric.replace("_", " "))
    for name, colour in RIVALS.items():
        figure.add_scatter(
            x=rows[name].values,
            y=names,
            mode="markers",
            name=name,
            marker={"symbol": "line-ns", "size": 13, "line": {"width": 2.6, "color": colour}},
            hovertemplate="%{y}<br>%{x:.4g}",
        )
    model = rows["model"].values
    bars = None
    if _has_interval(rows):
        bars = {
            "type": "data",
            "symmetric": False,
            "array": rows["high"].values - model,
            "arrayminus": model - rows["low"].values,
            "thickness": 1.6,
            "width": 0,
            "color": MODEL,
        }
    figure.add_scatter(
        x=model,
        y=names,
        mode="markers",
        name="model",
        marker={"size": 11, "color": MODEL},
        error_x=bars,
        hovertemplate="%{y}<br>%{x:.4g}",
    )
    figure.update_layout(showlegend=True)
    figure.update_yaxes(type="category", autorange="reversed")
    return figure


def _horizons(scores: xr.Dataset) -> list[Block]:
    """Draw how scores change with the horizon, for each target with at least two horizons."""
    charts: list[Block] = []
    keys = zip(*(scores[name].values for name in ("task", "target", "metric")), strict=True)
    for key in dict.fromkeys(tuple(map(str, key)) for key in keys):
        same = np.ones(scores.sizes["score"], bool)
        for name, value in zip(("task", "target", "metric"), key, strict=True):
            same &= scores[name].values.astype(str) == value
        rows = scores.isel(score=np.flatnonzero(same & (scores["horizon"].values >= 0)))
        if rows.sizes["score"] < 2 or len(charts) >= 6:
            continue
        task, target, metric = (part.replace("_", " ") for part in key)
        charts.append(
            Chart(
                f"lnm-horizon-{len(charts)}",
                draw_horizons(rows.sortby("horizon"), metric),
                f"{task} of {target} by horizon",
            )
        )
    paired = [tuple(charts[i : i + 2]) for i in range(0, len(charts), 2)]
    return [*paired]  # type: ignore[list-item]


def draw_horizons(rows: xr.Dataset, metric: str) -> go.Figure:
    """Draw the model and the baselines over the horizon."""
    figure = new_figure(300, x="samples ahead", y=metric)
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


def _decoded(decoded: xr.Dataset, settings: ReportSettings) -> Chart:
    courses = [
        Course("real", decoded["real"], FAINT, ink=True),
        Course("ridge", decoded["ridge"], RIDGE, width=1.0, opacity=0.8),
        Course("model", decoded["model"], MODEL, width=1.5),
    ]
    channels = list(range(min(decoded.sizes["channel"], settings.behaviours)))
    return Chart(
        "lnm-decoded",
        draw_courses(courses, channels, settings.max_points),
        "Behaviour decoded from neurons",
        "Test part: never seen in training.",
    )


def _generated(generated: xr.Dataset, settings: ReportSettings) -> list[Block]:
    """Draw free-running courses; real ones with them where the group has them."""
    found = [
        (str(name), array)
        for name, array in generated.data_vars.items()
        if array.dims[:2] == ("sample", "time") and array.ndim == 3
    ]
    charts: list[Block] = []
    for name, array in found:
        column = str(array.dims[2])
        courses = array.rename({column: "channel"}) if column != "channel" else array
        channels = list(range(min(courses.sizes["channel"], settings.behaviours, 6)))
        real = generated["real"] if "real" in generated and column == "channel" else None
        lines = (
            generated_courses(real, courses, settings.samples)
            if real is not None
            else generated_courses(courses.isel(sample=0), courses, settings.samples)[:-2]
            + generated_courses(courses.isel(sample=0), courses, 1)[-1:]
        )
        total = courses.sizes["channel"]
        caption = f"{min(settings.samples, courses.sizes['sample'])} runs; "
        caption += f"{len(channels)} of {total} columns."
        title = f"Generated freely: {label(name)}" if name != "generated" else "Generated freely"
        chart = draw_courses(lines, channels, settings.max_points)
        charts.append(Chart(f"lnm-generated-{len(charts)}", chart, title, caption))
    return charts


def _training(training: xr.Dataset) -> Chart:
    figure = new_figure(300, x="step", y="loss")
    steps = training["step"].values if "step" in training.coords else None
    colours = {"train_loss": FAINT, "validation_loss": MODEL}
    for name, array in training.data_vars.items():
        if array.dims != ("step",) or "loss" not in str(name):
            continue
        known = np.isfinite(array.values)
        x = (steps if steps is not None else np.arange(known.size))[known]
        figure.add_scatter(
            x=x,
            y=array.values[known],
            mode="lines" if known.sum() > 60 else "lines+markers",
            name=label(str(name).replace("_", " ")),
            line={"width": 1.8, "color": colours.get(str(name), RIDGE)},
        )
    figure.update_layout(showlegend=True)
    return Chart("lnm-training", figure, "Training")


def describe_model(text: str) -> Markup:
    """Return the model's own description, folded away."""
    return details("The model", paragraph(text))
