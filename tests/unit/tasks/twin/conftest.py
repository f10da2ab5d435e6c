"""Animals of known dynamics and the causal trees that belong to them."""

import json
from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from schemas.settings.split import SplitSettings

CausalFactory = Callable[..., xr.DataTree]


@pytest.fixture(scope="session")
def make_causal() -> CausalFactory:
    """Return a function that builds a causal tree from (cause, effect, skill) triples."""
    return causal_tree


def causal_tree(
    neurons: list[str],
    channels: list[str],
    edges: list[tuple[str, str, float]],
    *,
    split: SplitSettings | None = None,
    excluded: tuple[str, ...] = (),
    dimension: int = 3,
    use: str = "fitting",
) -> xr.DataTree:
    """Build a tree of the causal contract, as far as the twin reads it."""
    names = neurons + channels
    ordered = sorted(edges, key=lambda edge: -edge[2])
    nodes = xr.Dataset(
        {
            "behaviour": ("node", np.isin(names, channels)),
            "excluded": ("node", np.isin(names, excluded)),
            "embedding_dimension": ("node", np.full(len(names), dimension)),
        },
        {"node": names},
    )
    columns = list(zip(*ordered, strict=True)) if ordered else [(), (), ()]
    found = xr.Dataset(
        {
            "cause": ("edge", np.array(columns[0], dtype="U40")),
            "effect": ("edge", np.array(columns[1], dtype="U40")),
            "skill": ("edge", np.array(columns[2], dtype=np.float64)),
        }
    )
    attrs = {"split": json.dumps((split or SplitSettings()).model_dump(mode="json")), "use": use}
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=attrs), "/nodes": nodes, "/edges": found})


@pytest.fixture(scope="session")
def lorenz_TN() -> NDArray[np.float64]:
    """1,200 samples of a Lorenz system, x, y and z, about 11 samples a turn round a wing."""
    state = np.array([1.0, 1.0, 20.0])
    path = np.empty((1500, 3))
    for sample in range(len(path)):
        for _ in range(14):
            x, y, z = state
            state = state + 0.005 * np.array([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])
        path[sample] = state
    return path[300:]


@pytest.fixture(scope="session")
def lorenz_animal(
    lorenz_TN: NDArray[np.float64],
    make_aligned: Callable[..., xr.DataTree],
    make_causal: CausalFactory,
) -> tuple[xr.DataTree, xr.DataTree]:
    """Aligned and causal trees of an animal whose behaviour is x and whose neurons are y and z."""
    aligned = make_aligned(lorenz_TN[:, 1:], lorenz_TN[:, :1])
    y, z, x = "calcium/n0", "calcium/n1", "running"
    edges = [(y, x, 0.9), (x, y, 0.8), (z, y, 0.85), (x, z, 0.7), (y, z, 0.75)]
    return aligned, make_causal([y, z], [x], edges)
