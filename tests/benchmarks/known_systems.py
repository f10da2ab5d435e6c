"""Recordings of systems whose graph is known: maps, flows, oscillators, a simulated animal.

Lorenz and Roessler turn once in about 20 samples, so that 300 of these are 14 turns: longer
recordings are made too. From a coupling between 2 and 2.5 on, two copies of a Lorenz system with
the same Roessler driver meet, so it follows that in generalised synchrony: each then tells of the
other, and the mirror of an edge scores as high as the edge.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.settings.causal import CausalSettings
from schemas.settings.simulate import SimulateSettings
from tasks.simulate.animal import simulate_animal
from tasks.simulate.truth import describe_truth

Matrix = NDArray[np.float64]
Told = dict[str, Any]
Make = Callable[[float, float, int, np.random.Generator], "System"]

COPIES = 4
MOTIFS = {
    "one way": (2, [(0, 1)]),
    "both ways": (2, [(0, 1), (1, 0)]),
    "chain": (3, [(0, 1), (1, 2)]),
    "fork": (3, [(0, 2), (1, 2)]),
    "common driver": (3, [(0, 1), (0, 2)]),
}
MAPS = CausalSettings(tau_s=0, theiler_s=0, max_dimension=6, max_lag_s=0.3)
FLOWS = CausalSettings(tau_s=0.3, theiler_s=1.0, max_lag_s=0.5)


@dataclass(frozen=True)
class System:
    """A recording (time, node) and who drives whom (effect, cause)."""

    series_TN: Matrix
    edge_NN: NDArray[np.bool_]
    settings: CausalSettings = MAPS


def edges_of(motif: str) -> NDArray[np.bool_]:
    """Return the edges (effect, cause) of unconnected copies of a motif."""
    size, edges = MOTIFS[motif]
    edge_NN = np.zeros((size * COPIES, size * COPIES), bool)
    for copy, (cause, effect) in itertools.product(range(COPIES), edges):
        edge_NN[copy * size + effect, copy * size + cause] = True
    return edge_NN


def pairs_of_flows() -> NDArray[np.bool_]:
    """Return the edges (effect, cause) of drivers, and behind them what each drives."""
    edge_NN = np.zeros((2 * COPIES, 2 * COPIES), bool)
    edge_NN[COPIES + np.arange(COPIES), np.arange(COPIES)] = True
    return edge_NN


def measured(series_TN: Matrix, noise: float, rng: np.random.Generator) -> Matrix:
    """Return series with noise of that part of their spread."""
    return series_TN + noise * series_TN.std(0) * rng.standard_normal(series_TN.shape)


def integrate(
    slope: Callable[[Matrix], Matrix], state: Matrix, step: float, every: int, samples: int
) -> Matrix:
    """Return every so many-th state of a flow (sample, ...), by Runge and Kutta's fourth order."""
    kept = []
    for t in range(samples * every):
        a = slope(state)
        b = slope(state + step / 2 * a)
        c = slope(state + step / 2 * b)
        d = slope(state + step * c)
        state = state + step / 6 * (a + 2 * b + 2 * c + d)
        if t % every == 0:
            kept.append(state)
    return np.array(kept)


def logistic(
    motif: str, coupling: float, noise: float, length: int, rng: np.random.Generator
) -> System:
    """Return four unconnected copies of a motif of chaotic logistic maps."""
    pull_NN = coupling * edges_of(motif)
    nodes = len(pull_NN)
    growth_N, state_N = rng.uniform(3.68, 3.9, nodes), rng.uniform(0.2, 0.8, nodes)
    series_TN = np.empty((length + 200, nodes))
    for t in range(length + 200):
        own_N = growth_N * state_N * (1 - state_N)
        state_N = (1 - pull_NN.sum(1)) * own_N + pull_NN @ own_N
        series_TN[t] = state_N
    return System(measured(series_TN[200:], noise, rng), pull_NN > 0)


def henon(coupling: float, noise: float, length: int, rng: np.random.Generator) -> System:
    """Return four chains of three Henon maps (Schiff 1996, doi:10.1103/PhysRevE.54.6708)."""
    edge_NN = edges_of("chain")
    share_N = coupling * edge_NN.any(1)
    before_N, state_N = rng.uniform(0, 0.1, (2, len(edge_NN)))
    series_TN = np.empty((length + 200, len(edge_NN)))
    for t in range(length + 200):
        felt_N = share_N * (edge_NN @ state_N) + (1 - share_N) * state_N
        before_N, state_N = state_N, 1.4 - felt_N * state_N + 0.3 * before_N
        series_TN[t] = state_N
    return System(measured(series_TN[200:], noise, rng), edge_NN)


def lorenz_by_roessler(
    coupling: float, noise: float, length: int, rng: np.random.Generator
) -> System:
    """Return four Lorenz systems, each driven by a Roessler system of its own (Quiroga 2000)."""
    state = rng.standard_normal((6, COPIES))
    speed = rng.uniform(5.7, 6.3, COPIES)

    def slope(s: Matrix) -> Matrix:
        x, y, z, u, v, w = s
        return np.stack(
            [
                -speed * (y + z),
                speed * (x + 0.2 * y),
                speed * (0.2 + z * (x - 5.7)),
                10 * (v - u),
                28 * u - v - u * w + coupling * y**2,
                u * v - 8 / 3 * w,
            ]
        )

    kept = integrate(slope, state, 0.005, 10, length + 200)[200:]
    series_TN = np.concatenate([kept[:, 1], kept[:, 3]], 1)
    return System(measured(series_TN, noise, rng), pairs_of_flows(), FLOWS)


