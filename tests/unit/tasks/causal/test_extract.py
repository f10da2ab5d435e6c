"""The whole stage on small systems: the right edges, gaps respected, excluded nodes named."""

import numpy as np
import pytest
import xarray as xr

from schemas.contracts.causal import CAUSAL
from schemas.settings.causal import CausalSettings
from tasks.causal.extract import extract_graph, summarize_graph
from tasks.common.progress import progress_to

SETTINGS = CausalSettings(
    use="all", tau_s=0, theiler_s=0, max_dimension=4, library_samples=5, min_skill=0.5, block=3
)
TRUE_EDGES = {("n0", "n1"), ("n1", "n2"), ("n3", "n4"), ("n3", "n5")}


def edges_of(tree):
    edges = tree["edges"].to_dataset()
    pairs = zip(edges["cause"].values, edges["effect"].values, strict=True)
    return {(cause.split("/")[1], effect.split("/")[1]) for cause, effect in pairs}


@pytest.fixture(scope="module")
def truth():
    names = [f"calcium/n{i}" for i in range(8)]
    edge = xr.DataArray(
        np.zeros((8, 8), bool), {"effect": names, "cause": names}, ("effect", "cause")
    )
    for cause, effect in TRUE_EDGES:
        edge.loc[f"calcium/{effect}", f"calcium/{cause}"] = True
    return xr.DataTree.from_dict({"/graph": edge.to_dataset(name="edge")})


def test_the_true_edges_of_logistic_maps_are_found(make_aligned, logistic_network, truth):
    tree = extract_graph(make_aligned(logistic_network), SETTINGS, truth)
    CAUSAL.check(tree)
    found = edges_of(tree)
    assert found >= TRUE_EDGES
    # 0 -> 1 -> 2 may show 0 -> 2 as well: indirect, but a cause.
    assert len(found - TRUE_EDGES - {("n0", "n2")}) <= 2
    assert tree["truth"].attrs["auroc_ccm"] > 0.97
    assert tree["truth"].attrs["auroc_ccm"] > tree["truth"].attrs["auroc_correlation"]
    assert summarize_graph(tree).startswith(f"{len(found)} edges of 56 pairs, median skill 0.")


def test_backends_agree(make_aligned, logistic_network):
    tree = make_aligned(logistic_network[:120, :3])
    small = SETTINGS.model_copy(update={"library_samples": 2, "surrogates": 4})
    results = [
        extract_graph(tree, small.model_copy(update={"backend": b})) for b in ("cpu", "reference")
    ]
    for name in ("skill", "convergence", "delta_skill", "correlation", "p_value"):
        ours, reference = (result["skill"][name].to_numpy() for result in results)
        np.testing.assert_allclose(ours, reference, atol=2e-5)


def test_a_gap_is_never_bridged(make_aligned, logistic_network):
    # Between the two halves lies a jump; garbage right there must change nothing.
    half = np.repeat([0, 1], 200)
    values = logistic_network[:400, :3].copy()
    clean = extract_graph(make_aligned(values, segment_T=half), SETTINGS)
    segments = half.copy()
    segments[200] = -1
    values[200] = 1e3
    holed = extract_graph(make_aligned(values, segment_T=segments), SETTINGS)
    np.testing.assert_allclose(holed["skill"]["skill"], clean["skill"]["skill"], atol=0.02)


def test_excluded_nodes_are_listed_and_left_out(make_aligned, logistic_network):
    values = logistic_network[:300, :4].copy()
    values[:, 2] = 1.0
    tree = extract_graph(make_aligned(values), SETTINGS)
    assert tree["skill"]["effect"].values.tolist() == ["calcium/n0", "calcium/n1", "calcium/n3"]
    nodes = tree["nodes"].to_dataset()
    assert nodes["excluded"].values.tolist() == [False, False, True, False]
    assert nodes["reason"].values[2].startswith("constant")
    assert nodes["embedding_dimension"].values[2] == 0


def test_progress_is_reported_to_the_end(make_aligned, logistic_network):
    calls: list[tuple[str, float, float]] = []

    class Sink:
        def update(self, label: str, done: float, total: float, note: str = "") -> None:
            calls.append((label, done, total))

    with progress_to(Sink()):
        extract_graph(make_aligned(logistic_network[:300]), SETTINGS)
    assert ("embedding dimension", 3, 3) in calls
    assert ("cross mapping", 3, 3) in calls


def test_the_same_seed_gives_the_same_graph(make_aligned, logistic_network):
    tree = make_aligned(logistic_network[:300])
    first, again = (extract_graph(tree, SETTINGS) for _ in range(2))
    xr.testing.assert_identical(first["skill"].to_dataset(), again["skill"].to_dataset())
