"""What screening loses: edges of the graph of all pairs, and true edges, by how it is screened.

    python tests/benchmarks/bench_causal_screening.py [NODES]

prints two tables for a simulated animal and for coupled logistic maps, whose graphs are known. All
pairs are measured in full first, as in a small session. 'cost' is the lookups of the screening as
a part of theirs.
"""

import sys
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.typing import NDArray

from schemas.settings.causal import CausalSettings
from schemas.settings.screening import ScreeningSettings
from schemas.settings.simulate import SimulateSettings
from tasks.causal.dimension import embedding_dimensions
from tasks.causal.graph import select_edges
from tasks.causal.screening import screen_pairs
from tasks.causal.significance import cross_map_significance
from tasks.causal.skill import cross_map_convergence
from tasks.causal.survivors import measure_survivors
from tasks.simulate.animal import simulate_animal
from tasks.simulate.truth import describe_truth
from tests.unit.tasks.causal.series import nodes_of

TRIED = [
    {},
    *({"stride": stride} for stride in (1, 4, 8)),
    *({"samples": samples} for samples in (1, 2)),
    *({"margin": margin} for margin in (0.0, 0.02, 0.1)),
    *({"score": score} for score in (-20.0, 1.0, 3.0)),
    *({"causes": causes} for causes in (2, 4, 8, 299)),
    {"stride": 4, "samples": 1},
]
"""What differs from the defaults."""

Pairs = set[tuple[str, str]]


@dataclass(frozen=True)
class Known:
    """A recording as nodes, and who drives whom (cause, effect)."""

    nodes: xr.Dataset
    true: Pairs
    settings: CausalSettings


def animal(count: int, seed: int = 3) -> Known:
    """Return the calcium of a simulated animal: 200 s at 10 Hz."""
    made = SimulateSettings(seed=seed, duration_s=202.0, calcium_units=count)
    simulated = simulate_animal(made, np.random.default_rng(seed))
    time_T = 1 + np.arange(2000) / 10
    series_TN = np.stack(
        [np.interp(time_T, simulated.frame_time_F, c) for c in simulated.calcium_FU.T], 1
    )
    names = [f"calcium/{unit}" for unit in simulated.unit_names("calcium")]
    graph = describe_truth(simulated)["graph"].to_dataset()["edge"]
    at = {name: f"n{n}" for n, name in enumerate(names)}
    effect, cause = np.nonzero(graph.to_numpy())
    ends = (graph["cause"].values[cause], graph["effect"].values[effect])
    true = {(at[c], at[e]) for c, e in zip(*ends, strict=True) if c in at and e in at}
    return Known(_nodes(series_TN), true, CausalSettings())


def maps(count: int, seed: int = 4) -> Known:
    """Return logistic maps of which each is driven by one other on average: 1,000 steps."""
    rng = np.random.default_rng(seed)
    pull_NN = np.where(rng.random((count, count)) < 1 / count, rng.uniform(0.03, 0.1), 0)
    np.fill_diagonal(pull_NN, 0)
    growth_N, state_N = rng.uniform(3.68, 3.9, count), rng.uniform(0.2, 0.8, count)
    series_TN = np.empty((1200, count))
    for t in range(len(series_TN)):
        own_N = growth_N * state_N * (1 - state_N)
        state_N = (1 - pull_NN.sum(1)) * own_N + pull_NN @ own_N
        series_TN[t] = state_N
    noisy = series_TN[200:] + 0.02 * rng.standard_normal((1000, count))
    effect, cause = np.nonzero(pull_NN)
    true = {(f"n{c}", f"n{e}") for c, e in zip(cause, effect, strict=True)}
    return Known(_nodes(noisy), true, CausalSettings(tau_s=0, theiler_s=0, max_dimension=6))


def _nodes(series_TN: NDArray[np.floating]) -> xr.Dataset:
    nodes = nodes_of(series_TN)
    return nodes.assign_coords(region=("node", np.full(nodes.sizes["node"], "all")))


def pairs_of(edges: xr.Dataset) -> Pairs:
    return set(zip(edges["cause"].values.tolist(), edges["effect"].values.tolist(), strict=True))


def compare(known: Known) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what survives by how it is screened, and the graphs with and without screening."""
    nodes, settings = known.nodes, known.settings
    names = nodes["node"].values
    dimension_N = embedding_dimensions(nodes, settings)["embedding_dimension"].to_numpy()
    skill = cross_map_convergence(nodes, dimension_N, settings)
    skill = skill.merge(cross_map_significance(nodes, dimension_N, skill["skill"], settings))
    whole = pairs_of(select_edges(skill, settings))
    found = whole & known.true
    pairs = len(names) * (len(names) - 1)
    draws = 1 + len(settings.library_fractions) * settings.library_samples
    rows = []
    for tried in TRIED:
        screening = ScreeningSettings(**tried)
        chosen = settings.model_copy(update={"screening": screening})
        survivors = screen_pairs(nodes, dimension_N, chosen)
        kept = set(zip(names[survivors.cause_E], names[survivors.effect_E], strict=True))
        rows.append(
            {
                "tried": ", ".join(f"{name} {value:g}" for name, value in tried.items()) or "-",
                "cost": (1 + screening.samples) / screening.stride / draws,
                "survivors": len(kept) / pairs,
                "edges kept": len(kept & whole) / len(whole),
                "true edges kept": len(kept & found) / len(found),
            }
        )
    survivors = screen_pairs(nodes, dimension_N, settings)
    measured = measure_survivors(nodes, dimension_N, survivors, settings)
    screened = pairs_of(select_edges(measured, settings))
    graphs = [
        {
            "graph": name,
            "edges": len(edges),
            "true": len(edges & known.true),
            "recall": len(edges & known.true) / len(known.true),
            "precision": len(edges & known.true) / max(len(edges), 1),
            "shared": len(edges & whole),
        }
        for name, edges in (("all pairs", whole), ("screened", screened))
    ]
    return pd.DataFrame(rows), pd.DataFrame(graphs)


@pytest.mark.slow
@pytest.mark.parametrize("system", [animal, maps])
def test_screening_by_the_defaults_loses_few_edges(benchmark, system):
    by_setting, graphs = benchmark.pedantic(lambda: compare(system(100)), rounds=1)
    kept = by_setting.set_index("tried").loc["-"]
    benchmark.extra_info |= {**kept.to_dict(), "graphs": graphs.to_dict("records")}
    assert kept["edges kept"] > 0.95


if __name__ == "__main__":
    for system in (animal, maps):
        for table in compare(system(int((sys.argv[1:] or ["300"])[0]))):
            print(f"\n{system.__name__}\n{table.round(4).to_string(index=False)}")  # noqa: T201