def roessler_by_roessler(
    coupling: float, noise: float, length: int, rng: np.random.Generator
) -> System:
    """Return four Roessler systems, each drawn to a slower one (Palus 2001)."""
    slow, fast = rng.uniform(0.93, 0.98, COPIES), rng.uniform(1.0, 1.07, COPIES)

    def slope(s: Matrix) -> Matrix:
        x, y, z, u, v, w = s
        return np.stack(
            [
                -slow * y - z,
                slow * x + 0.15 * y,
                0.2 + z * (x - 10),
                -fast * v - w + coupling * (x - u),
                fast * u + 0.15 * v,
                0.2 + w * (u - 10),
            ]
        )

    kept = integrate(slope, rng.standard_normal((6, COPIES)), 0.05, 6, length + 300)[300:]
    series_TN = np.concatenate([kept[:, 0], kept[:, 3]], 1)
    return System(measured(series_TN, noise, rng), pairs_of_flows(), FLOWS)


def lorenz_by_lorenz(
    coupling: float, noise: float, length: int, rng: np.random.Generator
) -> System:
    """Return four Lorenz systems, each drawn to a calmer one."""
    calm, wild = rng.uniform(27, 29, COPIES), rng.uniform(35, 40, COPIES)

    def slope(s: Matrix) -> Matrix:
        x, y, z, u, v, w = s
        return np.stack(
            [
                10 * (y - x),
                calm * x - y - x * z,
                x * y - 8 / 3 * z,
                10 * (v - u) + coupling * (x - u),
                wild * u - v - u * w,
                u * v - 8 / 3 * w,
            ]
        )

    kept = integrate(slope, rng.standard_normal((6, COPIES)), 0.01, 5, length + 200)[200:]
    series_TN = np.concatenate([kept[:, 0], kept[:, 3]], 1)
    return System(measured(series_TN, noise, rng), pairs_of_flows(), FLOWS)


def oscillators(coupling: float, noise: float, length: int, rng: np.random.Generator) -> System:
    """Return four noise-driven linear oscillators, each driven by one of another rhythm."""
    edge_NN = pairs_of_flows()
    turn_N, keep = 2 * np.pi * rng.uniform(0.04, 0.08, len(edge_NN)), 0.95
    series_TN = np.zeros((length + 200, len(edge_NN)))
    for t in range(2, length + 200):
        own_N = 2 * keep * np.cos(turn_N) * series_TN[t - 1] - keep**2 * series_TN[t - 2]
        drawn_N = coupling / 10 * (edge_NN @ series_TN[t - 1])
        series_TN[t] = own_N + drawn_N + 0.3 * rng.standard_normal(len(edge_NN))
    return System(measured(series_TN[200:], noise, rng), edge_NN, FLOWS)


def calcium(coupling: float, length: int, seed: int) -> System:
    """Return the calcium of a simulated animal, at 10 Hz."""
    settings = SimulateSettings(
        seed=seed, duration_s=length / 10 + 2, calcium_units=24, coupling=coupling
    )
    animal = simulate_animal(settings, np.random.default_rng(seed))
    graph = describe_truth(animal)["graph"].to_dataset()
    names = [f"calcium/{unit}" for unit in animal.unit_names("calcium")]
    known = [name for name in names if name in set(graph["effect"].values.astype(str))]
    at = [names.index(name) for name in known]
    time_T = 1 + np.arange(length) / 10
    series_TN = np.stack(
        [np.interp(time_T, animal.frame_time_F, animal.calcium_FU[:, n]) for n in at], 1
    )
    edge_NN = graph["edge"].sel(effect=known, cause=known).to_numpy()
    return System(series_TN, edge_NN, CausalSettings())


FAMILIES: list[tuple[str, Make, tuple[float, ...], tuple[int, ...]]] = [
    *((f"logistic, {m}", partial(logistic, m), (0.03, 0.1, 0.25), (300, 1000)) for m in MOTIFS),
    ("Lorenz by Roessler", lorenz_by_roessler, (0.5, 2.0, 4.0), (300, 1000, 3000)),
    ("Henon, chain", henon, (0.2, 0.4), (500, 1500)),
    ("Roessler by Roessler", roessler_by_roessler, (0.05, 0.12), (1000, 3000)),
    ("Lorenz by Lorenz", lorenz_by_lorenz, (1.0, 3.0), (1000, 3000)),
    ("oscillators", oscillators, (1.0, 3.0), (1000, 3000)),
]
QUICK = ("logistic", "Lorenz by Roessler")


def systems(quick: bool) -> Iterator[tuple[Told, Callable[[], System]]]:
    """Yield what describes each system, and what makes it."""
    for name, make, couplings, lengths in FAMILIES:
        if quick:
            if not name.startswith(QUICK):
                continue
            couplings, lengths = couplings[1:2], (1000,)
        for seed, (c, noise, length) in enumerate(
            itertools.product(couplings, (0.05,) if quick else (0.0, 0.1), lengths)
        ):
            told = {"system": name, "coupling": c, "noise": noise, "length": length}
            yield told, partial(make, c, noise, length, np.random.default_rng(seed))
    strengths, times = ((0.2,), (1000,)) if quick else ((0.1, 0.2), (1000, 3000))
    for seed, (c, length) in enumerate(itertools.product(strengths, times)):
        told = {"system": "simulated animal", "coupling": c, "noise": 0.0, "length": length}
        yield told, partial(calcium, c, length, seed)
