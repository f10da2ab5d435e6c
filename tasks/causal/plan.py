"""What a cross mapping will cost, before it is started: pairs, memory, seconds on this machine."""

import os
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.errors import TectumError
from schemas.settings.causal import CausalSettings
from tasks.causal.engine import choose_backend, open_engine
from tasks.causal.kernels.vectors import LANES
from tasks.causal.pairs import thread_count
from tasks.causal.problem import CrossMapProblem
from tasks.causal.rule import CrossMapRule, neighbour_count
from tasks.causal.survivors import RANDOM_CAUSES
from tasks.common.cluster import present_workers

_TRIAL_NODES, _TRIAL_SAMPLES, _TRIAL_DIMENSION = 64, 1000, 5
_PROGRAM = 2**29
"""Bytes of Python and its libraries."""
_COPIES = 8
"""Of the series at once: as nodes, padded, in tiles, and between those."""
_SURVIVOR = 900
"""Bytes of one survivor: its measures and names, held twice while blocks are joined (measured)."""
_ROOM = 1.5
"""Time for what the two counted steps leave out: weights, random libraries, Python."""


@dataclass(frozen=True)
class CrossMapPlan:
    """The cost of cross mapping `nodes` nodes of `samples` samples.

    pairs : ordered pairs of different nodes
    survivors : pairs that are measured in full, at most, where all are screened; else None
    distances : pairs of rows measured, times dimensions
    lookups : weighted neighbours added up
    memory_bytes : most that is held at once, results included
    seconds : estimate, from the speed a short trial reached
    """

    nodes: int
    samples: int
    pairs: int
    survivors: int | None
    distances: float
    lookups: float
    memory_bytes: int
    seconds: float


@dataclass(frozen=True)
class EngineSpeed:
    """What this machine does in a second, all threads together; layouts: samples of targets."""

    distances: float
    lookups: float
    layouts: float


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
    pairs = nodes * (nodes - 1)
    screened = nodes > settings.screening.above
    distances, lookups = (_screened_work if screened else _work)(float(nodes), samples, settings)
    return CrossMapPlan(
        nodes=nodes,
        samples=samples,
        pairs=pairs,
        survivors=min(pairs, nodes * settings.screening.causes) if screened else None,
        distances=distances,
        lookups=lookups,
        memory_bytes=memory_needed(nodes, samples, settings),
        seconds=_ROOM
        * (
            distances / speed.distances
            + lookups / speed.lookups
            + screened * _surrogate_samples(nodes, samples, settings) / speed.layouts
        ),
    )


