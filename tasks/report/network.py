"""A picture of a directed graph: who drives whom."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat, zip_longest

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from plotly import graph_objects as go

from tasks.report.figures import FAINT, KIND_COLOURS, SERIES, label, new_figure
from tasks.report.network_labels import Label, place_labels
from tasks.report.network_layout import place_nodes

WIDTHS, OPACITY = (0.8, 1.6, 2.8), (0.45, 0.65, 0.85)
MOST_HUBS, MOST_BEHAVIOURS = 8, 12
MANY_EDGES = 150
"""Of more edges each is fainter."""
NARROWEST = 900
"""Width in pixels that names are placed for. A wider picture only moves things apart."""
SIDE, BASE, LEGEND_ROW = 8, 8, 20
BEND = 0.12
"""How far one of two opposite arrows bends, as part of its length."""

Places = Mapping[str, tuple[float, float]]
Curve = NDArray[np.float64]


@dataclass(frozen=True)
class Edge:
    """One arrow of the picture; `hover` says more about it, `group` is its entry in the legend."""

    cause: str
    effect: str
    weight: float
    hover: str = ""
    group: str = ""


@dataclass(frozen=True)
class Node:
    """One point of the picture."""

    kind: str
    stream: str
    behaviour: bool
    region: str = ""


UNKNOWN = Node("signal", "", False)


def draw_network(
    edges: Sequence[Edge],
    nodes: Mapping[str, Node],
    height: int | None = None,
    colours: Mapping[str, str] | None = None,
) -> go.Figure:
    """Draw edges as arrows from cause to effect; behaviour as diamonds, names where they fit.

    height : in pixels; by the number of nodes if not given
    colours : of the groups of edges, in the order of the legend
    """
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_edges_from((e.cause, e.effect) for e in edges)
    groups = group_nodes({name: nodes.get(name, UNKNOWN) for name in sorted(graph)})
    rows = _legend_rows([*groups, *(colours or {})])
    across = np.sqrt(len(graph))
    height = height or int(np.clip(min(300 + 36 * across, 120 + 85 * across), 220, 1000))
    figure = new_figure(height + LEGEND_ROW * (rows - 1))
    top = 20 + LEGEND_ROW * rows
    size = NARROWEST - 2 * SIDE, figure.layout.height - top - BASE
    order, first = order_by_role(graph, nodes)
    places = place_nodes(graph, *size, named=set(order[:first]))
    diameter = {name: _diameter(graph, name, nodes.get(name, UNKNOWN)) for name in graph}
    sides = place_labels(
        [
            Label(name, _short(name), _font(nodes.get(name, UNKNOWN)), 1 + diameter[name] / 1.6)
            for name in order
        ],
        places,
        {name: 0.65 * diameter[name] for name in graph},
        np.array([[*places[a], *places[b]] for a, b in graph.edges]).reshape(-1, 4),
        *size,
    )
    _add_edges(figure, edges, places, graph, diameter, colours or {})
    _add_nodes(figure, graph, groups, nodes, places, diameter, sides)
    figure.update_xaxes(visible=False, range=[0, size[0]])
    figure.update_yaxes(visible=False, range=[0, size[1]])
    figure.update_layout(
        showlegend=True, margin={"l": SIDE, "r": SIDE, "t": top, "b": BASE}, hovermode="closest"
    )
    return figure


def _legend_rows(names: Sequence[str]) -> int:
    """Return how many rows the legend fills: 40 pixels an entry beside its text."""
    return 1 + int(sum(7 * len(name) + 40 for name in names) / NARROWEST)


def group_nodes(nodes: Mapping[str, Node]) -> dict[str, list[str]]:
    """Return the names of nodes by entry of the legend: stream, and region if there are several.

    Regions with fewest nodes share an entry. Behaviour comes last, to lie on top.
    """
    neural = [node for node in nodes.values() if not node.behaviour]
    regions = Counter(node.region for node in neural if node.region not in ("", node.stream))
    largest = {region for region, _ in regions.most_common(len(SERIES))}
    groups: dict[str, list[str]] = {}
    for name, node in sorted(nodes.items(), key=lambda item: item[1].behaviour):
        told = [label(node.stream or node.kind)]
        if len(regions) > 1 and not node.behaviour:
            told.append(label(node.region) if node.region in largest else "elsewhere")
        groups.setdefault(", ".join(told), []).append(name)
    return groups


def _add_edges(
    figure: go.Figure,
    edges: Sequence[Edge],
    places: Places,
    graph: "nx.DiGraph[str]",
    diameter: Mapping[str, float],
    colours: Mapping[str, str],
) -> None:
    """Add arrows in three widths, and points between their ends that tell more when hovered."""
    if not edges:
        return
    weights = np.array([edge.weight for edge in edges])
    bands = np.searchsorted(np.quantile(weights, [0.5, 0.85]), weights, side="right")
    curves = [trace_arrow(edge, places, graph) for edge in edges]
    for group, colour in colours.items():
        figure.add_scatter(
            x=[None], y=[None], mode="lines", line={"width": 3, "color": colour},
            name=label(group), legendgroup=label(group),
        )  # fmt: skip
    for group in dict.fromkeys(edge.group for edge in edges):
        for band in range(len(WIDTHS)):
            chosen = [
                (edge, curve)
                for edge, curve, its in zip(edges, curves, bands, strict=True)
                if its == band and edge.group == group
            ]
            if chosen:
                arrows = _arrows(chosen, diameter, band, colours.get(group, FAINT))
                faint = min(1.0, float(np.sqrt(MANY_EDGES / len(edges))))
                figure.add_trace(
                    arrows.update(legendgroup=label(group), opacity=faint * OPACITY[band])
                )
    # A third of the way from the effect: two opposite edges have their own points.
    middles = [curve[int(0.65 * (len(curve) - 1) + 0.5)] for curve in curves]
    straight = [0.35 * curve[0] + 0.65 * curve[-1] for curve in curves]
    points = [m if len(c) > 2 else s for m, s, c in zip(middles, straight, curves, strict=True)]
    figure.add_scatter(
        x=[float(p[0]) for p in points],
        y=[float(p[1]) for p in points],
        mode="markers",
        marker={"size": 12, "opacity": 0},
        text=[f"{label(e.cause)} → {label(e.effect)}<br>{e.hover}" for e in edges],
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def trace_arrow(edge: Edge, places: Places, graph: "nx.DiGraph[str]") -> Curve:
    """Return the points of an arrow (point, 2): a line, or an arc if the opposite one is there."""
    start, end = np.array(places[edge.cause]), np.array(places[edge.effect])
    if not graph.has_edge(edge.effect, edge.cause):
        return np.stack([start, end])
    along = end - start
    bend = (start + end) / 2 + 2 * BEND * np.array([-along[1], along[0]])
    t = np.linspace(0, 1, 9)[:, None]
    return np.asarray((1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end)


def _arrows(
    chosen: Sequence[tuple[Edge, Curve]], diameter: Mapping[str, float], band: int, colour: str
) -> go.Scatter:
    """Return arrows of one colour and width; each ends where its node begins."""
    gap = np.full((1, 2), np.nan)
    points_P2 = np.concatenate([part for _, curve in chosen for part in (curve, gap)])
    head_P, off_P = np.zeros(len(points_P2)), np.zeros(len(points_P2))
    ends = np.cumsum([len(curve) + 1 for _, curve in chosen]) - 2
    head_P[ends] = 7 + 3 * band
    off_P[ends] = [1 + diameter[edge.effect] / 2 for edge, _ in chosen]
    return go.Scatter(
        x=points_P2[:, 0].tolist(),
        y=points_P2[:, 1].tolist(),
        mode="lines+markers",
        line={"width": WIDTHS[band], "color": colour},
        marker={
            "symbol": "arrow",
            "angleref": "previous",
            "size": head_P.tolist(),
            "standoff": off_P.tolist(),
            "opacity": 1,
            "color": colour,
        },
        hoverinfo="skip",
        showlegend=False,
    )


def _add_nodes(
    figure: go.Figure,
    graph: "nx.DiGraph[str]",
    groups: Mapping[str, Sequence[str]],
    nodes: Mapping[str, Node],
    places: Places,
    diameter: Mapping[str, float],
    sides: Mapping[str, str],
) -> None:
    """Add one trace a group, so that the legend can hide it, with the names that fit."""
    colours = _node_colours(groups, nodes)
    for group, names in groups.items():
        behaviour = nodes.get(names[0], UNKNOWN).behaviour
        figure.add_scatter(
            x=[places[name][0] for name in names],
            y=[places[name][1] for name in names],
            mode="markers+text",
            name=group,
            text=[_short(name) if name in sides else "" for name in names],
            textposition=[sides.get(name, "top center") for name in names],
            textfont={"size": _font(nodes.get(names[0], UNKNOWN))},
            marker={
                "color": colours[group],
                "opacity": 1,
                "symbol": "diamond" if behaviour else "circle",
                "size": [diameter[name] for name in names],
                "line": {"width": 2 if behaviour else 0.8, "color": "#ffffff"},
            },
            meta={"rim": True},
            customdata=[
                f"{label(name)}<br>drives {graph.out_degree(name)}, "
                f"driven by {graph.in_degree(name)}"
                for name in names
            ],
            hovertemplate="%{customdata}<extra></extra>",
        )


def order_by_role(graph: "nx.DiGraph[str]", nodes: Mapping[str, Node]) -> tuple[list[str], int]:
    """Return names in the order in which they should be readable, and how many must be.

    What drives most others, by turns with behaviour, must be; then comes what drives behaviour.
    """
    behaviour = {name for name in graph if nodes.get(name, UNKNOWN).behaviour}
    drivers = {cause for cause, effect in graph.edges if effect in behaviour} - behaviour
    ranked = sorted(graph, key=lambda name: (-graph.out_degree(name), -graph.degree(name), name))
    hubs = [name for name in ranked if name not in behaviour][:MOST_HUBS]
    shown = sorted(behaviour, key=lambda name: (-graph.degree(name), name))[:MOST_BEHAVIOURS]
    first = [name for pair in zip_longest(hubs, shown) for name in pair if name is not None]
    order = [*first, *(name for name in ranked if name in drivers), *ranked]
    return list(dict.fromkeys(order)), len(first)


def _node_colours(groups: Mapping[str, Sequence[str]], nodes: Mapping[str, Node]) -> dict[str, str]:
    """Return a colour for each group: its kind's, or its region's where groups are regions."""
    first = {group: nodes.get(names[0], UNKNOWN) for group, names in groups.items()}
    neural = [group for group, node in first.items() if not node.behaviour]
    several = len(neural) > len({first[group].stream for group in neural})
    largest = sorted(neural, key=lambda group: -len(groups[group])) if several else []
    regional = dict(zip(largest, chain(SERIES, repeat(FAINT)), strict=False))
    return {
        group: regional.get(group, KIND_COLOURS.get(node.kind, KIND_COLOURS["signal"]))
        for group, node in first.items()
    }


def _short(name: str) -> str:
    return label(name.split("/", 1)[-1])


def _font(node: Node) -> int:
    return 11 if node.behaviour else 10


def _diameter(graph: "nx.DiGraph[str]", name: str, node: Node) -> float:
    return 17.0 if node.behaviour else float(7 + min(graph.degree(name), 10))
