"""The graph as tables, networkx, GraphML and Parquet: nothing lost, nothing made up."""

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from schemas.errors import TectumError
from tasks.causal.export import (
    drivers_of_behaviour,
    edge_table,
    find_hubs,
    node_table,
    region_by_region,
    to_networkx,
    undriven_behaviour,
    write_graph,
)
from tasks.causal.graph import regional_skills, summarize_regions


@pytest.fixture
def tree() -> xr.DataTree:
    """a drives b, and b the wheel w; a and w only share a drive; d is excluded."""
    nodes = xr.Dataset(
        {
            "stream": ("node", ["cells", "cells", "wheel", "cells"]),
            "region": ("node", ["V1", "V1", "wheel", "V1"]),
            "behaviour": ("node", [False, False, True, False]),
            "excluded": ("node", [False, False, False, True]),
            "reason": ("node", ["", "", "", "constant"]),
        },
        {"node": ["a", "b", "w", "d"]},
    )
    edges = xr.Dataset(
        {
            "cause": ("edge", ["a", "b", "a"]),
            "effect": ("edge", ["b", "w", "w"]),
            "skill": ("edge", np.array([0.9, 0.7, 0.5], np.float32)),
            "direct": ("edge", [True, True, False]),
            "drives": ("edge", [True, True, False]),
            "lag_skill": (("edge", "lag"), np.zeros((3, 2))),
        }
    )
    used = nodes.isel(node=[0, 1, 2])
    skill_NM = np.where(np.eye(3, dtype=bool), np.nan, 0.5)
    skills = regional_skills(used["region"].to_numpy().astype(str), range(3), skill_NM)
    regions = summarize_regions(used, skills, edges)
    return xr.DataTree.from_dict({"/nodes": nodes, "/edges": edges, "/regions": regions})


def test_tables_hold_every_edge_and_every_used_node(tree):
    assert list(edge_table(tree).columns) == ["cause", "effect", "skill", "direct", "drives"]
    nodes = node_table(tree).set_index("node")
    assert list(nodes.index) == ["a", "b", "w"]
    assert nodes["drives"].tolist() == [1, 1, 0]
    assert nodes["driven_by"].tolist() == [0, 1, 1]


def test_graphml_comes_back_as_the_same_graph(tree, tmp_path):
    graph = to_networkx(tree)
    write_graph(tree, tmp_path / "graph.graphml")
    back = nx.read_graphml(tmp_path / "graph.graphml")
    assert set(back.edges) == set(graph.edges) == {("a", "b"), ("b", "w"), ("a", "w")}
    assert back.edges["a", "w"]["skill"] == pytest.approx(0.5)
    assert back.edges["a", "w"]["direct"] is False
    assert back.nodes["w"]["stream"] == "wheel"


def test_files_hold_the_edges_and_other_endings_are_refused(tree, tmp_path):
    for name, read in (("e.parquet", pd.read_parquet), ("e.csv", pd.read_csv)):
        write_graph(tree, tmp_path / name)
        assert read(tmp_path / name)["cause"].tolist() == ["a", "b", "a"]
    with pytest.raises(TectumError, match=r"e\.xlsx"):
        write_graph(tree, tmp_path / "e.xlsx")


def test_who_matters_is_told(tree):
    assert find_hubs(tree, 1)["node"].tolist() == ["a"]
    assert find_hubs(tree)["node"].tolist() == ["a", "b"]
    assert drivers_of_behaviour(tree)["cause"].tolist() == ["b"]
    assert undriven_behaviour(tree) == []
    tree["edges"]["drives"].values[1] = False
    assert undriven_behaviour(tree) == ["w"]
    shares = region_by_region(tree)
    assert shares.loc["V1", "V1"] == 0.5
    assert shares.loc["wheel", "V1"] == 0.5
    assert shares.loc["V1", "wheel"] == 0
    assert np.isnan(shares.loc["wheel", "wheel"])
    regions = tree["regions"].to_dataset()
    assert regions["pairs"].values.tolist() == [[2, 2], [2, 0]]
    assert regions["skill"].values[0].tolist() == [0.5, 0.5]
    del tree["regions"]  # a graph of an earlier version
    assert region_by_region(tree).empty
