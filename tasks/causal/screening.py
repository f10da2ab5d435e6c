"""Whole brains: all pairs cheaply, then everything for those that survive; no N x N matrix.

Every pair is predicted at every few samples, with the full and the smallest library. What comes
near the rule of an edge and stands out from a panel of surrogates survives, at most so many causes
of an effect. Survivors get what every pair of a small session gets: all samples, all libraries,
surrogates of their own causes, and then delays and labels.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.settings.causal import CausalSettings
from tasks.causal.blocks import NO_STORE, Block, BlockStore, divide, fetch_blocks
from tasks.causal.convergence import mean_of_draws
from tasks.causal.draws import LibraryDraws
from tasks.causal.engine import Engine, PortableEngine
from tasks.causal.graph import regional_skills
from tasks.causal.panel import Panel, make_panel
from tasks.causal.problem import CrossMapProblem
from tasks.causal.skill import cross_map_problem, draw_libraries

BIN_EDGES = np.linspace(-1, 1, 201)


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
    panel = make_panel(nodes, dimension_N, settings)
    problem = _with_panel(cross_map_problem(nodes, dimension_N, settings), panel, settings)
    engine = PortableEngine(problem, settings.backend, settings.threads)
    draws, size_D = draw_libraries(engine, problem, settings)
    region_N = nodes["region"].to_numpy().astype(str)
    # The panel's series went into the problem.
    scores_only = replace(panel, series_GST=panel.series_GST[:, :, :0])
    screen = partial(_screen, engine, scores_only, draws, int(size_D[0]), region_N, settings)
    parts = divide(len(dimension_N), settings.block)
    blocks = list(fetch_blocks(store, "screening", parts, screen, settings.backend))
    return Survivors(
        np.concatenate([block["cause"] for block in blocks]).astype(np.int32),
        np.concatenate([block["effect"] for block in blocks]).astype(np.int32),
        draws,
        size_D,
        np.sum([np.asarray(block["count"], np.int64) for block in blocks], axis=0),
        np.sum([np.asarray(block["regions"], np.float64) for block in blocks], axis=0),
    )


def _screen(
    engine: Engine,
    panel: Panel,
    draws: LibraryDraws,
    full: int,
    region_N: NDArray[np.str_],
    settings: CausalSettings,
    effects: range,
) -> Block:
    """Return the survivors of some effects; `full`: size of the full library."""
    smallest = replace(draws, sizes=[draws.sizes[0]] * settings.screening.samples)
    count = len(region_N)
    skill_DBM = engine.skills(effects, smallest)
    skill_DBM[:, range(len(effects)), effects] = np.nan
    low_BN, full_BN = mean_of_draws(skill_DBM[:, :, :count], np.array([full, *smallest.sizes]))
    null_BGS = skill_DBM[0, :, count:].reshape(-1, *panel.source_GS.shape)
    score_BN = panel.scores(effects, full_BN, null_BGS)
    effect_E, cause_E = survivors_of(full_BN, full_BN - low_BN, score_BN, settings)
    return {
        "effect": (effects.start + effect_E).astype(np.int32),
        "cause": cause_E.astype(np.int32),
        "count": np.histogram(full_BN, BIN_EDGES)[0],
        "regions": regional_skills(region_N, effects, full_BN),
    }


def _with_panel(
    problem: CrossMapProblem, panel: Panel, settings: CausalSettings
) -> CrossMapProblem:
    """Return the problem with the panel's surrogates as further targets, at strided samples."""
    surrogates_MT = panel.series_GST.reshape(-1, panel.series_GST.shape[-1])
    by_target = problem.dimension_M
    return replace(
        problem,
        targets_MT=np.concatenate([problem.targets_MT, surrogates_MT]),
        dimension_M=None if by_target is None
        else np.concatenate([by_target, by_target[panel.source_GS.ravel()]]),
        stride=settings.screening.stride,
    )  # fmt: skip


def survivors_of(
    skill_BN: NDArray[np.floating],
    delta_BN: NDArray[np.floating],
    score_BN: NDArray[np.floating],
    settings: CausalSettings,
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return effects (rows) and causes that may be edges, those of an effect that stand out most.

    score_BN : how far a skill lies above the panel's
    """
    screening = settings.screening
    near_BN = skill_BN >= settings.min_skill - screening.margin
    near_BN &= delta_BN >= settings.min_delta_skill - screening.margin
    near_BN &= score_BN >= screening.score
    most = min(screening.causes, skill_BN.shape[1])
    rank_BN = np.where(near_BN, score_BN, -np.inf)
    weakest_B = np.partition(rank_BN, -most, axis=1)[:, -most]
    effect_E, cause_E = np.nonzero(near_BN & (rank_BN >= weakest_B[:, None]))
    return effect_E, cause_E
