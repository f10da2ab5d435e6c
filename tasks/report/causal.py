"""Causal graph: who drives whom, how surely, and what drives behaviour."""

import numpy as np
import xarray as xr
from markupsafe import Markup
from numpy.typing import NDArray
from plotly import graph_objects as go

from schemas.settings.report import ReportSettings
from tasks.common.segments import split_runs
from tasks.report.alignment import order_similar
from tasks.report.drivers import write_drivers, write_hubs, write_regions
from tasks.report.elements import (
    Block,
    Cell,
    Chart,
    Section,
    details,
    facts,
    heading,
    note,
    paragraph,
    table,
)
from tasks.report.evidence import Evidence
from tasks.report.figures import (
    FAINT,
    INK,
    KIND_COLOURS,
    MODEL,
    RIDGE,
    SERIES,
    distinct_labels,
    matrix,
    new_figure,
    spread,
)
from tasks.report.graph import (
    draw_convergence,
    draw_delays,
    draw_graph,
    names_of,
    tell_nodes,
    with_curves,
)
from tasks.report.network import Node

TITLE, SLUG = "Causal graph", "causal"
QUESTION = "Which neurons drive which, and which drive behaviour?"
READING = (
    "An arrow from A to B means that B's own history recovers A: A leaves its trace in B, so A "
    "drives B. Skill is the correlation of recovered and real values (1 is perfect); a cause is "
    "believed where skill grows as more of the recording is used (convergence)."
)


def write_causal(evidence: Evidence, settings: ReportSettings) -> Section:
    """Return the skill matrix, the network, convergence, drivers, dimensions and the truth."""
    tree = evidence.trees.get("causal")
    if tree is None:
        return Section(SLUG, TITLE, QUESTION, (note(evidence.why_missing("causal")),), empty=True)
    parts = {
        name: tree.children[name].to_dataset(inherit=False).load()
        for name in ("nodes", "edges", "skill", "screening")
        if name in tree.children
    }
    nodes, edges, skill = parts["nodes"], parts["edges"], parts.get("skill")
    blocks: list[Block] = [paragraph(READING), _facts(nodes, parts), _excluded(nodes)]
    if skill is None:
        blocks.append(_screening(parts["screening"], nodes, edges))
    else:
        blocks.append(_matrices(skill, nodes, settings))
    if edges.sizes["edge"]:
        blocks += [
            draw_graph(nodes, edges, settings),
            draw_convergence(with_curves(edges, skill), nodes, settings),
            *draw_delays(edges),
        ]
    else:
        blocks.append(note("No edge passed the criteria: no picture of the graph to draw."))
    blocks += [heading("What drives each behaviour"), write_drivers(nodes, edges, settings)]
    blocks += [heading("Hubs: what drives most others"), write_hubs(nodes, edges)]
    if "regions" in tree.children:
        regions = tree.children["regions"].to_dataset(inherit=False).load()
        blocks += [heading("Region by region"), write_regions(regions)]
    if "truth" in tree.children:
        truth = tree.children["truth"].to_dataset(inherit=False).load()
        blocks.append(_truth(truth))
    blocks.append(
        Chart(
            "causal-dimensions",
            draw_dimensions(nodes),
            "Embedding dimensions",
            "How many delays of its own past describe a node best.",
        )
    )
    return Section(SLUG, TITLE, QUESTION, tuple(blocks))


def _facts(nodes: xr.Dataset, parts: dict[str, xr.Dataset]) -> Markup:
    used = ~nodes["excluded"].values.astype(bool)
    count, edges = int(used.sum()), parts["edges"]
    behaviour = set(names_of(nodes, nodes["behaviour"].values.astype(bool)))
    onto = sum(str(effect) in behaviour for effect in edges["effect"].values)
    if "skill" in parts:
        sizes = parts["skill"]["library_size"].values
        typical = float(np.nanmedian(parts["skill"]["skill"])) if count > 1 else None
    else:
        sizes = edges["library_size"].values
        typical = typical_skill(parts["screening"])
    return facts(
        [
            ("nodes", f"{count:,} of {used.size:,}"),
            ("pairs", count * (count - 1)),
            ("edges", edges.sizes["edge"]),
            ("edges onto behaviour", onto),
            ("library sizes", f"{sizes.min():,} – {sizes.max():,}" if sizes.size else ""),
            ("median skill of all pairs", typical),
        ]
    )


