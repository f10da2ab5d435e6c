"""The network of a twin, grown from the causal graph: behaviours, their drivers, theirs, ..."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import xarray as xr

from schemas.errors import NothingToDoError, SettingsError
from schemas.settings.twin import TwinSettings


@dataclass(frozen=True)
class Edge:
    """One cause of one node, with the cross-map skill the graph gives it."""

    driver: str
    node: str
    skill: float


@dataclass(frozen=True)
class Network:
    """Which nodes run together; loops are allowed, since every node keeps its own history.

    Attributes
    ----------
    nodes : behaviours first, then neurons in the order they were reached
    behaviours : the animated channels
    edges : at most num_drivers + num_feedback for each node, strongest first
    """

    nodes: tuple[str, ...]
    behaviours: tuple[str, ...]
    edges: tuple[Edge, ...]

    def drivers_of(self, node: str) -> tuple[Edge, ...]:
        """Return the edges that end in `node`, strongest first."""
        return tuple(edge for edge in self.edges if edge.node == node)


@dataclass(frozen=True)
class Graph:
    """The causal artifact, reduced to what a network is grown from."""

    neurons: frozenset[str]
    channels: frozenset[str]
    causes: dict[str, tuple[Edge, ...]]

    def of_node(self, node: str, kind: frozenset[str]) -> list[Edge]:
        """Return the causes of `node` that belong to `kind`, strongest first."""
        return [edge for edge in self.causes.get(node, ()) if edge.driver in kind]

    def without(self, nodes: Iterable[str]) -> "Graph":
        """Return the graph without some nodes."""
        gone = frozenset(nodes)
        kept = {
            node: tuple(edge for edge in edges if edge.driver not in gone)
            for node, edges in self.causes.items()
            if node not in gone
        }
        return Graph(self.neurons - gone, self.channels - gone, kept)


def read_graph(causal: xr.DataTree) -> Graph:
    """Read nodes that are not excluded and significant edges from a causal tree."""
    nodes = causal.children["nodes"].to_dataset(inherit=False)
    kept = ~nodes["excluded"].values.astype(bool)
    is_behaviour = nodes["behaviour"].values.astype(bool)
    names = nodes["node"].values.astype(str)
    edges = causal.children["edges"].to_dataset(inherit=False)
    found: dict[str, list[Edge]] = {}
    columns = (edges[name].values for name in ("cause", "effect", "skill"))
    for cause, effect, skill in zip(*columns, strict=True):
        edge = Edge(str(cause), str(effect), float(skill))
        found.setdefault(edge.node, []).append(edge)
    ranked = {node: tuple(sorted(of, key=lambda e: -e.skill)) for node, of in found.items()}
    return Graph(
        frozenset(names[kept & ~is_behaviour]), frozenset(names[kept & is_behaviour]), ranked
    )


def choose_behaviours(graph: Graph, settings: TwinSettings) -> tuple[str, ...]:
    """Return the channels to animate: those named, or those with the strongest neural cause.

    Raises
    ------
    SettingsError
        A named channel is not in the graph.
    NothingToDoError
        The session has no neurons or no behaviour, or no neuron drives any behaviour.
    """
    if not graph.neurons:
        raise NothingToDoError("The causal graph has no neurons, so nothing can drive a twin.")
    if not graph.channels:
        raise NothingToDoError("The causal graph has no behaviour, so there is nothing to animate.")
    if unknown := sorted(set(settings.behaviours) - graph.channels):
        raise SettingsError(
            f"{unknown} are not behaviour channels of the causal graph",
            where="twin.behaviours",
            remedy=f"Choose among {sorted(graph.channels)}.",
        )
    asked = settings.behaviours or tuple(sorted(graph.channels))
    strongest = {name: graph.of_node(name, graph.neurons) for name in asked}
    driven = [name for name in asked if strongest[name]]
    if not driven:
        raise NothingToDoError(
            f"No neuron drives any of {len(asked)} behaviour channel(s) in the causal graph.",
            remedy="Lower the causal thresholds, or record longer.",
        )
    driven.sort(key=lambda name: -strongest[name][0].skill)
    return tuple(driven if settings.behaviours else driven[: settings.max_behaviours])


def grow_network(graph: Graph, behaviours: tuple[str, ...], settings: TwinSettings) -> Network:
    """Grow breadth-first from the behaviours to their drivers, to the drivers' drivers, and so on.

    Each node takes its strongest neural causes and, apart from them, its strongest causes among
    the animated behaviours. A network of max_nodes takes no new node, but still closes loops
    among those it has. Behaviours that are not animated never enter.

    References
    ----------
    Generative manifold networks grow a directed acyclic graph (Pao et al. 2021,
    doi:10.48550/arXiv.2106.10627); here loops are allowed.
    """
    animated = frozenset(behaviours)
    nodes = dict.fromkeys(behaviours)
    edges: list[Edge] = []
    queue = deque(behaviours)
    while queue:
        node = queue.popleft()
        taken = 0
        for edge in graph.of_node(node, graph.neurons):
            if taken == settings.num_drivers:
                break
            if edge.driver not in nodes:
                if len(nodes) >= settings.max_nodes:
                    continue
                nodes[edge.driver] = None
                queue.append(edge.driver)
            edges.append(edge)
            taken += 1
        edges.extend(graph.of_node(node, animated)[: settings.num_feedback])
    return Network(tuple(nodes), behaviours, tuple(edges))


def own_dimensions(causal: xr.DataTree, nodes: tuple[str, ...], most: int) -> dict[str, int]:
    """Return how many delays of its own past each node needs, as the graph found, up to `most`."""
    found = causal.children["nodes"].to_dataset(inherit=False)
    names = found["node"].values.astype(str)
    dimensions = np.clip(found["embedding_dimension"].values.astype(int), 1, most)
    by_name = dict(zip(names.tolist(), dimensions.tolist(), strict=True))
    return {node: by_name[node] for node in nodes}
