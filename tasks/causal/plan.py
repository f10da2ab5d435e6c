"""What a cross mapping will cost, before it is started: pairs, memory, seconds on this machine."""

import os
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.errors import TectumError
from schemas.settings.causal import CausalSettings
from tasks.causal.engine import open_engine
from tasks.causal.problem import CrossMapProblem
from tasks.causal.rule import CrossMapRule, neighbour_count

_TRIAL_NODES, _TRIAL_SAMPLES, _TRIAL_DIMENSION = 64, 1000, 5
_ROOM = 1.5
"""Time for what the two counted steps leave out: weights, random libraries, Python."""


@dataclass(frozen=True)
class CrossMapPlan:
    """The cost of cross mapping `nodes` nodes of `samples` samples.

    pairs : ordered pairs of different nodes
    distances : pairs of rows measured, times dimensions
    lookups : weighted neighbours added up
    memory_bytes : most that is held at once, results included
    seconds : estimate, from the speed a short trial reached
    """

    nodes: int
    samples: int
    pairs: int
    distances: float
    lookups: float
    memory_bytes: int
    seconds: float


@dataclass(frozen=True)
class EngineSpeed:
    """What this machine does in a second, all threads together."""

    distances: float
    lookups: float


def plan_cross_map(
    nodes: int, samples: int, settings: CausalSettings, speed: EngineSpeed | None = None
) -> CrossMapPlan:
    """Estimate the cost of the causal stage for a session.

    The embedding dimension of a node is not known before: the highest is assumed, so the estimate
    is an upper one.

    Parameters
    ----------
    nodes, samples : usable nodes and samples on the aligned axis
    speed : of this machine; measured by a trial of about a second if not given
    """
    speed = speed or measure_speed(settings)
    dimension = settings.dimension or settings.max_dimension
    searched = settings.max_dimension if settings.dimension_by == "target" else 1
    per_sweep = float(nodes) * samples**2
    panels = max(1, -(-nodes * settings.surrogates * samples * 4 // 2**27))
    sweeps = (settings.dimension is None) * settings.max_dimension
    sweeps += (1 + panels * bool(settings.surrogates)) * dimension * searched
    draws = 1 + len(settings.library_fractions) * settings.library_samples
    mapped = float(nodes) ** 2 * (draws + settings.surrogates)
    distances, lookups = per_sweep * sweeps, mapped * samples * neighbour_count(dimension)
    return CrossMapPlan(
        nodes=nodes,
        samples=samples,
        pairs=nodes * (nodes - 1),
        distances=distances,
        lookups=lookups,
        memory_bytes=_memory(nodes, samples, draws, dimension, settings),
        seconds=_ROOM * (distances / speed.distances + lookups / speed.lookups),
    )


def describe_plan(plan: CrossMapPlan) -> str:
    """Return a plan as a few lines for a reader."""
    return (
        f"{plan.nodes:,} nodes of {plan.samples:,} samples: {plan.pairs:,} ordered pairs\n"
        f"memory: {_size(plan.memory_bytes)} of {_size(machine_memory())} on this machine\n"
        f"time: about {_duration(plan.seconds)}, at most (highest dimension for all nodes)"
    )


def require_memory(nodes: int, samples: int, settings: CausalSettings) -> None:
    """Stop before the work starts if it cannot fit into this machine.

    Raises
    ------
    TectumError
        With what was asked for, what there is, and what to change.
    """
    draws = 1 + len(settings.library_fractions) * settings.library_samples
    dimension = settings.dimension or settings.max_dimension
    needed = _memory(nodes, samples, draws, dimension, settings)
    if needed > machine_memory():
        raise TectumError(
            f"Cross mapping {nodes:,} nodes of {samples:,} samples ({nodes * (nodes - 1):,} pairs) "
            f"needs {_size(needed)} of memory; this machine has {_size(machine_memory())}.",
            remedy="Use fewer nodes, a lower causal.block, fewer library_fractions or surrogates, "
            "or a larger machine. 'tectum causal plan SESSION' shows what it would take.",
        )


def machine_memory() -> int:
    """Return the bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _size(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB"


def _duration(seconds: float) -> str:
    for name, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {name}"
    return f"{seconds:,.0f} seconds"


def measure_speed(settings: CausalSettings) -> EngineSpeed:
    """Time searches and lookups on made data, after the kernels are compiled."""
    rng = np.random.default_rng(0)
    series_NT = rng.standard_normal((_TRIAL_NODES, _TRIAL_SAMPLES)).astype(np.float32)
    few = _seconds(series_NT, series_NT[:1], settings)
    many = _seconds(series_NT, np.tile(series_NT, (32, 1)), settings)
    distances = _TRIAL_NODES * _TRIAL_SAMPLES**2 * _TRIAL_DIMENSION
    lookups = 32 * _TRIAL_NODES**2 * _TRIAL_SAMPLES * neighbour_count(_TRIAL_DIMENSION)
    return EngineSpeed(distances / few, lookups / max(many - few, 0.05 * many))


def _seconds(
    libraries: NDArray[np.float32], targets: NDArray[np.float32], settings: CausalSettings
) -> float:
    problem = CrossMapProblem(
        libraries, targets, np.zeros(libraries.shape[1], np.int64),
        np.full(len(libraries), _TRIAL_DIMENSION), CrossMapRule(),
    )  # fmt: skip
    engine = open_engine(problem, "cpu", settings.threads)
    engine.skills(range(2))  # compiles
    start = time.perf_counter()
    engine.skills(range(len(libraries)))
    return time.perf_counter() - start


def _memory(nodes: int, samples: int, draws: int, dimension: int, settings: CausalSettings) -> int:
    series = 4 * nodes * samples * 3  # as given, padded, in tiles
    results = 4 * nodes**2 * (len(settings.library_fractions) + 8)
    block = 4 * settings.block * nodes * draws * 2
    tables = 8 * samples * (256 + min(draws, 64) * neighbour_count(dimension))
    threads = settings.threads or 8
    panel = 2 * 2**27 if settings.surrogates else 0
    return series + results + block + threads * tables + panel
