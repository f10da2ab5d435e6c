"""Delays and indirect edges of systems whose graph is known."""

import numpy as np
import pytest
import xarray as xr

from schemas.settings.causal import CausalSettings
from tasks.causal.interactions import interaction_strengths
from tasks.causal.labels import label_edges
from tasks.causal.lags import best_lag, lag_samples, lagged
from tasks.causal.nodes import standardise
from tasks.causal.partial import partial_correlation
from tasks.causal.skill import cross_map_convergence

SETTINGS = CausalSettings(
    use="all", tau_s=0, theiler_s=0, surrogates=0, max_lag_s=0.6, library_samples=3
)


def delayed_maps(edges, weight: float, delay: int, noise: float = 0.0) -> xr.Dataset:
    rng = np.random.default_rng(0)
    growth = rng.uniform(3.68, 3.9, 3)
    pull = np.zeros((3, 3))
    for cause, effect in edges:
        pull[effect, cause] = weight
    state = np.empty((1000, 3))
    state[: delay + 1] = rng.uniform(0.2, 0.8, (delay + 1, 3))
    for t in range(delay, 999):
        own, before = (growth * x * (1 - x) for x in (state[t], state[t + 1 - delay]))
        state[t + 1] = (1 - pull.sum(1)) * own + pull @ before
    values = state[200:] + noise * rng.standard_normal((800, 3))
    return xr.Dataset(
        {"value": (("time", "node"), standardise(values)), "segment": ("time", np.zeros(800, int))},
        {"node": list("abc"), "behaviour": ("node", np.zeros(3, bool)), "time": np.arange(800.0)},
        {"rate_hz": 10.0},
    )


def labelled(nodes: xr.Dataset, *pairs: str) -> dict[str, xr.Dataset]:
    edges = labelled_edges(nodes, *pairs)
    return {pair: edges.isel(edge=e) for e, pair in enumerate(pairs)}


def labelled_edges(nodes: xr.Dataset, *pairs: str) -> xr.Dataset:
    """Label pairs written as cause and effect, 'ab', whether they would be edges or not."""
    dimension_N = np.full(3, 3)
    skill = cross_map_convergence(nodes, dimension_N, SETTINGS)
    causes, effects = (np.array([pair[end] for pair in pairs], "U1") for end in (0, 1))
    of_pairs = skill.sel(
        effect=xr.DataArray(effects, dims="edge"), cause=xr.DataArray(causes, dims="edge")
    )
    edges = of_pairs.reset_coords().transpose("edge", ...)
    return label_edges(nodes, edges, dimension_N, SETTINGS)


@pytest.mark.parametrize("delay", [2, 4])
def test_the_delay_of_an_edge_is_found(delay):
    found = labelled(delayed_maps([(0, 1)], 0.1, delay, 0.02), "ab")
    assert float(found["ab"]["lag_s"]) == pytest.approx(delay / 10, abs=0.11)
    assert found["ab"]["direct"]
    assert found["ab"]["rise_z"] > 2
    assert found["ab"]["skill_limit"] > found["ab"]["skill"] - 0.05


def test_the_mirror_of_a_strong_drive_is_no_drive():
    # Strong forcing: b's course is a's, so a recovers b too, but best what b will be.
    found = labelled(delayed_maps([(0, 1)], 0.25, 1, 0.02), "ab", "ba")
    assert found["ab"]["lag_s"] > 0
    assert found["ba"]["lag_s"] < 0
    assert [str(edge["label"].values) for edge in found.values()] == ["direct", "synchrony"]


def test_an_effect_that_leads_is_no_effect():
    found = labelled(delayed_maps([(0, 1)], 0.25, 1, 0.02), "ba")["ba"]
    assert found["skill"] > 0.3
    assert found["lag_s"] < 0
    assert found["label"] == "effect leads"
    assert not found["direct"]
    assert not found["drives"]


def test_a_node_that_drives_both_explains_the_edge_between_them():
    nodes = delayed_maps([(0, 1), (0, 2)], 0.25, 4, 0.02)
    found = labelled(nodes, "ab", "ac", "bc", "cb")
    assert found["ab"]["direct"]
    assert found["ac"]["direct"]
    assert found["cb"]["skill"] > 0.5
    assert found["cb"]["explained_by"] == "a"
    assert found["cb"]["label"] == "shared drive"


def test_without_edges_there_is_nothing_to_label():
    nodes = delayed_maps([(0, 1)], 0.1, 1)
    edges = labelled_edges(nodes)
    assert edges.sizes["edge"] == 0
    assert edges["label"].dtype.kind == "U"
    assert interaction_strengths(nodes, edges, np.full(3, 3), SETTINGS) is None


def test_interactions_are_followed_over_time():
    nodes = delayed_maps([(0, 1)], 0.1, 1)
    found = interaction_strengths(nodes, labelled_edges(nodes, "ab"), np.full(3, 3), SETTINGS)
    assert found is not None
    state = nodes["value"].sel(node="a").to_numpy()[found["moment"].astype(int)]
    # b' = ... + 0.1 g a (1 - a): the slope falls in a straight line as a rises.
    assert np.corrcoef(found["strength"][0, :-1], -state[:-1])[0, 1] > 0.8
    skill = found["map_skill"].sel(mapped="b").to_numpy()
    assert skill.max() > skill[0] + 0.01


def test_lags_are_symmetric_and_few():
    assert lag_samples(0.5, 10).tolist() == list(range(-5, 6))
    assert lag_samples(1.0, 1).tolist() == list(range(-3, 4))
    assert lag_samples(0.0, 10).tolist() == [0]
    many = lag_samples(10.0, 50)
    assert len(many) <= 41
    assert many[len(many) // 2] == 0
    flat = np.array([[0.5, 0.5, 0.5], [0.1, 0.2, 0.9]])
    assert best_lag(flat, np.array([-1, 0, 1])).tolist() == [1, 2]


def test_no_lag_crosses_a_border_or_a_gap():
    moved = lagged(np.arange(8.0), np.array([0, 0, 0, 0, 1, 1, 1, -1]), [-1, 0, 1])
    np.testing.assert_array_equal(moved[:, [1, 2, 5]], [[0, 1, 4], [1, 2, 5], [2, 3, 6]])
    assert np.isnan(moved[:, [0, 3, 4, 6, 7]]).all()


def test_partial_correlation_takes_a_third_series_out():
    rng = np.random.default_rng(2)
    third = rng.standard_normal(5000)
    x, y = third + rng.standard_normal(5000), third + rng.standard_normal(5000)
    assert np.corrcoef(x, y)[0, 1] > 0.45
    assert abs(partial_correlation(x, y, third)) < 0.05
    assert np.isnan(partial_correlation(x[:5], y[:5], third[:5]))