def typical_skill(screening: xr.Dataset) -> float | None:
    """Return the median of all pairs' screened skills, to the width of a bin; None without any."""
    below_B = np.cumsum(screening["pairs"].values)
    if not below_B[-1]:
        return None
    return float(screening["skill_bin"].values[np.searchsorted(below_B, below_B[-1] / 2)])


def _screening(screening: xr.Dataset, nodes: xr.Dataset, edges: xr.Dataset) -> Chart:
    """Return the histogram of all pairs' skills, which stands for a matrix too large to draw."""
    figure = new_figure(320, x="skill", y="pairs")
    centre_B = screening["skill_bin"].values
    middle_B = (centre_B[1:] + centre_B[:-1]) / 2
    kept_B = np.histogram(edges["skill"].values, [-np.inf, *middle_B, np.inf])[0]
    figure.add_bar(x=centre_B, y=screening["pairs"].values, name="all pairs, screened")
    figure.add_bar(x=centre_B, y=kept_B, name="edges, measured in full")
    for bar, colour in zip(figure.data, (FAINT, MODEL), strict=True):
        bar.marker = {"color": colour, "line": {"width": 0}}
    figure.update_layout(barmode="overlay", bargap=0, showlegend=True)
    figure.update_yaxes(type="log", dtick=1)
    count = int((~nodes["excluded"].values.astype(bool)).sum())
    settings = screening.attrs
    samples = "all" if settings["stride"] == 1 else f"one in {settings['stride']}"
    return Chart(
        "causal-screening",
        figure,
        "All pairs, screened",
        f"With {count:,} nodes all pairs were predicted at {samples} samples; "
        f"the {settings['survivors']:,} that came near the rule of an edge were then measured in "
        "full. False discoveries are controlled over all pairs.",
    )


def _median(values: NDArray[np.floating]) -> float | None:
    return float(np.nanmedian(values)) if np.isfinite(values).any() else None


def _excluded(nodes: xr.Dataset) -> Markup:
    left_out = np.flatnonzero(nodes["excluded"].values)
    rows: list[list[Cell]] = [
        [str(nodes["node"].values[at]), str(nodes["reason"].values[at])] for at in left_out
    ]
    if not rows:
        return Markup("")
    return details(f"Nodes left out: {len(rows):,}", table(["node", "why"], rows))


def order_nodes(skill: xr.Dataset, nodes: xr.Dataset, most: int) -> NDArray[np.intp]:
    """Return indices of the nodes to draw: by stream, similar ones next to each other.

    Of more than `most`, those whose skill (as cause or as effect) is highest.
    """
    skill_EC = np.nan_to_num(skill["skill"].values)
    kept = np.arange(len(skill_EC))
    if len(kept) > most:
        strength = np.maximum(skill_EC.max(axis=0), skill_EC.max(axis=1))
        kept = np.sort(np.argsort(-strength, kind="stable")[:most])
    stream_of = dict(zip(nodes["node"].values, nodes["stream"].values, strict=True))
    behaviour_of = dict(zip(nodes["node"].values, nodes["behaviour"].values, strict=True))
    names = skill["effect"].values[kept]
    keys = [(bool(behaviour_of[name]), str(stream_of[name])) for name in names]
    order: list[int] = []
    for key in sorted(set(keys)):
        at = kept[[its == key for its in keys]]
        # A node is alike another if it is driven by, and drives, the same nodes.
        profile = np.hstack([skill_EC[at][:, kept], skill_EC[kept][:, at].T])
        order += at[order_similar(profile)].tolist()
    return np.array(order, np.intp)


def _matrices(skill: xr.Dataset, nodes: xr.Dataset, settings: ReportSettings) -> Block:
    order = order_nodes(skill, nodes, settings.max_nodes)
    total = skill.sizes["effect"]
    if len(order) < 2:
        return note("Fewer than two nodes are left: there is no matrix to draw.")
    shown = f"{len(order)} of {total} nodes, those with the highest skill" * (len(order) < total)
    caption = f"{shown or f'All {total} nodes'}, by stream (bars), then by similarity. "
    titles = {
        "skill": ("Skill of cross mapping", "A row is an effect, a column a cause."),
        "correlation": ("Plain correlation", "The same pairs for comparison: it has no direction."),
    }
    return tuple(
        Chart(f"causal-{name}", draw_pairs(skill, nodes, order, name), title, caption + rest)
        for name, (title, rest) in titles.items()
    )


