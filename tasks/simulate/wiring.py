"""Who drives whom: a sparse directed graph over neurons, behaviours and unseen units."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.settings.simulate import SimulateSettings

BEHAVIOURS = ("running_speed", "pupil_diameter", "gaze/x", "gaze/y")
"""Recorded behaviours, named as the aligned matrices name their columns."""
TURNING = "latent/turning"
"""The body's turning rate: recorded only through the pose, so not a node of the true graph."""


@dataclass(frozen=True)
class Wiring:
    """The causal graph over all units, seen and unseen.

    Attributes
    ----------
    nodes : calcium neurons, spiking neurons, behaviours, turning, hidden drivers, in this order
    weight_NN : (effect, cause) fraction of the effect's delayed input that the cause provides
    neurons : how many of the nodes are neurons; they come first
    """

    nodes: tuple[str, ...]
    weight_NN: NDArray[np.float64]
    neurons: int

    def index(self, name: str) -> int:
        """Return the position of a node."""
        return self.nodes.index(name)

    @property
    def observed(self) -> int:
        """How many of the nodes are recorded: the neurons and the behaviours after them."""
        return self.neurons + len(BEHAVIOURS)


def draw_wiring(settings: SimulateSettings, rng: np.random.Generator) -> Wiring:
    """Draw the graph: sources, driven neurons, behaviours, feedback, and the unconnected.

    A driven neuron has one cause or two. Few causes per unit keep the joint attractor that an
    effect's history has to unfold at a dimension that some minutes of data can fill.
    """
    nodes = _name_nodes(settings)
    neurons = settings.calcium_units + settings.spike_units
    body = np.arange(neurons, neurons + len(BEHAVIOURS) + 1)
    edge_NN = np.zeros((len(nodes), len(nodes)), bool)
    shuffled = rng.permutation(neurons)
    feedback = shuffled[: settings.feedback_units]
    core = shuffled[settings.feedback_units + settings.independent_units :]
    _wire_core(edge_NN, core, settings, rng)
    for unit in body:
        edge_NN[unit, rng.choice(core, settings.behaviour_drivers, replace=False)] = True
    recorded = body[:-1]
    for rank, unit in enumerate(feedback):
        edge_NN[unit, recorded[rank % len(recorded)]] = True
    shared = rng.permutation(core)
    for rank in range(settings.hidden_drivers):
        edge_NN[shared[2 * rank : 2 * rank + 2], body[-1] + 1 + rank] = True
    spread_NN = rng.uniform(0.8, 1.2, edge_NN.shape)
    return Wiring(nodes, edge_NN * settings.coupling * spread_NN, neurons)


def _name_nodes(settings: SimulateSettings) -> tuple[str, ...]:
    neurons = [f"calcium/c{i:02d}" for i in range(settings.calcium_units)]
    neurons += [f"units/s{i:02d}" for i in range(settings.spike_units)]
    hidden = [f"latent/hidden{i}" for i in range(settings.hidden_drivers)]
    return (*neurons, *BEHAVIOURS, TURNING, *hidden)


def _wire_core(
    edge_NN: NDArray[np.bool_],
    core: NDArray[np.intp],
    settings: SimulateSettings,
    rng: np.random.Generator,
) -> None:
    """Give every core neuron that is not a source one or two causes from the core, in place."""
    sources = round(settings.source_fraction * len(core))
    for unit in core[sources:]:
        inputs = 1 + int(rng.random() < settings.second_input)
        others = core[core != unit]
        edge_NN[unit, rng.choice(others, inputs, replace=False)] = True
