"""The pairs that survived, and what a closer look at them needs."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.settings.causal import CausalSettings
from tasks.causal.dimension import tau_samples, theiler_samples
from tasks.causal.engine import Backend
from tasks.causal.rule import CrossMapRule
from tasks.common.cluster import available_threads

_DISTANCES = 2e10
"""Row pairs times dimensions that a closer look may measure; some ten seconds of two cores."""


@dataclass(frozen=True)
class Pairs:
    """Edges by position among the nodes.

    cause_E, effect_E : (edge,)
    series_NT : (node, time) standardised
    stride : only every so many samples are predicted, to keep within the budget of work
    """

    cause_E: NDArray[np.intp]
    effect_E: NDArray[np.intp]
    series_NT: NDArray[np.float32]
    rule: CrossMapRule
    stride: int

    def __len__(self) -> int:
        """Return the number of edges."""
        return len(self.cause_E)

    def by_effect(self) -> Iterator[tuple[int, NDArray[np.intp]]]:
        """Yield each effect with its edges."""
        order = np.argsort(self.effect_E, kind="stable")
        effects, starts = np.unique(self.effect_E[order], return_index=True)
        for effect, edges in zip(effects, np.split(order, starts[1:]), strict=False):
            yield int(effect), edges


def find_pairs(
    nodes: xr.Dataset, edges: xr.Dataset, dimension_N: NDArray[np.integer], settings: CausalSettings
) -> Pairs:
    """Look the edges' ends up among the nodes."""
    at = {str(name): n for n, name in enumerate(nodes["node"].values)}
    cause_E, effect_E = (
        np.array([at[str(name)] for name in edges[end].values], np.intp)
        for end in ("cause", "effect")
    )
    rule = CrossMapRule(tau_samples(nodes, settings), settings.tp, theiler_samples(nodes, settings))
    series_NT = np.ascontiguousarray(nodes["value"].to_numpy().T)
    work = len(cause_E) * float(series_NT.shape[1]) ** 2 * float(np.mean(dimension_N))
    return Pairs(cause_E, effect_E, series_NT, rule, max(1, int(np.ceil(work / _DISTANCES))))


def thread_count(settings: CausalSettings) -> int:
    """Return how many threads the settings mean on this machine."""
    return settings.threads or available_threads()


def closer_backend(settings: CausalSettings) -> Backend:
    """Return what looks at single effects: too little work for a GPU, so threads of the CPU."""
    return "reference" if settings.backend == "reference" else "cpu"
