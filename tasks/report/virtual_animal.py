"""Virtual animal: what the twin did, beside what the animal did, and how alike that is."""

import numpy as np
import xarray as xr
from markupsafe import Markup

from schemas.settings.report import ReportSettings
from tasks.report.courses import draw_courses, draw_likeness, generated_courses
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
from tasks.report.graph import tell_nodes
from tasks.report.network import Edge, Node, draw_network

TITLE, SLUG = "Virtual animal", "virtual-animal"
QUESTION = "Does a network grown from the causal graph behave like the animal?"
READING = (
    "The twin runs freely through the part of the session that it has never seen: it is given "
    "one real state and then only its own past. It cannot foretell what the animal does minutes "
    "later, but what it does should look the same. How much the animal differs from itself, "
    "between parts of its own recording, is the bar (real against real)."
)
MOST_LIKENESS = 4
UNLIKE = 1.5
"""A standard deviation this many times larger or smaller than in training is pointed out."""
METRICS = {
    "ks": "distribution: Kolmogorov–Smirnov",
    "wasserstein_sd": "distribution: Wasserstein [SD]",
    "psd_hellinger": "power spectrum: Hellinger",
    "autocorrelation": "autocorrelation",
    "cross_correlation": "correlation between channels",
    "c2st_auc": "told apart by a classifier (AUC)",
    "nearest_training_window": "distance to nearest training window",
}


def write_virtual_animal(evidence: Evidence, settings: ReportSettings) -> Section:
    """Return courses, spectra and distributions, realism, and the network behind them."""
    tree = evidence.trees.get("twin")
    if tree is None:
        return Section(SLUG, TITLE, QUESTION, (note(evidence.why_missing("twin")),), empty=True)
    behaviour = tree.children["behaviour"].to_dataset(inherit=False).load()
    network = tree.children["network"].to_dataset(inherit=False).load()
    blocks: list[Block] = [
        paragraph(READING),
        _facts(behaviour, network),
        *_unlike_training(behaviour),
        _courses(behaviour, settings),
        _likeness(behaviour),
        heading("Realism"),
        write_realism(tree.children["realism"].to_dataset(inherit=False).load()),
    ]
    if "forecast" in tree.children:
        blocks += _forecast(tree.children["forecast"].to_dataset(inherit=False).load())
    blocks += [_network(network, evidence), _drivers(tree.children["drivers"].to_dataset())]
    return Section(SLUG, TITLE, QUESTION, tuple(blocks))


def _facts(behaviour: xr.Dataset, network: xr.Dataset) -> Markup:
    nodes = {str(n) for name in ("driver", "node") for n in network[name].values}
    time_T = behaviour["time"].values
    return facts(
        [
            ("behaviours", behaviour.sizes["channel"]),
            ("nodes", len(nodes)),
            ("edges", network.sizes["edge"]),
            ("runs", behaviour.sizes["sample"]),
            ("unseen part", f"{time_T[0]:,.1f} – {time_T[-1]:,.1f} s" if len(time_T) else ""),
        ]
    )


def _unlike_training(behaviour: xr.Dataset) -> list[Markup]:
    """Return a remark on channels that varied otherwise in the test part than in training."""
    if "test_to_training_sd" not in behaviour:
        return []
    ratios = behaviour["test_to_training_sd"].values
    told = [
        f"{channel} ({ratio:.2g} times as much)"
        for channel, ratio in zip(behaviour["channel"].values, ratios, strict=True)
        if ratio < 1 / UNLIKE or ratio > UNLIKE
    ]
    text = "The animal itself varied otherwise in the test part than in training: "
    return [note(f"{text}{', '.join(told)}. The twin cannot know that.", "warn")] if told else []


