"""Survivors of a screening are measured exactly as all pairs of a small session are."""

import numpy as np
import pytest

from schemas.contracts.causal import CAUSAL
from schemas.settings.causal import CausalSettings
from schemas.settings.screening import ScreeningSettings
from tasks.causal.blocks import BlockStore
from tasks.causal.export import edge_table, region_by_region
from tasks.causal.extract import extract_graph, summarize_graph
from tasks.causal.panel import make_panel, memory_lengths
from tasks.causal.screening import survivors_of
from tasks.causal.significance import false_discovery_rate, false_discovery_rate_among
from tests.unit.tasks.causal.series import autoregressive, nodes_of

SMALL = ScreeningSettings(above=2, surrogates=100, memory_groups=2)
SETTINGS = CausalSettings(
    use="all", tau_s=0, theiler_s=0, max_dimension=3, library_samples=3, min_skill=0.5, block=3,
    surrogates=99, screening=SMALL,
)  # fmt: skip
DENSE = SETTINGS.model_copy(update={"screening": ScreeningSettings()})


@pytest.fixture(scope="module")
def graphs(make_aligned, logistic_network):
    """The same session screened and measured in full."""
    aligned = make_aligned(logistic_network[:400])
    return extract_graph(aligned, SETTINGS), extract_graph(aligned, DENSE)


def test_survivors_are_measured_as_all_pairs_are(graphs):
    screened, dense = (edge_table(tree).set_index(["cause", "effect"]) for tree in graphs)
    both = screened.index.intersection(dense.index)
    assert len(both) >= 4
    for name in ("skill", "delta_skill", "kendall", "lag_s", "partial_skill"):
        np.testing.assert_array_equal(screened.loc[both, name], dense.loc[both, name])


def test_a_screened_graph_holds_no_matrix_and_keeps_the_contract(graphs):
    screened, dense = graphs
    CAUSAL.check(screened)
    assert "skill" not in screened.children
    assert not [
        v for g in screened.subtree for v in g.data_vars.values() if v.dims == ("effect", "cause")
    ]
    assert int(screened["screening"]["pairs"].sum()) == 8 * 7
    assert region_by_region(screened).shape == region_by_region(dense).shape
    assert "of 56 pairs" in summarize_graph(screened)


def test_a_killed_screening_goes_on_and_ends_the_same(
    make_aligned, logistic_network, graphs, tmp_path
):
    aligned = make_aligned(logistic_network[:400])
    store = BlockStore(tmp_path / "blocks")
    for _ in range(2):  # the second finds every block
        again = extract_graph(aligned, SETTINGS, store=store)
        assert again["edges"].to_dataset().identical(graphs[0]["edges"].to_dataset())


def test_the_strongest_causes_near_the_rule_survive():
    settings = CausalSettings(
        min_skill=0.3, min_delta_skill=0.1, screening=ScreeningSettings(margin=0.1, causes=2)
    )
    skill = np.array([[np.nan, 0.9, 0.25, 0.5], [0.8, np.nan, 0.7, 0.9]])
    delta = np.array([[np.nan, 0.5, 0.05, 0.01], [-0.1, np.nan, 0.2, 0.3]])
    score = np.array([[np.nan, 9.0, 2.5, 3.0], [8.0, np.nan, 2.2, 1.0]])
    effect, cause = survivors_of(skill, delta, score, settings)
    assert list(zip(effect.tolist(), cause.tolist(), strict=True)) == [(0, 1), (0, 3), (1, 2)]


@pytest.mark.parametrize("method", ["bh", "by"])
def test_q_values_count_tests_that_did_not_survive(method):
    rng = np.random.default_rng(0)
    every = np.r_[rng.uniform(0, 1e-3, 20), np.ones(980)]
    some = np.r_[every[:20], np.nan]
    expected = false_discovery_rate(every, method)[:20]
    found = false_discovery_rate_among(some, 1000, method)
    np.testing.assert_allclose(found[:20], expected, rtol=1e-6)
    assert np.isnan(found[20])


def test_the_panel_spans_memories():
    rng = np.random.default_rng(1)
    fast, slow = (autoregressive(phi, 6, 600, rng) for phi in (0.2, 0.95))
    nodes = nodes_of(np.concatenate([slow, fast], axis=1))
    memory_N = memory_lengths(nodes["value"].to_numpy().T)
    assert memory_N[:6].min() > 2 * memory_N[6:].max()
    panel = make_panel(nodes, np.full(12, 3), SETTINGS)
    assert panel.series_GST.shape == (2, 50, 600)
    assert panel.group_N.tolist() == [1] * 6 + [0] * 6
    assert set(panel.source_GS[0]) <= set(range(6, 12))
