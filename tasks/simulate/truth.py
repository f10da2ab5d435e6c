"""The truth of a simulated animal as a tree: its graph and the state of every unit."""

import numpy as np
import xarray as xr

from schemas.contracts.truth import TRUTH
from tasks.simulate.animal import SimulatedAnimal

LATENT_RATE_HZ = 50.0


def describe_truth(animal: SimulatedAnimal) -> xr.DataTree:
    """Return the tree of the TRUTH contract.

    `shared_driver` marks pairs of recorded nodes that an unrecorded unit drives both: related,
    but neither causes the other unless `edge` says so.
    """
    session = animal.session
    tree = xr.DataTree.from_dict(
        {
            "/": xr.Dataset(
                attrs={
                    "session_key": session.key,
                    "session_name": session.name,
                    "subject_id": session.subject.subject_id,
                    "session_start_time": session.start_time.isoformat(),
                    "seed": animal.settings.seed,
                }
            ),
            "/graph": _graph(animal),
            "/latent": _latent(animal),
        }
    )
    TRUTH.check(tree)
    return tree


def _graph(animal: SimulatedAnimal) -> xr.Dataset:
    wiring = animal.wiring
    seen = slice(None, wiring.observed)
    weight_NN = wiring.weight_NN[seen, seen]
    hidden_NH = wiring.weight_NN[seen, wiring.observed :] > 0
    shared_NN = hidden_NH @ hidden_NH.T & ~np.eye(wiring.observed, dtype=bool)
    names = list(wiring.nodes[seen])
    pair = ("effect", "cause")
    return xr.Dataset(
        {
            "weight": (pair, weight_NN, {"long_name": "fraction of the effect's delayed input"}),
            "edge": (pair, weight_NN > 0),
            "shared_driver": (pair, shared_NN),
        },
        {"effect": names, "cause": names},
    )


def _latent(animal: SimulatedAnimal) -> xr.Dataset:
    trajectory, wiring = animal.trajectory, animal.wiring
    step = max(1, round(1 / (LATENT_RATE_HZ * animal.settings.step_s)))
    return xr.Dataset(
        {
            "rate": (
                ("time", "node"),
                trajectory.rate_TN[::step].astype(np.float32),
                {"units": "1", "long_name": "state of the unit"},
            ),
            "recorded": ("node", np.arange(len(wiring.nodes)) < wiring.observed),
        },
        {"time": ("time", trajectory.time_T[::step], {"units": "s"}), "node": list(wiring.nodes)},
    )
