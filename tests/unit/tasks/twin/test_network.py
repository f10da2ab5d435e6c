"""Growing a network from the causal graph."""

import pytest

from schemas.errors import NothingToDoError, SettingsError
from schemas.settings.twin import TwinSettings
from tasks.twin.network import choose_behaviours, grow_network, own_dimensions, read_graph

NEURONS = ["a", "b", "c", "d", "e"]
EDGES = [
    ("a", "walk", 0.9),
    ("b", "walk", 0.5),
    ("c", "walk", 0.4),
    ("c", "a", 0.7),
    ("a", "c", 0.6),
    ("walk", "a", 0.3),
    ("turn", "a", 0.2),
    ("d", "turn", 0.95),
    ("turn", "walk", 0.8),
    ("e", "d", 0.1),
]


def _settings(**changes):
    return TwinSettings(**{"num_drivers": 2, "num_feedback": 1, **changes})


def test_behaviours_are_ranked_by_their_strongest_neural_cause(make_causal):
    graph = read_graph(make_causal(NEURONS, ["walk", "turn", "sleep"], EDGES))
    assert choose_behaviours(graph, _settings()) == ("turn", "walk")
    assert choose_behaviours(graph, _settings(max_behaviours=1)) == ("turn",)
    assert choose_behaviours(graph, _settings(behaviours=("walk",))) == ("walk",)


def test_grows_breadth_first_and_keeps_loops(make_causal):
    graph = read_graph(make_causal(NEURONS, ["walk", "turn"], EDGES))
    network = grow_network(graph, ("walk",), _settings())
    assert network.nodes == ("walk", "a", "b", "c")
    pairs = {(edge.driver, edge.node) for edge in network.edges}
    # a -> walk -> a is a loop through behaviour, a <-> c one among neurons; `turn` is not animated.
    assert pairs == {("a", "walk"), ("b", "walk"), ("c", "a"), ("a", "c"), ("walk", "a")}


def test_drivers_are_the_strongest_not_the_weakest(make_causal):
    graph = read_graph(make_causal(NEURONS, ["walk", "turn"], EDGES))
    network = grow_network(graph, ("walk",), _settings(num_drivers=1))
    assert [edge.driver for edge in network.drivers_of("walk")] == ["a"]


def test_a_full_network_takes_no_new_node_but_closes_loops(make_causal):
    graph = read_graph(make_causal(NEURONS, ["walk"], EDGES))
    network = grow_network(graph, ("walk",), _settings(max_nodes=2, num_drivers=3))
    assert network.nodes == ("walk", "a")
    assert {(e.driver, e.node) for e in network.edges} == {("a", "walk"), ("walk", "a")}


def test_excluded_nodes_never_drive(make_causal):
    graph = read_graph(make_causal(NEURONS, ["walk"], EDGES, excluded=("a",)))
    network = grow_network(graph, ("walk",), _settings())
    assert "a" not in network.nodes
    assert network.drivers_of("walk")[0].driver == "b"


def test_own_delays_follow_the_graph_up_to_a_limit(make_causal):
    causal = make_causal(["a"], ["walk"], EDGES[:1], dimension=9)
    assert own_dimensions(causal, ("walk", "a"), 5) == {"walk": 5, "a": 5}


@pytest.mark.parametrize(
    ("neurons", "channels", "edges", "reason"),
    [
        ([], ["walk"], [], "no neurons"),
        (["a"], [], [], "no behaviour"),
        (["a"], ["walk"], [("walk", "a", 0.9)], "No neuron drives"),
    ],
)
def test_says_why_there_is_nothing_to_animate(make_causal, neurons, channels, edges, reason):
    graph = read_graph(make_causal(neurons, channels, edges))
    with pytest.raises(NothingToDoError, match=reason):
        choose_behaviours(graph, _settings())


def test_an_unknown_behaviour_is_named(make_causal):
    graph = read_graph(make_causal(["a"], ["walk"], EDGES[:1]))
    with pytest.raises(SettingsError, match="fly"):
        choose_behaviours(graph, _settings(behaviours=("fly",)))
