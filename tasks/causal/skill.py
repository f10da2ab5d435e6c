"""All pairs: how well each effect's history recovers each cause, and whether that converges."""

from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.errors import RecordingTooShortError
from schemas.settings.causal import CausalSettings
from tasks.causal.blocks import NO_STORE, Block, BlockStore, divide, fetch_blocks
from tasks.causal.convergence import kendall_trend, mean_of_draws
from tasks.causal.dimension import tau_samples, theiler_samples
from tasks.causal.draws import LibraryDraws
from tasks.causal.engine import Engine, PortableEngine, open_engine
from tasks.causal.problem import CrossMapProblem
from tasks.causal.rule import CrossMapRule, neighbour_count
from tasks.common.progress import track


def cross_map_problem(
    nodes: xr.Dataset, dimension_N: NDArray[np.integer], settings: CausalSettings
) -> CrossMapProblem:
    """Return the problem of mapping every node with every node."""
    series_NT = np.ascontiguousarray(nodes["value"].to_numpy().T)
    rule = CrossMapRule(tau_samples(nodes, settings), settings.tp, theiler_samples(nodes, settings))
    by_target = dimension_N if settings.dimension_by == "target" else None
    return CrossMapProblem(
        series_NT, series_NT, nodes["segment"].to_numpy(), dimension_N, rule, by_target,
        precision=settings.precision,
    )  # fmt: skip


def cross_map_skill(
    nodes: xr.Dataset, dimension_N: NDArray[np.integer], settings: CausalSettings
) -> xr.DataArray:
    """Score how well each node's history recovers every other node, with the full library.

    Parameters
    ----------
    nodes : `value` (time, node) standardised, gaps as NaN, with `segment` (time); attrs `rate_hz`
    dimension_N : (node,) embedding dimensions
    settings : embedding step, horizon, Theiler window, backend

    Returns
    -------
    (effect, cause) Pearson skill in [-1, 1]; NaN on the diagonal and where undefined. The cause
    is the node recovered, not the node it is recovered from.

    References
    ----------
    Sugihara et al. 2012, doi:10.1126/science.1227079
    """
    problem = cross_map_problem(nodes, dimension_N, settings)
    engine = open_engine(problem, settings.backend, settings.threads)
    blocks = divide(len(problem.libraries_NT), settings.block)
    skill_NM = np.concatenate(
        [engine.skills(effects)[0] for effects in track(blocks, "cross mapping")]
    )
    np.fill_diagonal(skill_NM, np.nan)
    names = nodes["node"].to_numpy()
    return xr.DataArray(
        skill_NM.astype(np.float32), {"effect": names, "cause": names}, ("effect", "cause"), "skill"
    )


def cross_map_convergence(
    nodes: xr.Dataset,
    dimension_N: NDArray[np.integer],
    settings: CausalSettings,
    store: BlockStore = NO_STORE,
) -> xr.Dataset:
    """Score every pair with the full library and with random smaller ones.

    Parameters
    ----------
    nodes, dimension_N : as of `cross_map_skill`
    settings : also the library sizes, how many random libraries of each, and the seed
    store : keeps finished blocks

    Returns
    -------
    Dataset with `skill` (effect, cause) of the full library; `convergence` (library_size, effect,
    cause), the mean skill of each size; `delta_skill`, that of the full library less that of the
    smallest; `kendall`, the trend of skill with size. The last size is the full library, labelled
    with the number of vectors of the node that has fewest; the others are fractions of it.

    Raises
    ------
    RecordingTooShortError
        The smallest library has fewer vectors than a simplex has corners.
    """
    problem = cross_map_problem(nodes, dimension_N, settings)
    engine = PortableEngine(problem, settings.backend, settings.threads)
    draws, size_D = draw_libraries(engine, problem, settings)
    parts = divide(len(problem.libraries_NT), settings.block)
    converge = partial(_converge, engine, draws, size_D)
    blocks = list(fetch_blocks(store, "cross mapping", parts, converge, settings.backend))
    return _pair_dataset(nodes, np.unique(size_D), blocks)


def _converge(
    engine: Engine, draws: LibraryDraws, size_D: NDArray[np.integer], effects: range
) -> Block:
    skill_DBM = engine.skills(effects, draws)
    skill_DBM[:, range(len(effects)), effects] = np.nan  # nothing drives itself here
    return summarize_draws(skill_DBM, size_D)


def library_sizes(full: int, settings: CausalSettings, least: int) -> list[int]:
    """Return the sizes of the random libraries for nodes of `full` vectors.

    Raises
    ------
    RecordingTooShortError
        A size is below `least`, or two sizes coincide.
    """
    sizes = [round(fraction * full) for fraction in settings.library_fractions]
    if sizes[0] < least or len({*sizes, full}) <= len(sizes):
        raise RecordingTooShortError(
            f"the shortest node has {full:,} embedding vectors, too few for libraries of "
            f"{', '.join(f'{fraction:g}' for fraction in settings.library_fractions)} of them "
            f"(the smallest must hold {least}).",
            remedy="Raise causal.min_samples to leave short nodes out, or the fractions.",
        )
    return sizes


def summarize_draws(skill_DBM: NDArray[np.floating], size_D: NDArray[np.integer]) -> Block:
    """Return what skills (1 + draw, effect, cause) say: their convergence and its measures."""
    skill_DBM = skill_DBM.astype(np.float32)
    convergence_LBM = mean_of_draws(skill_DBM, size_D)
    return {
        "skill": skill_DBM[0],
        "convergence": convergence_LBM,
        "delta_skill": convergence_LBM[-1] - convergence_LBM[0],
        "kendall": kendall_trend(skill_DBM, size_D),
    }


def draw_libraries(
    engine: Engine, problem: CrossMapProblem, settings: CausalSettings
) -> tuple[LibraryDraws, NDArray[np.integer]]:
    """Return the random libraries of a problem, and the sizes of the full one and of all those.

    Raises
    ------
    RecordingTooShortError
        The smallest library has fewer vectors than a simplex has corners.
    """
    full = min(engine.vectors(n) for n in range(len(problem.libraries_NT)))
    sizes = library_sizes(full, settings, neighbour_count(problem.longest))
    drawn = [size for size in sizes for _ in range(settings.library_samples)]
    return LibraryDraws(drawn, settings.seed), np.array([full, *drawn])


def _pair_dataset(
    nodes: xr.Dataset, sizes_L: NDArray[np.integer], blocks: list[Block]
) -> xr.Dataset:
    names = nodes["node"].to_numpy()
    variables = {}
    for name in blocks[0]:
        values = np.concatenate([block[name] for block in blocks], axis=-2)
        dims = ("library_size", "effect", "cause")[3 - values.ndim :]
        variables[name] = (dims, values.astype(np.float32))
    return xr.Dataset(variables, {"library_size": sizes_L, "effect": names, "cause": names})