def _work(nodes: float, samples: int, settings: CausalSettings) -> tuple[float, float]:
    """Return distances and lookups of all pairs in full."""
    sweep = nodes * samples**2 * _dimensions(settings)
    panels = max(1, nodes * settings.surrogates * samples * 4 // 2**27)
    distances = _own_work(nodes, samples, settings)
    distances += (1 + panels * bool(settings.surrogates)) * sweep
    mapped = nodes**2 * (_draws(settings) + settings.surrogates)
    return distances, mapped * samples * neighbour_count(_dimension(settings))


def _screened_work(nodes: float, samples: int, settings: CausalSettings) -> tuple[float, float]:
    """Return distances and lookups of a screening and its survivors, as many as there may be."""
    screening = settings.screening
    sweep = nodes * samples**2 * _dimensions(settings)
    distances = _own_work(nodes, samples, settings)
    distances += (1 / screening.stride + 1 + bool(settings.surrogates)) * sweep
    screened = (nodes + screening.surrogates) * (1 + screening.samples) / screening.stride
    # An effect's causes share a tile of targets, which costs the same however few they are.
    curves = LANES * -(-screening.causes // LANES) * _draws(settings)
    tested = (screening.causes + RANDOM_CAUSES) * settings.surrogates
    mapped = nodes * (screened + curves + tested)
    return distances, mapped * samples * neighbour_count(_dimension(settings))


def _surrogate_samples(nodes: float, samples: int, settings: CausalSettings) -> float:
    """Return the samples of surrogates that survivors are tested with, laid out for one effect.

    Each is looked up only once, so laying it out costs more than that.
    """
    return nodes * (settings.screening.causes + RANDOM_CAUSES) * settings.surrogates * samples


def _own_work(nodes: float, samples: int, settings: CausalSettings) -> float:
    """Return the distances that finding each node's dimension takes."""
    return nodes * samples**2 * (settings.dimension is None) * settings.max_dimension


def _dimension(settings: CausalSettings) -> int:
    return settings.dimension or settings.max_dimension


def _dimensions(settings: CausalSettings) -> int:
    """Return the dimensions that one search builds up, all searches of a library together."""
    searched = settings.max_dimension if settings.dimension_by == "target" else 1
    return _dimension(settings) * searched


def _draws(settings: CausalSettings) -> int:
    return 1 + len(settings.library_fractions) * settings.library_samples


def describe_plan(plan: CrossMapPlan) -> str:
    """Return a plan as a few lines for a reader."""
    screened = (
        ""
        if plan.survivors is None
        else f"\nscreening: at most {plan.survivors:,} pairs survive and are measured in full"
    )
    return (
        f"{plan.nodes:,} nodes of {plan.samples:,} samples: {plan.pairs:,} ordered pairs"
        f"{screened}\n"
        f"memory: {_size(plan.memory_bytes)} of {_size(machine_memory())} on this machine\n"
        f"time: about {_duration(plan.seconds)}, at most (highest dimension for all nodes)"
    )


def require_memory(nodes: int, samples: int, settings: CausalSettings) -> None:
    """Stop before the work starts if it cannot fit into this machine.

    Raises
    ------
    TectumError
        With the plan, and what to change.
    """
    found = present_workers()
    workers = found.here if found else 0
    needed = memory_needed(nodes, samples, settings, workers)
    if needed <= machine_memory():
        return
    shared = f"\nwith {workers} Dask workers on this machine: {_size(needed)}" if workers else ""
    plan = plan_cross_map(nodes, samples, settings)
    raise TectumError(
        f"Cross mapping would not fit into this machine's memory.\n{describe_plan(plan)}{shared}",
        remedy="Use fewer nodes, a coarser clock, a lower causal.block, fewer threads or Dask "
        "workers, or a larger machine; if nodes are fewer than causal.screening.above, lower that.",
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
    many_NT = np.tile(series_NT, (32, 1))
    few, _ = _seconds(series_NT, series_NT[:1], settings)
    many, laid_out = _seconds(series_NT, many_NT, settings)
    distances = _TRIAL_NODES * _TRIAL_SAMPLES**2 * _TRIAL_DIMENSION
    lookups = many_NT.size * _TRIAL_NODES * neighbour_count(_TRIAL_DIMENSION)
    return EngineSpeed(
        distances / few, lookups / max(many - few, 0.05 * many), many_NT.size / laid_out
    )


def _seconds(
    libraries: NDArray[np.float32], targets: NDArray[np.float32], settings: CausalSettings
) -> tuple[float, float]:
    """Return how long mapping takes, and laying the problem out before it."""
    problem = CrossMapProblem(
        libraries, targets, np.zeros(libraries.shape[1], np.int64),
        np.full(len(libraries), _TRIAL_DIMENSION), CrossMapRule(),
    )  # fmt: skip
    start = time.perf_counter()
    engine = open_engine(problem, choose_backend(settings.backend), settings.threads)
    laid_out = time.perf_counter() - start
    engine.skills(range(2))  # compiles
    start = time.perf_counter()
    engine.skills(range(len(libraries)))
    return time.perf_counter() - start, laid_out


def memory_needed(nodes: int, samples: int, settings: CausalSettings, workers: int = 0) -> int:
    """Return the bytes that are held at once at most, results included.

    workers : Dask's on this machine, each of which lays the problem out for one thread
    """
    held = _process(nodes, samples, settings, thread_count(settings))
    held += workers * _process(nodes, samples, settings, 1)
    if nodes <= settings.screening.above:
        return held + 4 * nodes**2 * (len(settings.library_fractions) + 8)
    return held + nodes * min(settings.screening.causes, nodes) * _SURVIVOR


def _process(nodes: int, samples: int, settings: CausalSettings, threads: int) -> int:
    """Return the bytes of one process that computes, short of the results."""
    screening, drawn, float32 = settings.screening, _draws(settings), 4
    series = float32 * nodes * samples * _COPIES
    tables = 8 * samples * (256 + min(drawn, 64) * neighbour_count(_dimension(settings)))
    if nodes <= screening.above:
        block = float32 * settings.block * nodes * drawn * 2
        panel = 2 * 2**27 if settings.surrogates else 0
        return _PROGRAM + series + block + threads * tables + panel
    panel = float32 * screening.surrogates * samples * _COPIES
    # Skills of all draws, means, scores and ranks, mostly float64.
    block = settings.block * (nodes + screening.surrogates) * (8 * (1 + screening.samples) + 80)
    tested = (screening.causes + RANDOM_CAUSES) * settings.surrogates
    surrogates = float32 * tested * samples * _COPIES
    return _PROGRAM + series + panel + block + threads * (tables + surrogates)
