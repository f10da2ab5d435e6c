"""What survived a screening, measured in full: an effect and its few causes at a time."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.settings.causal import CausalSettings
from tasks.causal.blocks import NO_STORE, Block, BlockStore, divide, fetch_blocks
from tasks.causal.engine import Engine, open_engine
from tasks.causal.pairs import closer_backend, thread_count
from tasks.causal.problem import CrossMapProblem
from tasks.causal.screening import Survivors
from tasks.causal.significance import (
    ScorePool,
    false_discovery_rate_among,
    left_out_scores,
    standard_score,
    surrogates_of,
)
from tasks.causal.skill import cross_map_problem, summarize_draws

_EFFECTS_AT_ONCE = 256
"""Effects in one unit of work."""

RANDOM_CAUSES = 8
"""Random causes of each effect whose surrogates tell what any pair's score may be by chance."""


def measure_survivors(
    nodes: xr.Dataset,
    dimension_N: NDArray[np.integer],
    found: Survivors,
    settings: CausalSettings,
    store: BlockStore = NO_STORE,
) -> xr.Dataset:
    """Measure the survivors at all samples, with all libraries and their own surrogates.

    Returns
    -------
    Dataset (edge) with `cause` and `effect` by name, `skill`, `delta_skill`, `kendall`,
    `convergence` (edge, library_size): to the bit what `cross_map_convergence` has on the CPU;
    and, if surrogates are asked for, `p_value`, and `q_value` among all pairs. Those that did not
    survive count as tests with p = 1, which can only raise q-values.
    """
    of_effect = SurvivorsOfEffect(nodes, dimension_N, found, settings)
    pool = ScorePool()
    parts = divide(len(of_effect.effects), _EFFECTS_AT_ONCE)
    work, backend = of_effect.measure_all, closer_backend(settings)
    blocks = [dict(block) for block in fetch_blocks(store, "survivors", parts, work, backend)]
    for block in blocks:
        pool.merge(block.pop("counts"), block.pop("highest"))
    names = nodes["node"].to_numpy().astype(str)
    sizes_L = np.unique(found.size_D)
    nothing = of_effect.join([])
    joined = {
        name: np.concatenate([np.asarray(block[name]) for block in [nothing, *blocks]], axis=-1)
        for name in nothing
    }
    score_E = joined.pop("score")
    measured = xr.Dataset(
        {
            "cause": ("edge", names[found.cause_E]),
            "effect": ("edge", names[found.effect_E]),
            **{
                name: (("edge", "library_size")[: values.ndim], values.T)
                for name, values in joined.items()
            },
        },
        {"library_size": sizes_L},
    )
    if not settings.surrogates:
        return measured
    p_E = pool.p_values(score_E)
    pairs = len(dimension_N) * (len(dimension_N) - 1)
    q_E = false_discovery_rate_among(p_E, pairs, settings.fdr_method)
    return measured.assign(p_value=("edge", p_E), q_value=("edge", q_E))


class SurvivorsOfEffect:
    """The survivors of one effect at a time: a small problem of its own."""

    def __init__(
        self,
        nodes: xr.Dataset,
        dimension_N: NDArray[np.integer],
        found: Survivors,
        settings: CausalSettings,
    ) -> None:
        self.nodes, self.found, self.settings = nodes, found, settings
        self.problem = cross_map_problem(nodes, dimension_N, settings)
        self.effects, starts = np.unique(found.effect_E, return_index=True)
        self._causes = np.split(found.cause_E, starts[1:])

    def measure_all(self, places: range) -> Block:
        """Return the measures of the effects at some places, and the null of all their causes."""
        with ThreadPoolExecutor(thread_count(self.settings)) as pool:
            measured = list(pool.map(self.measure, places))
        null = ScorePool()
        for block in measured:
            null.merge(block.pop("counts"), block.pop("highest"))
        return {**self.join(measured), "counts": null.counts, "highest": null.highest}

    def join(self, measured: list[dict[str, NDArray[np.generic]]]) -> Block:
        """Return the measures of several effects as one, its last axis the edges."""
        sizes = len(np.unique(self.found.size_D))
        empty: dict[str, NDArray[np.generic]] = {
            name: np.empty(0, np.float32) for name in ("skill", "delta_skill", "kendall")
        }
        empty |= {"convergence": np.empty((sizes, 0), np.float32), "score": np.empty(0)}
        return {
            name: np.concatenate([values, *(block[name] for block in measured)], axis=-1)
            for name, values in empty.items()
        }

    def measure(self, place: int) -> dict[str, NDArray[np.generic]]:
        """Return what was measured of one effect's survivors, and its null's pool."""
        effect, cause_C = int(self.effects[place]), self._causes[place]
        engine = self._engine(effect, self.problem.targets_MT[cause_C], cause_C)
        # The same random libraries as where all effects are in one problem.
        skill_DC = engine.skills([0], replace(self.found.draws, first=effect))
        summary = summarize_draws(skill_DC, self.found.size_D)
        score_C, null = self._test(effect, cause_C, skill_DC[0, 0])
        return {
            **{name: values[..., 0, :] for name, values in summary.items()},
            "score": score_C, "counts": null.counts, "highest": null.highest,
        }  # fmt: skip

    def _test(
        self, effect: int, cause_C: NDArray[np.integer], skill_C: NDArray[np.floating]
    ) -> tuple[NDArray[np.float64], ScorePool]:
        """Return standard scores of an effect's skills, and its part of the null of all pairs."""
        made, null = self.settings.surrogates, ScorePool()
        if not made:
            return np.full(len(cause_C), np.nan), null
        # The null is that of any pair: survivors are those that chance favours, and would make
        # every p-value too high. So random causes make it.
        stream = np.random.SeedSequence(self.settings.seed, spawn_key=(3, effect))
        others = len(self.problem.targets_MT) - 1
        random_U = np.random.default_rng(stream).choice(
            others, min(RANDOM_CAUSES, others), replace=False
        )
        node_M = np.concatenate([cause_C, random_U + (random_U >= effect)])
        dimension_N = self.problem.dimension_N
        surrogates = [
            surrogates_of(self.nodes, dimension_N, self.settings, int(n), made) for n in node_M
        ]
        engine = self._engine(effect, np.concatenate(surrogates), node_M.repeat(made))
        null_MS = engine.skills([0])[0, 0].reshape(len(node_M), made)
        null.add(left_out_scores(null_MS[len(cause_C) :]))
        return standard_score(skill_C, null_MS[: len(cause_C)]), null

    def _engine(
        self, effect: int, target_MT: NDArray[np.floating], node_M: NDArray[np.integer]
    ) -> Engine:
        problem, by_target = self.problem, self.problem.dimension_M
        own = CrossMapProblem(
            problem.libraries_NT[[effect]], target_MT, problem.segment_T,
            problem.dimension_N[[effect]], problem.rule,
            None if by_target is None else by_target[node_M], precision=problem.precision,
        )  # fmt: skip
        return open_engine(own, closer_backend(self.settings), 1)
