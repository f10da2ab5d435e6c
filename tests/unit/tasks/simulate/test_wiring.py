"""The graph has the parts that the settings ask for, and nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.settings.simulate import SimulateSettings
from tasks.simulate.wiring import BEHAVIOURS, TURNING, Wiring, draw_wiring


def draw(seed: int = 0, **changes: int) -> tuple[Wiring, SimulateSettings]:
    settings = SimulateSettings(**changes)
    return draw_wiring(settings, np.random.default_rng(seed)), settings


@given(seed=st.integers(0, 10_000))
def test_every_part_is_there(seed: int) -> None:
    wiring, settings = draw(seed)
    edge_NN = wiring.weight_NN > 0
    neurons = slice(0, wiring.neurons)
    body = slice(wiring.neurons, wiring.neurons + len(BEHAVIOURS) + 1)
    assert wiring.neurons == settings.calcium_units + settings.spike_units >= 64
    assert not edge_NN.diagonal().any()
    assert (edge_NN[body, neurons].sum(1) == settings.behaviour_drivers).all()
    assert edge_NN[neurons, body].sum() == settings.feedback_units
    assert (edge_NN[neurons, wiring.observed + 1 :].sum(0) == 2).all()
    assert not edge_NN[wiring.observed + 1 :].any(), "nothing drives a hidden driver"
    untouched = ~(edge_NN.any(0) | edge_NN.any(1))[neurons]
    assert untouched.sum() >= settings.independent_units


@given(seed=st.integers(0, 10_000))
def test_units_keep_most_of_their_own_feedback(seed: int) -> None:
    wiring, settings = draw(seed)
    total_N = wiring.weight_NN.sum(1)
    assert (total_N < 0.6).all()
    weights = wiring.weight_NN[wiring.weight_NN > 0]
    # The mean of some 70 weights: its standard deviation over seeds is 1.3 %.
    np.testing.assert_allclose(weights.mean(), settings.coupling, rtol=0.08)


def test_nodes_are_named_as_the_aligned_matrices_name_them() -> None:
    wiring, _ = draw(calcium_units=3, spike_units=4, independent_units=0, feedback_units=1)
    assert wiring.nodes[:4] == ("calcium/c00", "calcium/c01", "calcium/c02", "units/s00")
    assert wiring.nodes[7 : wiring.observed] == BEHAVIOURS
    assert wiring.nodes[wiring.observed] == TURNING
    assert len(set(wiring.nodes)) == len(wiring.nodes)


def test_feedback_units_drive_nothing() -> None:
    wiring, _ = draw()
    edge_NN = wiring.weight_NN > 0
    fed_back = edge_NN[: wiring.neurons, wiring.neurons : wiring.observed].any(1)
    assert not edge_NN[:, : wiring.neurons][:, fed_back].any()


def test_too_few_neurons_are_refused() -> None:
    with pytest.raises(ValidationError, match="leave -8 neurons; 4 are needed"):
        SimulateSettings(calcium_units=8, spike_units=2)


def test_coupling_that_leaves_no_feedback_is_refused() -> None:
    with pytest.raises(ValidationError, match="less than a tenth of its own feedback"):
        SimulateSettings(coupling=0.3)
