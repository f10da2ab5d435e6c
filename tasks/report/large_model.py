"""Large neural model: its scores beside the baselines', what it decodes and forecasts."""

import numpy as np
import xarray as xr
from markupsafe import Markup
from numpy.typing import NDArray

from schemas.settings.report import ReportSettings
from tasks.report.alignment import take_in_turn
from tasks.report.courses import Course, draw_courses, generated_courses
from tasks.report.elements import (
    Block,
    Chart,
    Section,
    details,
    facts,
    note,
    paragraph,
)
from tasks.report.evidence import Evidence
from tasks.report.figures import (
    FAINT,
    MODEL,
    RIDGE,
    new_figure,
)
from tasks.report.model_scores import (
    ablation_table,
    draw_horizons,
    draw_scores,
    quality_table,
    score_table,
    summarise_tasks,
)

TITLE, SLUG = "Large neural model", "large-neural-model"
QUESTION = "Does one model over all streams beat simple baselines, and on what?"
MOST_FORECAST, MOST_GENERATED, MARKED_STEPS = 3, 6, 60


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
    if "ablations" in groups:
        blocks.append(ablation_table(groups["ablations"]))
    blocks += [
        _training(training),
        details("All scores", score_table(scores)),
        details("Distributions and correlations", quality_table(scores)),
    ]
    return Section(SLUG, TITLE, QUESTION, tuple(blocks))


def _facts(scores: xr.Dataset, training: xr.Dataset) -> Markup:
    verdicts = [str(verdict) for verdict in scores["verdict"].values]
    parameters = training.attrs.get("parameters")
    return facts(
        [
            ("scores", len(verdicts)),
            ("win", verdicts.count("win")),
            ("tie", verdicts.count("tie")),
            ("loss", verdicts.count("loss")),
            ("parameters", int(parameters) if parameters is not None else None),
            ("best step", int(training.attrs.get("best_step", -1))),
            ("training ended", str(training.attrs.get("stopped", ""))),
        ]
    )


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
    courses = generated["value"]
    if "channel" in courses.coords:
        # Of a stream at its own rate the first slot of each sample.
        firsts = np.unique(courses["channel"].values, return_index=True)[1]
        courses = courses.isel(column=np.sort(firsts)).drop_vars(["channel", "offset"])
    courses = courses.rename(column="channel")
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
            mode="lines" if known.sum() > MARKED_STEPS else "lines+markers",
            name=name.replace("_loss", ""),
            line={"width": 1.8, "color": colour},
        )
    figure.update_layout(showlegend=True)
    return Chart(
        "lnm-training",
        figure,
        "Training",
        "Loss; 1 is what the linear prediction costs. Of validation the first half, "
        "by which training is stopped.",
    )
