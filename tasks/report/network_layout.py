"""Where the nodes of a graph lie in a picture: parts in cells that fill it, nodes apart."""

from collections.abc import Container, Sequence
from dataclasses import dataclass

import networkx as nx
import numpy as np
from numpy.typing import NDArray

LAYOUT_SEED = 5
EVENLY = 0.8
ROOM, NAMED_ROOM = 13.0, 32.0
"""Radius that a node has for itself, in pixels, and one whose name must find a place."""

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Cell:
    """A rectangle of the picture, in pixels."""

    left: float
    bottom: float
    width: float
    height: float

    def split(self, share: float) -> tuple["Cell", "Cell"]:
        """Return two parts along the longer side, the first with that share of the area."""
        if self.width >= self.height:
            cut = self.width * share
            right = Cell(self.left + cut, self.bottom, self.width - cut, self.height)
            return Cell(self.left, self.bottom, cut, self.height), right
        cut = self.height * share
        above = Cell(self.left, self.bottom + cut, self.width, self.height - cut)
        return Cell(self.left, self.bottom, self.width, cut), above

    def fill(self, unit_N2: Points, margin: float) -> Points:
        """Return points between -1 and 1 as points of the cell, its margin left free."""
        half = np.array([self.width, self.height]) / 2
        inner = np.maximum(half - margin, half / 2)
        return np.array([self.left, self.bottom]) + half + unit_N2 * inner


def place_nodes(
    graph: "nx.DiGraph[str]",
    width: float,
    height: float,
    named: Container[str] = (),
    margin: float = 30.0,
) -> dict[str, tuple[float, float]]:
    """Return where each node lies in a picture of so many pixels, y upwards.

    Nodes that must be `named` have more room about them. Each connected part has a cell whose area
    is its share of the nodes.
    """
    parts = [sorted(part) for part in nx.weakly_connected_components(graph)]
    parts.sort(key=lambda part: (-len(part), part))
    places: dict[str, tuple[float, float]] = {}
    cells = divide([len(part) + 1.0 for part in parts], Cell(0, 0, width, height))
    for names, cell in zip(parts, cells, strict=True):
        unit_N2 = arrange(graph, names, wide=cell.width >= cell.height)
        room_N = np.array([NAMED_ROOM if name in named else ROOM for name in names])
        spread_N2 = push_apart(cell.fill(unit_N2, margin), room_N, cell, margin)
        places |= {
            name: (float(x), float(y)) for name, (x, y) in zip(names, spread_N2, strict=True)
        }
    return places


def divide(weights: Sequence[float], cell: Cell) -> list[Cell]:
    """Divide a cell into one for each weight, of that share of the area and none very thin."""
    if len(weights) < 2:
        return [cell] * len(weights)
    total = np.cumsum(weights)
    # Two groups as alike as can be: cells stay nearly square.
    cut = int(np.argmin(np.abs(total[:-1] - total[-1] / 2))) + 1
    first, second = cell.split(float(total[cut - 1] / total[-1]))
    return [*divide(weights[:cut], first), *divide(weights[cut:], second)]


def arrange(graph: "nx.DiGraph[str]", names: Sequence[str], *, wide: bool) -> Points:
    """Return a connected part's nodes between -1 and 1: linked ones near, its long axis as told."""
    if len(names) < 3:
        steps = np.linspace(-0.5, 0.5, len(names)) if len(names) > 1 else np.zeros(1)
        return np.stack([steps, 0 * steps] if wide else [0 * steps, steps], 1)
    ordered: nx.Graph[str] = nx.Graph()
    # A set's order differs between runs of Python, and with it the layout.
    ordered.add_nodes_from(names)
    ordered.add_edges_from(sorted(nx.Graph(graph.subgraph(names)).edges))
    found = nx.spring_layout(ordered, k=2.4 / np.sqrt(len(names)), iterations=200, seed=LAYOUT_SEED)
    place_N2 = np.array([found[name] for name in names])
    place_N2 -= place_N2.mean(0)
    axes_22 = np.linalg.svd(place_N2, full_matrices=False)[2]
    turned_N2 = place_N2 @ (axes_22 if wide else axes_22[::-1]).T
    return loosen(turned_N2)


def loosen(places_N2: Points) -> Points:
    """Scale points to fill -1 to 1, most of the way at even ranks: a dense core can be read."""
    low, high = places_N2.min(0), places_N2.max(0)
    filled_N2 = 2 * (places_N2 - low) / np.maximum(high - low, 1e-9) - 1
    rank_N2 = np.argsort(np.argsort(places_N2, axis=0, kind="stable"), axis=0)
    even_N2 = 2 * rank_N2 / (len(places_N2) - 1) - 1
    return np.asarray((1 - EVENLY) * filled_N2 + EVENLY * even_N2)


def push_apart(place_N2: Points, room_N: Points, cell: Cell, margin: float) -> Points:
    """Move nodes until the circles of their room are apart, or as far as the cell allows."""
    # Circles that would fill more than half of the cell are made smaller.
    room_N = room_N * min(1.0, np.sqrt(cell.width * cell.height / (8 * (room_N**2).sum())))
    corner_22 = cell.fill(np.array([[-1.0, -1.0], [1.0, 1.0]]), margin / 2)
    # Nodes in one place are told apart by a direction of their own.
    angle_N = np.arange(len(place_N2)) * 2.4
    place_N2 = place_N2 + 1e-3 * np.stack([np.cos(angle_N), np.sin(angle_N)], 1)
    for _ in range(120):
        step_NN2 = place_N2[:, None] - place_N2[None]
        distance_NN = np.sqrt((step_NN2**2).sum(-1))
        np.fill_diagonal(distance_NN, np.inf)
        lacking_NN = np.maximum(room_N[:, None] + room_N[None] - distance_NN, 0)
        if not lacking_NN.any():
            break
        place_N2 = place_N2 + (step_NN2 * (lacking_NN / distance_NN / 2)[..., None]).sum(1)
        place_N2 = np.clip(place_N2, *corner_22)
    return place_N2
