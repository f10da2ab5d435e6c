"""The graph for other tools: networkx, GraphML, Parquet; and who matters in it."""

from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import xarray as xr

from schemas.errors import TectumError


def edge_table(tree: xr.DataTree) -> pd.DataFrame:
    """Return one row an edge, strongest first, with everything measured once for an edge."""
    edges = tree.children["edges"].to_dataset(inherit=False)
    columns = [str(name) for name in edges.data_vars if edges[name].dims == ("edge",)]
    return pd.DataFrame({name: edges[name].to_numpy() for name in columns})


def driving_edges(tree: xr.DataTree) -> pd.DataFrame:
    """Return the edges whose cause is a driver: not those whose effect leads or that share one."""
    edges = edge_table(tree)
    kept = edges["drives"].astype(bool) if "drives" in edges else slice(None)
    return edges[kept].reset_index(drop=True)


def node_table(tree: xr.DataTree) -> pd.DataFrame:
    """Return one row a node that was not excluded, with how many it drives and is driven by."""
    nodes = tree.children["nodes"].to_dataset(inherit=False)
    frame = pd.DataFrame({str(name): nodes[name].to_numpy() for name in nodes.variables})
    frame = frame[~frame["excluded"].astype(bool)].drop(columns=["excluded", "reason"])
    edges = driving_edges(tree)
    names = frame["node"].astype(str)
    frame["drives"] = names.map(edges["cause"].astype(str).value_counts()).fillna(0).astype(int)
    frame["driven_by"] = names.map(edges["effect"].astype(str).value_counts()).fillna(0).astype(int)
    return frame.reset_index(drop=True)


def to_networkx(tree: xr.DataTree) -> "nx.DiGraph[str]":
    """Return the graph with every node and edge and what is known of them."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    for row in node_table(tree).to_dict("records"):
        graph.add_node(str(row.pop("node")), **{str(k): _plain(v) for k, v in row.items()})
    for row in edge_table(tree).to_dict("records"):
        ends = str(row.pop("cause")), str(row.pop("effect"))
        graph.add_edge(*ends)
        graph.edges[ends].update({str(k): _plain(v) for k, v in row.items()})
    return graph


def write_graph(tree: xr.DataTree, path: Path) -> None:
    """Write the graph: GraphML, or the table of edges as Parquet or CSV, by the file's ending.

    Raises
    ------
    TectumError
        The ending names no known format.
    """
    if path.suffix == ".graphml":
        nx.write_graphml(to_networkx(tree), path)
    elif path.suffix == ".parquet":
        edge_table(tree).to_parquet(path, index=False)
    elif path.suffix == ".csv":
        edge_table(tree).to_csv(path, index=False)
    else:
        raise TectumError(
            f"'{path.name}' ends in no known graph format.",
            remedy="End the file in .graphml, .parquet or .csv.",
        )


def find_hubs(tree: xr.DataTree, most: int = 10) -> pd.DataFrame:
    """Return the nodes that drive most others, with how many drive them; none that drives none."""
    columns = ["node", "stream", "drives", "driven_by"]
    order = ["drives", "driven_by", "node"]
    nodes = node_table(tree)
    driving = nodes[nodes["drives"] > 0].sort_values(order, ascending=[False, True, True])
    return driving[columns].head(most).reset_index(drop=True)


def drivers_of_behaviour(tree: xr.DataTree) -> pd.DataFrame:
    """Return the neurons that drive behaviour channels, strongest first within a channel."""
    kinds = node_table(tree).set_index("node")["behaviour"].astype(bool)
    edges = driving_edges(tree)
    onto = edges["effect"].map(kinds).astype(bool) & ~edges["cause"].map(kinds).astype(bool)
    frame = edges[onto].sort_values(["effect", "skill"], ascending=[True, False])
    return frame.reset_index(drop=True)


def undriven_behaviour(tree: xr.DataTree) -> list[str]:
    """Return the behaviour channels that no neuron was found to drive."""
    nodes = node_table(tree)
    driven = set(drivers_of_behaviour(tree)["effect"].astype(str))
    return [name for name in nodes["node"][nodes["behaviour"].astype(bool)] if name not in driven]


def region_by_region(tree: xr.DataTree) -> pd.DataFrame:
    """Return the share of pairs that drive, by region of the effect (row) and of the cause.

    Empty for a graph that was made before regions were counted.
    """
    if "regions" not in tree.children:
        return pd.DataFrame()
    regions = tree.children["regions"].to_dataset(inherit=False)
    shares = regions["edges"] / regions["pairs"].where(regions["pairs"] > 0)
    names = [str(name) for name in regions["effect_region"].to_numpy()]
    frame = pd.DataFrame(shares.to_numpy(), index=names, columns=names)
    frame.index.name, frame.columns.name = "effect", "cause"
    return frame


def _plain(value: object) -> object:
    """Return a value that GraphML can hold."""
    return value.item() if isinstance(value, np.generic) else value
