"""The picture of a graph: names that can be read, nodes that fill it, arrows told apart."""

from itertools import combinations

import networkx as nx
import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from plotly import graph_objects as go

from tasks.report.graph import group_by_delay
from tasks.report.network import Edge, Node, draw_network, order_by_role, trace_arrow
from tasks.report.network_labels import Label, box_of, crosses, overlaps
from tasks.report.network_layout import Cell, divide, place_nodes

Floats = NDArray[np.floating]


def draw_random(count: int, links: int) -> tuple[go.Figure, "nx.DiGraph[str]", dict[str, Node]]:
    """Draw a graph with hubs, one node in eight behaviour, arrows both ways, and small parts."""
    rng = np.random.default_rng(count)
    names = [f"calcium/neuron_{n:04d}" for n in range(count)]
    share = rng.pareto(1.2, count) + 0.1
    graph: nx.DiGraph[str] = nx.DiGraph()
    for _ in range(links):
        cause, effect = rng.choice(count, p=share / share.sum()), rng.integers(count)
        if cause != effect:
            graph.add_edge(names[cause], names[effect])
            if rng.random() < 0.1:
                graph.add_edge(names[effect], names[cause])
    nodes = {
        name: Node("pose" if n % 8 == 0 else "calcium", "s", n % 8 == 0, f"region {n % 3}")
        for n, name in enumerate(names)
    }
    edges = [Edge(cause, effect, rng.random()) for cause, effect in graph.edges]
    return draw_network(edges, nodes), graph, nodes


def boxes_of(figure: go.Figure) -> tuple[dict[str, Floats], Floats]:
    """Return what each name covers, by node, and what all markers cover (marker, 4)."""
    names, markers = {}, []
    for trace in figure.data:
        if trace.mode != "markers+text":
            continue
        for x, y, text, side, size, told in zip(
            trace.x, trace.y, trace.text, trace.textposition, trace.marker.size, trace.customdata,
            strict=True,
        ):  # fmt: skip
            reach = size / 2 * (1.3 if trace.marker.symbol == "diamond" else 1.0)
            markers.append([x - reach, y - reach, x + reach, y + reach])
            if text:
                shown = Label("", text, trace.textfont.size, 1 + size / 1.6)
                names[told.split("<br>")[0]] = box_of(shown, side, (x, y))
    return names, np.array(markers)


@pytest.mark.parametrize(("count", "links"), [(12, 20), (60, 120), (300, 600)])
def test_names_cover_neither_each_other_nor_nodes(count: int, links: int) -> None:
    figure, graph, nodes = draw_random(count, links)
    names, markers = boxes_of(figure)
    assert not any(overlaps(a, b[None]).any() for a, b in combinations(names.values(), 2))
    assert not any(overlaps(box, markers).any() for box in names.values())
    right, top = figure.layout.xaxis.range[1], figure.layout.yaxis.range[1]
    assert all((box[:2] >= 0).all() and box[2] <= right and box[3] <= top for box in names.values())
    order, first = order_by_role(graph, nodes)
    named = [name in names for name in order[:first]]
    assert np.mean(named) >= (1.0 if count < 300 else 0.9)
    assert len(names) > 0.4 * len(graph)


@pytest.mark.parametrize(("count", "links"), [(12, 20), (60, 120), (300, 600)])
def test_nodes_fill_the_picture_and_stand_apart(count: int, links: int) -> None:
    _, graph, _ = draw_random(count, links)
    places = place_nodes(graph, 800, 500)
    assert places == place_nodes(graph, 800, 500)
    at_N2 = np.array(list(places.values()))
    assert (at_N2 > 0).all()
    assert (at_N2 < [800, 500]).all()
    nearest = min(np.hypot(*(a - b)) for a, b in combinations(at_N2, 2))
    assert nearest > (12 if count == 300 else 25)
    quarters = {(int(4 * x / 800), int(3 * y / 500)) for x, y in at_N2}
    assert len(quarters) >= (5 if count == 12 else 11)


def test_cells_share_the_picture_by_weight() -> None:
    weights = [40.0, 5.0, 3.0, 3.0, 2.0, 2.0]
    cells = divide(weights, Cell(0, 0, 900, 500))
    areas = np.array([cell.width * cell.height for cell in cells])
    np.testing.assert_allclose(areas / areas.sum(), np.array(weights) / sum(weights))
    assert max(max(c.width / c.height, c.height / c.width) for c in cells) < 4
    assert divide([], Cell(0, 0, 1, 1)) == []


def test_one_two_and_no_nodes_are_drawn() -> None:
    assert place_nodes(nx.DiGraph(), 100, 100) == {}
    alone: nx.DiGraph[str] = nx.DiGraph()
    alone.add_node("a")
    assert place_nodes(alone, 100, 60)["a"] == pytest.approx((50, 30), abs=0.1)
    figure = draw_network([Edge("a", "b", 0.5)], {})
    named = next(trace for trace in figure.data if trace.mode == "markers+text")
    assert list(named.text) == ["a", "b"]
    assert draw_network([], {}).data == ()


def test_opposite_arrows_bend_apart() -> None:
    graph = nx.DiGraph([("a", "b"), ("b", "a"), ("a", "c")])
    places = {"a": (0.0, 0.0), "b": (100.0, 0.0), "c": (0.0, 50.0)}
    there, back = (trace_arrow(Edge(*ends, 1.0), places, graph) for ends in ("ab", "ba"))
    assert there[len(there) // 2, 1] == -back[len(back) // 2, 1] != 0
    np.testing.assert_array_equal(there[[0, -1]], back[[-1, 0]])
    assert len(trace_arrow(Edge("a", "c", 1.0), places, graph)) == 2


def test_segments_that_cross_a_box() -> None:
    box = np.array([0.0, 0.0, 10.0, 4.0])
    segments = [[-5, 2, 15, 2], [5, 1, 6, 2], [-5, 5, 15, 5], [-1, 3, 3, 9], [5, -9, 5, 9]]
    assert crosses(box, np.array(segments, float)).tolist() == [True, True, False, False, True]


def test_delays_are_told_apart_by_colour() -> None:
    lag_s = [-0.2, 0.0, 0.1, 0.1, 0.2, 0.3, 0.4, 0.5, np.nan]
    edges = xr.Dataset({"lag_s": ("edge", lag_s), "skill": ("edge", np.ones(len(lag_s)))})
    groups, colours = group_by_delay(edges)
    assert groups == [
        "effect leads", "no delay", "0.1 to 0.2 s", "0.1 to 0.2 s", "0.1 to 0.2 s", "0.3 to 0.4 s",
        "0.3 to 0.4 s", "0.5 s", "delay unknown",
    ]  # fmt: skip
    assert list(colours) == list(dict.fromkeys(groups))
    alike, few = group_by_delay(edges.isel(edge=[0, 2, 3]))
    assert alike == ["effect leads", "0.1 s", "0.1 s"]
    assert list(few) == ["effect leads", "0.1 s"]
    assert group_by_delay(edges.isel(edge=[8])) == ([""], {})
    assert group_by_delay(edges.drop_vars("lag_s").isel(edge=[0])) == ([""], {})
    assert group_by_delay(edges.isel(edge=[0, 1]))[0] == ["effect leads", "no delay"]