def draw_pairs(
    skill: xr.Dataset, nodes: xr.Dataset, order: NDArray[np.intp], name: str
) -> go.Figure:
    """Draw one measure of all ordered pairs of nodes, effects down, causes across."""
    values_EC = skill[name].values[np.ix_(order, order)]
    names = [str(node) for node in skill["effect"].values[order]]
    low, high = (-1.0, 1.0) if name == "correlation" else (0.0, spread(values_EC, (0.01, 0.995))[1])
    figure = new_figure(500)
    figure.add_trace(
        matrix(
            values_EC,
            low,
            high,
            x=distinct_labels(names),
            y=distinct_labels(names),
            colours="RdBu_r" if name == "correlation" else "Viridis",
            hovertemplate="%{x} → %{y}<br>" + name + " %{z:.2f}<extra></extra>",
        )
    )
    _mark_streams(figure, names, tell_nodes(nodes))
    axis = {"type": "category", "showticklabels": False, "showgrid": False, "ticks": ""}
    figure.update_xaxes(title_text="cause", **axis)
    figure.update_yaxes(title_text="effect", autorange="reversed", **axis)
    figure.update_layout(margin={"l": 44, "r": 12, "t": 20, "b": 48})
    return figure


def _mark_streams(figure: go.Figure, names: list[str], nodes: dict[str, Node]) -> None:
    """Draw a bar beside the nodes of each stream, in the colour of its kind."""
    streams = np.array([nodes[name].stream for name in names])
    for run in split_runs(streams):
        colour = KIND_COLOURS.get(nodes[names[run.start]].kind, KIND_COLOURS["signal"])
        along = {"0": run.start - 0.4, "1": run.stop - 0.6}
        shape = {"type": "rect", "line": {"width": 0}, "fillcolor": colour}
        figure.add_shape(xref="paper", x0=-0.022, x1=-0.008, y0=along["0"], y1=along["1"], **shape)
        figure.add_shape(yref="paper", y0=-0.022, y1=-0.008, x0=along["0"], x1=along["1"], **shape)


def draw_dimensions(nodes: xr.Dataset) -> go.Figure:
    """Draw how many nodes have which embedding dimension, neurons and behaviour apart."""
    used = ~nodes["excluded"].values.astype(bool)
    behaviour = nodes["behaviour"].values.astype(bool)
    dimensions = nodes["embedding_dimension"].values
    figure = new_figure(280, x="embedding dimension", y="nodes")
    for name, mask, colour in (
        ("neurons", used & ~behaviour, SERIES[1]),
        ("behaviour", used & behaviour, SERIES[2]),
    ):
        values, counts = np.unique(dimensions[mask], return_counts=True)
        figure.add_bar(x=values, y=counts, name=name, marker={"color": colour}, width=0.7)
    figure.update_layout(barmode="stack", showlegend=True)
    figure.update_xaxes(dtick=1)
    return figure


def _truth(truth: xr.Dataset) -> Chart:
    """Return the ROC curves against the graph that the animal was simulated with."""
    figure = new_figure(420, x="false positive rate", y="true positive rate")
    rate = truth["false_positive_rate"].values
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"dash": "dot", "width": 1}, meta=INK, name="chance"
    )
    for name, title, colour in (
        ("ccm", "cross mapping", MODEL),
        ("correlation", "plain correlation", RIDGE),
    ):
        area = float(truth.attrs[f"auroc_{name}"])
        figure.add_scatter(
            x=rate,
            y=truth[f"roc_{name}"].values,
            mode="lines",
            line={"color": colour, "width": 2.2},
            name=f"{title}, AUROC {area:.3f}",
        )
    edges = int(truth["edge"].values.sum())
    pairs = truth.sizes["effect"] * (truth.sizes["effect"] - 1)
    figure.update_layout(showlegend=True)
    figure.update_yaxes(range=[0, 1.01])
    figure.update_xaxes(range=[0, 1])
    return Chart(
        "causal-truth",
        figure,
        "Against the truth",
        f"This animal was simulated: {edges:,} of {pairs:,} pairs are truly connected. The nearer "
        "a curve is to the upper left corner, the better its ranking of pairs.",
    )
