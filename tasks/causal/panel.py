"""Significance by a panel of surrogates that all pairs share: a thousand, not ninety-nine a cause.

How well an unrelated series is recovered depends on how slow it is: series that remember long are
easily matched by chance. So the panel holds surrogates of nodes of every length of memory, and a
skill is compared with those whose memory is like its cause's.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.settings.causal import CausalSettings
from tasks.causal.blocks import NO_STORE, Block, BlockStore
from tasks.causal.engine import open_engine
from tasks.causal.significance import (
    ScorePool,
    fisher_z,
    left_out_scores,
    moments,
    score_of,
    surrogates_of,
)
from tasks.causal.skill import cross_map_problem
from tasks.common.progress import track


@dataclass(frozen=True)
class Panel:
    """Surrogates (group, surrogate, time), shortest memory first.

    source_GS : the node that each is made of
    group_N : the group that each node is compared with
    """

    series_GST: NDArray[np.float32]
    source_GS: NDArray[np.intp]
    group_N: NDArray[np.intp]


def make_panel(
    nodes: xr.Dataset, dimension_N: NDArray[np.integer], settings: CausalSettings
) -> Panel:
    """Make surrogates of random nodes, as many of each group of similar memory."""
    memory_N = memory_lengths(nodes["value"].to_numpy().T)
    count = len(memory_N)
    groups = min(settings.screening.memory_groups, count)
    rank_N = np.argsort(np.argsort(memory_N, kind="stable"), kind="stable")
    group_N = rank_N * groups // count
    each = -(-settings.screening.surrogates // groups)
    rng = np.random.default_rng(np.random.SeedSequence(settings.seed, spawn_key=(2,)))
    source_GS = np.stack(
        [
            rng.choice(members, each, replace=len(members) < each)
            for members in (np.flatnonzero(group_N == group) for group in range(groups))
        ]
    )
    made = np.empty((groups * each, nodes.sizes["time"]), np.float32)
    for node in np.unique(source_GS):
        places = np.flatnonzero(source_GS.ravel() == node)
        made[places] = surrogates_of(nodes, dimension_N, settings, int(node), len(places))
    return Panel(made.reshape(groups, each, -1), source_GS, group_N)


def memory_lengths(series_NT: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return how many samples each series remembers: the area of its autocorrelation.

    Up to its first zero; gaps are left out, as surrogates do.
    """
    memory_N = np.empty(len(series_NT))
    for n, series_T in enumerate(series_NT):
        values_V = series_T[np.isfinite(series_T)].astype(np.float64)
        spectrum_F = np.fft.rfft(values_V - values_V.mean(), 2 * len(values_V))
        correlation_L = np.fft.irfft(np.abs(spectrum_F) ** 2)[: len(values_V)]
        ends = np.flatnonzero(correlation_L <= 0)
        first = ends[0] if ends.size else len(correlation_L)
        memory_N[n] = correlation_L[:first].sum() / max(correlation_L[0], 1e-12)
    return memory_N


def survivor_significance(
    nodes: xr.Dataset,
    dimension_N: NDArray[np.integer],
    edges: xr.Dataset,
    pairs: int,
    settings: CausalSettings,
    store: BlockStore = NO_STORE,
) -> xr.Dataset:
    """Return the edges with `p_value`, and `q_value` among all `pairs` that were screened.

    edges : of `survivor_curves`. Pairs that did not survive count as tests with p = 1, which
    makes q-values no lower than they would be if all had been tested.
    """
    panel = make_panel(nodes, dimension_N, settings)
    at = {str(name): n for n, name in enumerate(nodes["node"].values)}
    effect_E, cause_E = (
        np.array([at[str(name)] for name in edges[end].values], np.intp)
        for end in ("effect", "cause")
    )
    groups, each, samples = panel.series_GST.shape
    whole = cross_map_problem(nodes, dimension_N, settings)
    by_target = whole.dimension_M
    problem = replace(
        whole,
        targets_MT=panel.series_GST.reshape(-1, samples),
        dimension_M=None if by_target is None else by_target[panel.source_GS.ravel()],
    )
    engine = open_engine(problem, settings.backend, settings.threads)

    def compare(effects: NDArray[np.intp]) -> Block:
        null_BGS = engine.skills(effects.tolist())[0].reshape(len(effects), groups, each)
        # A series and its own surrogates are no unrelated pair.
        null_BGS[effects[:, None, None] == panel.source_GS] = np.nan
        own = ScorePool()
        own.add(left_out_scores(null_BGS))
        count, mean, square = moments(fisher_z(null_BGS))
        return {
            "count": count, "mean": mean, "square": square,
            "counts": own.counts, "highest": own.highest,
        }  # fmt: skip

    effects = np.unique(effect_E)
    parts = np.split(effects, range(settings.block, len(effects), settings.block))
    pool, blocks = ScorePool(), []
    for number, part in enumerate(track(parts, "surrogates")):
        block = store.fetch(f"panel-{settings.backend}-{number}", partial(compare, part))
        pool.merge(block["counts"], block["highest"])
        blocks.append(block)
    row_E, group_E = np.searchsorted(effects, effect_E), panel.group_N[cause_E]
    null = (
        np.concatenate([np.asarray(block[name]) for block in blocks])[row_E, group_E]
        for name in ("count", "mean", "square")
    )
    p_E = pool.p_values(score_of(fisher_z(edges["skill"].to_numpy()), *null))
    q_E = false_discovery_rate_among(p_E, pairs, settings.fdr_method)
    return edges.assign(p_value=("edge", p_E), q_value=("edge", q_E))


def false_discovery_rate_among(
    p_E: NDArray[np.float64], tests: int, method: str
) -> NDArray[np.float64]:
    """Return q-values where only some of the tests' p-values are known and the rest count as 1.

    As of `false_discovery_rate`; undefined p-values stay NaN.
    """
    defined = np.isfinite(p_E)
    order = np.argsort(p_E[defined])
    if method == "by":
        # The harmonic number, by its expansion: tests may be ten thousand million.
        tests_weighed = tests * (np.log(tests) + np.euler_gamma + 1 / (2 * tests))
    else:
        tests_weighed = float(tests)
    ascending = p_E[defined][order] * tests_weighed / np.arange(1, len(order) + 1)
    lowest = np.minimum(np.minimum.accumulate(ascending[::-1])[::-1], 1)
    known = np.empty(len(order))
    known[order] = lowest
    q_E = np.full(len(p_E), np.nan)
    q_E[defined] = known
    return q_E
