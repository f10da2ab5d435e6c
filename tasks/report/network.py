"""A picture of a directed graph: who drives whom."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from plotly import graph_objects as go

from tasks.report.figures import KIND_COLOURS, label, new_figure

WIDTHS = (0.8, 1.6, 2.8)
LAYOUT_SEED = 5


@dataclass(frozen=True)
class Edge:
    """One arrow of the picture; `hover` says more about it."""

    cause: str
    effect: str
    weight: float
    hover: str = ""


@dataclass(frozen=True)
class Node:
    """One point of the picture."""

    kind: str
    stream: str
    behaviour: bool


def draw_network(edges: Sequence[Edge], nodes: Mapping[str, Node], height: int = 680) -> go.Figure:
    """Draw edges as arrows from cause to effect; behaviour as large diamonds with names."""
    figure = new_figure(height)
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_weighted_edges_from((e.cause, e.effect, max(e.weight, 0.01)) for e in edges)
    places = place_nodes(graph)
    _add_edges(figure, edges, places)
    _add_nodes(figure, graph, nodes, places)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.update_layout(
        showlegend=True, margin={"l": 8, "r": 8, "t": 40, "b": 8}, hovermode="closest"
    )
    return figure


def place_nodes(graph: "nx.DiGraph[str]") -> dict[str, tuple[float, float]]:
    """Return where each node lies: connected parts side by side, the largest first."""
    places: dict[str, tuple[float, float]] = {}
    left = 0.0
    parts = sorted(nx.weakly_connected_components(graph), key=lambda part: (-len(part), min(part)))
    for part in parts:
        names = sorted(part)
        among = nx.Graph(graph.subgraph(names))
        ordered: nx.Graph[str] = nx.Graph()
        # A set's order differs between runs of Python, and with it the layout.
        ordered.add_nodes_from(names)
        ordered.add_weighted_edges_from(sorted(among.edges(data="weight")))
        found = nx.spring_layout(
            ordered, k=2.4 / np.sqrt(len(names)), iterations=200, seed=LAYOUT_SEED, weight=None
        )
        width = float(np.sqrt(len(names)))
        spread_N2 = loosen(np.array([found[name] for name in names]))
        for name, (x, y) in zip(names, spread_N2, strict=True):
            places[name] = (left + width * (1 + float(x)), width * float(y))
        left += 2 * width + 0.6
    return places


def loosen(places_N2: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move points half of the way to even ranks, so that a dense core can be read."""
    count = len(places_N2)
    if count < 3:
        return places_N2
    rank_N2 = np.argsort(np.argsort(places_N2, axis=0, kind="stable"), axis=0)
    return np.asarray(0.5 * places_N2 + 0.5 * (2 * rank_N2 / (count - 1) - 1))


def _add_edges(
    figure: go.Figure, edges: Sequence[Edge], places: Mapping[str, tuple[float, float]]
) -> None:
    """Add arrows in three widths, and points between their ends that tell more when hovered."""
    if not edges:
        return
    weights = np.array([edge.weight for edge in edges])
    bands = np.searchsorted(np.quantile(weights, [0.5, 0.85]), weights, side="right")
    for band, width in enumerate(WIDTHS):
        chosen = [edge for edge, its in zip(edges, bands, strict=True) if its == band]
        points = [p for e in chosen for p in (places[e.cause], places[e.effect], (None, None))]
        figure.add_scatter(
            x=[x for x, _ in points],
            y=[y for _, y in points],
            mode="lines+markers",
            line={"width": width, "color": "#8b95a1"},
            opacity=0.35 + 0.25 * band,
            marker={
                "symbol": "arrow",
                "angleref": "previous",
                "size": [0, 8 + 3 * band, 0] * len(chosen),
                "standoff": 6,
                "opacity": 1,
                "color": "#8b95a1",
            },
            hoverinfo="skip",
            showlegend=False,
        )
    # A third of the way from the effect: two opposite edges have their own points.
    middles = [
        tuple(0.35 * a + 0.65 * b for a, b in zip(places[e.cause], places[e.effect], strict=True))
        for e in edges
    ]
    figure.add_scatter(
        x=[m[0] for m in middles],
        y=[m[1] for m in middles],
        mode="markers",
        marker={"size": 12, "opacity": 0},
        text=[f"{label(e.cause)} → {label(e.effect)}<br>{e.hover}" for e in edges],
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def _add_nodes(
    figure: go.Figure,
    graph: "nx.DiGraph[str]",
    nodes: Mapping[str, Node],
    places: Mapping[str, tuple[float, float]],
) -> None:
    """Add one trace a stream, so that the legend can hide it; the busiest neurons have names."""
    busiest = sorted(graph, key=lambda node: (-graph.degree(node), node))[:8]
    groups: dict[tuple[str, str, bool], list[str]] = {}
    for name in sorted(graph):
        node = nodes.get(name, Node("signal", "", False))
        groups.setdefault((node.stream, node.kind, node.behaviour), []).append(name)
    for (stream, kind, behaviour), names in groups.items():
        figure.add_scatter(
            x=[places[name][0] for name in names],
            y=[places[name][1] for name in names],
            mode="markers+text",
            name=label(stream or kind),
            text=[_name(name, behaviour or name in busiest) for name in names],
            textposition="top center",
            textfont={"size": 11 if behaviour else 10},
            marker={
                "color": KIND_COLOURS.get(kind, KIND_COLOURS["signal"]),
                "opacity": 1,
                "symbol": "diamond" if behaviour else "circle",
                "size": [_size(graph, name, behaviour) for name in names],
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


def _name(name: str, shown: bool) -> str:
    return label(name.split("/", 1)[-1]) if shown else ""


def _size(graph: "nx.DiGraph[str]", name: str, behaviour: bool) -> float:
    return 17.0 if behaviour else float(7 + min(graph.degree(name), 10))
