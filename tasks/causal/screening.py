"""Whole brains: all pairs cheaply, then everything for those that survive; no N x N matrix.

Every pair is predicted at every few samples, with the full and the smallest library. What comes
near the rule of an edge survives, at most so many causes of an effect. Survivors get exactly what
every pair of a small session gets: all samples, all libraries, and then delays and labels.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.settings.causal import CausalSettings
from tasks.causal.blocks import NO_STORE, Block, BlockStore
from tasks.causal.convergence import mean_of_draws
from tasks.causal.engine import open_engine
from tasks.causal.graph import regional_skills
from tasks.causal.pairs import closer_backend, thread_count
from tasks.causal.problem import CrossMapProblem, LibraryDraws
from tasks.causal.skill import (
    cross_map_problem,
    draw_libraries,
    effect_blocks,
    summarize_draws,
)
from tasks.common.progress import track

BIN_EDGES = np.linspace(-1, 1, 201)
_EFFECTS_AT_ONCE = 256


@dataclass(frozen=True)
class Survivors:
    """Pairs worth a closer look, by position among the nodes, and what was seen of all pairs.

    cause_E, effect_E : (edge,) ordered by effect
    draws, size_D : random libraries of a survivor's curve, as of `draw_libraries`
    count_B : (bin,) screened skills of all pairs in the bins of BIN_EDGES
    skill_2RR : their number and sum by region, as of `regional_skills`
    """

    cause_E: NDArray[np.int32]
    effect_E: NDArray[np.int32]
    draws: LibraryDraws
    size_D: NDArray[np.integer]
    count_B: NDArray[np.int64]
    skill_2RR: NDArray[np.float64]

    def describe(self, settings: CausalSettings) -> xr.Dataset:
        """Return the group of the CAUSAL contract that says how the graph was screened."""
        counted = {"pairs": ("skill_bin", self.count_B)}
        centres = (BIN_EDGES[1:] + BIN_EDGES[:-1]) / 2
        attrs = {"survivors": len(self.cause_E), **settings.screening.model_dump()}
        return xr.Dataset(counted, {"skill_bin": centres}, attrs)


def screen_pairs(
    nodes: xr.Dataset,
    dimension_N: NDArray[np.integer],
    settings: CausalSettings,
    store: BlockStore = NO_STORE,
) -> Survivors:
    """Find the pairs that may be edges, a block of effects at a time.

    Parameters
    ----------
    nodes, dimension_N : as of `cross_map_convergence`
    settings : `screening`, and the rule of an edge
    store : keeps each block's survivors, a few numbers a pair
    """
    problem = cross_map_problem(nodes, dimension_N, settings)
    problem = replace(problem, stride=settings.screening.stride)
    engine = open_engine(problem, settings.backend, settings.threads)
    draws, size_D = draw_libraries(engine, problem, settings)
    smallest = replace(draws, sizes=[draws.sizes[0]] * settings.screening.samples)
    region_N = nodes["region"].to_numpy().astype(str)

    def screen(effects: range) -> Block:
        skill_DBM = engine.skills(effects, smallest)
        skill_DBM[:, range(len(effects)), effects] = np.nan
        sizes_D = np.array([size_D[0], *smallest.sizes])
        low_BM, full_BM = mean_of_draws(skill_DBM, sizes_D)
        effect_E, cause_E = survivors_of(full_BM, full_BM - low_BM, settings)
        return {
            "effect": (effects.start + effect_E).astype(np.int32),
            "cause": cause_E.astype(np.int32),
            "count": np.histogram(full_BM, BIN_EDGES)[0],
            "regions": regional_skills(region_N, effects, full_BM),
        }

    blocks = [
        store.fetch(
            f"screen-{settings.backend}-{effects.start}-{effects.stop}", partial(screen, effects)
        )
        for effects in effect_blocks(len(dimension_N), settings)
    ]
    return Survivors(
        np.concatenate([block["cause"] for block in blocks]).astype(np.int32),
        np.concatenate([block["effect"] for block in blocks]).astype(np.int32),
        draws,
        size_D,
        np.sum([np.asarray(block["count"], np.int64) for block in blocks], axis=0),
        np.sum([np.asarray(block["regions"], np.float64) for block in blocks], axis=0),
    )


def survivors_of(
    skill_BM: NDArray[np.floating], delta_BM: NDArray[np.floating], settings: CausalSettings
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return effects (rows) and causes that come near an edge, the strongest causes of each."""
    margin = settings.screening.margin
    near_BM = skill_BM >= settings.min_skill - margin
    near_BM &= delta_BM >= settings.min_delta_skill - margin
    most = min(settings.screening.causes, skill_BM.shape[1])
    rank_BM = np.where(near_BM, skill_BM, -np.inf)
    weakest_B = np.partition(rank_BM, -most, axis=1)[:, -most]
    effect_E, cause_E = np.nonzero(near_BM & (rank_BM >= weakest_B[:, None]))
    return effect_E, cause_E


def survivor_curves(
    nodes: xr.Dataset,
    dimension_N: NDArray[np.integer],
    found: Survivors,
    settings: CausalSettings,
    store: BlockStore = NO_STORE,
) -> xr.Dataset:
    """Score the survivors at all samples, with all libraries: what every pair of few nodes gets.

    Returns
    -------
    Dataset (edge) with `cause` and `effect` by name, `skill`, `delta_skill`, `kendall` and
    `convergence` (edge, library_size): to the bit what `cross_map_convergence` has on the CPU
    """
    problem = cross_map_problem(nodes, dimension_N, settings)
    effects, starts = np.unique(found.effect_E, return_index=True)
    causes = np.split(found.cause_E, starts[1:])

    def measure(place: int) -> Block:
        effect, cause_C = int(effects[place]), causes[place]
        by_target = problem.dimension_M
        own = CrossMapProblem(
            problem.libraries_NT[[effect]], problem.targets_MT[cause_C], problem.segment_T,
            problem.dimension_N[[effect]], problem.rule,
            None if by_target is None else by_target[cause_C],
        )  # fmt: skip
        engine = open_engine(own, closer_backend(settings), 1)
        # The same random libraries as where all effects are in one problem.
        skill_DC = engine.skills([0], replace(found.draws, first=effect))
        return summarize_draws(skill_DC, found.size_D)

    def measure_all(part: range) -> Block:
        with ThreadPoolExecutor(thread_count(settings)) as pool:
            measured = list(pool.map(measure, part))
        return {
            name: np.concatenate([block[name][..., 0, :] for block in measured], axis=-1)
            for name in measured[0]
        }

    parts = [
        range(start, min(start + _EFFECTS_AT_ONCE, len(effects)))
        for start in range(0, len(effects), _EFFECTS_AT_ONCE)
    ]
    blocks = [
        store.fetch(f"curves-{part.start}-{part.stop}", partial(measure_all, part))
        for part in track(parts, "survivors")
    ]
    names = nodes["node"].to_numpy().astype(str)
    sizes_L = np.unique(found.size_D)
    empty = {"convergence": np.empty((len(sizes_L), 0), np.float32)}
    measures = {
        name: np.concatenate([block[name] for block in blocks], axis=-1)
        if blocks
        else empty.get(name, np.empty(0, np.float32))
        for name in ("skill", "delta_skill", "kendall", "convergence")
    }
    return xr.Dataset(
        {
            "cause": ("edge", names[found.cause_E]),
            "effect": ("edge", names[found.effect_E]),
            **{
                name: (("edge", "library_size")[: values.ndim], values.T)
                for name, values in measures.items()
            },
        },
        {"library_size": sizes_L},
    )