def _courses(behaviour: xr.Dataset, settings: ReportSettings) -> Chart:
    runs = behaviour.sizes["sample"]
    shown = min(runs, settings.samples)
    channels = list(range(min(behaviour.sizes["channel"], settings.behaviours)))
    courses = generated_courses(behaviour["real"], behaviour["generated"], shown)
    left = behaviour.sizes["channel"] - len(channels)
    return Chart(
        "twin-courses",
        draw_courses(courses, channels, settings.max_points),
        "Real and generated behaviour",
        f"Test part; {shown} of {runs} runs." + f" {left} channels are not drawn." * (left > 0),
    )


def _likeness(behaviour: xr.Dataset) -> Chart:
    channels = list(range(min(behaviour.sizes["channel"], MOST_LIKENESS)))
    return Chart(
        "twin-likeness",
        draw_likeness(behaviour["real"], behaviour["generated"], channels),
        "Spectra and distributions",
        "Welch's estimate over gapless stretches of the test part; all runs.",
    )


def write_realism(realism: xr.Dataset) -> Markup:
    """Return every distance of twin and animal beside that of the animal and itself."""
    optional = "linear_vs_real" in realism
    rows: list[list[Cell]] = []
    for at in range(realism.sizes["metric"]):
        row = realism.isel(metric=at)
        cells: list[Cell] = [
            METRICS.get(str(row["metric"].values), str(row["metric"].values).replace("_", " ")),
            str(row["channel"].values),
            tell_range(row, "generated_vs_real", "generated_low", "generated_high"),
            tell_range(row, "real_vs_real", "real_low", "real_high"),
        ]
        if optional:
            cells.append(float(row["linear_vs_real"]))
        rows.append([*cells, chip(str(row["verdict"].values))])
    columns = ["distance", "channel", "generated – real", "real – real"]
    if optional:
        columns.append("linear model – real")
    text = "Medians with 5–95 % ranges; smaller is more alike, and an AUC of 0.5 is no difference."
    return table([*columns, "verdict"], rows) + paragraph(text)


def tell_range(row: xr.Dataset, name: str, low: str, high: str) -> Markup:
    """Return a value, with its range where there is one."""
    value = Markup("{}").format(format_number(float(row[name])))
    if low not in row or not np.isfinite([float(row[low]), float(row[high])]).all():
        return value
    ends = format_number(float(row[low])), format_number(float(row[high]))
    return value + Markup(' <span class="range">{} – {}</span>').format(*ends)


def _forecast(forecast: xr.Dataset) -> list[Block]:
    rows: list[list[Cell]] = [
        [
            str(row["channel"].values),
            int(row["horizon"]),
            *(float(row[name]) for name in ("model", "autoregression", "persistence")),
            f"{100 * float(row['coverage']):.0f} %",
            chip(str(row["verdict"].values)),
        ]
        for row in (forecast.isel(score=at) for at in range(forecast.sizes["score"]))
    ]
    columns = ["channel", "samples ahead", "twin", "autoregression", "persistence"]
    told = table([*columns, "real inside 5–95 %", "verdict"], rows)
    return [
        heading("Forecasts from real states"),
        told,
        paragraph("Root mean square errors in standard deviations of the training part."),
    ]


def _network(network: xr.Dataset, evidence: Evidence) -> Chart:
    edges = [
        Edge(str(cause), str(effect), float(skill), f"skill {skill:.2f}")
        for cause, effect, skill in zip(
            network["driver"].values, network["node"].values, network["skill"].values, strict=True
        )
    ]
    nodes: dict[str, Node] = {}
    if "causal" in evidence.trees:
        nodes = tell_nodes(evidence.trees["causal"].children["nodes"].to_dataset().load())
    return Chart(
        "twin-network",
        draw_network(edges, nodes, 480),
        "The network that runs",
        "Each node is predicted from its own past and that of the nodes with an arrow to it.",
    )


def _drivers(drivers: xr.Dataset) -> Markup:
    rows: list[list[Cell]] = [
        [str(target), str(node), format_number(float(skill))]
        for target, node, skill in zip(
            *(drivers[name].values for name in ("target", "node", "skill")), strict=True
        )
    ]
    return details("Drivers of each behaviour", table(["behaviour", "driver", "skill"], rows))
