"""Peak memory and time of a screened graph against what was planned for it.

    python tests/benchmarks/bench_causal_memory.py NODES SAMPLES [CAUSES SURROGATES]

takes as many logistic maps, each driven by one other on average, through the whole of the causal
stage in this process, and prints what it took beside the plan.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.settings.causal import CausalSettings
from schemas.settings.screening import ScreeningSettings
from tasks.causal.blocks import BlockStore
from tasks.causal.extract import extract_graph
from tasks.causal.plan import describe_plan, plan_cross_map
from tests.conftest import aligned_tree

SETTINGS = CausalSettings(use="all", tau_s=0, theiler_s=0, max_dimension=4)


def driven_maps(nodes: int, samples: int) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Return maps (time, node) and the cause of each."""
    rng = np.random.default_rng(0)
    cause_N = (np.arange(nodes) + rng.integers(1, nodes, nodes)) % nodes
    growth_N, state_N = rng.uniform(3.68, 3.9, nodes), rng.uniform(0.2, 0.8, nodes)
    series_TN = np.empty((samples, nodes), np.float32)
    for t in range(samples + 100):
        own_N = growth_N * state_N * (1 - state_N)
        state_N = 0.92 * own_N + 0.08 * own_N[cause_N]
        series_TN[max(t - 100, 0)] = state_N
    return series_TN, cause_N


if __name__ == "__main__":
    nodes, samples, *few = (int(value) for value in sys.argv[1:])
    most, surrogates = few or (32, 99)
    settings = SETTINGS.model_copy(
        update={"screening": ScreeningSettings(causes=most), "surrogates": surrogates}
    )
    plan = plan_cross_map(nodes, samples, settings)
    print(describe_plan(plan), flush=True)  # noqa: T201
    values, causes = driven_maps(nodes, samples)
    aligned = aligned_tree(values)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        tree = extract_graph(aligned, settings, store=BlockStore(Path(folder)))
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    edges = tree["edges"].to_dataset()
    ends = zip(edges["cause"].values, edges["effect"].values, strict=True)
    true = {(f"calcium/n{c}", f"calcium/n{e}") for e, c in enumerate(causes)}
    print(  # noqa: T201
        f"took {seconds:,.0f} s of {plan.seconds:,.0f} planned, and {peak / 2**30:.2f} GiB of "
        f"{plan.memory_bytes / 2**30:.2f}; all pairs' skills alone are "
        f"{4 * nodes**2 / 2**30:.2f}\n{len(edges['edge']):,} edges, {len(true & set(ends)):,} of "
        f"them among {len(true):,} true ones; {tree['screening'].attrs['survivors']:,} survivors"
    )
