"""All-pairs cross mapping against kEDM, fastccm and pyEDM: same data, two threads, one run.

Ours and a peer run in turn, after a warm-up of both, so that other load on the machine hits both
alike; the ratio is the median over the rounds. Answers may differ by 1e-2 in a pair: kEDM drops
neighbours at distance zero, which noisy maps hold at E = 1, and fastccm's distances cancel in
float32. pyEDM keeps means over random libraries in float16, and draws others than we do.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from tasks.causal.draws import LibraryDraws
from tasks.causal.kernels.cpu import CpuEngine
from tasks.causal.nodes import standardise
from tasks.causal.problem import CrossMapProblem
from tasks.causal.rule import CrossMapRule

THREADS = 2
os.environ["OMP_NUM_THREADS"] = str(THREADS)

type Skill = NDArray[np.floating]


@dataclass(frozen=True)
class Case:
    """A problem, a peer that solves it too, and the ratio it is to be beaten by."""

    peer: str
    nodes: int
    length: int
    dimensions: tuple[int, ...]
    bar: float
    rounds: int = 3


CASES = (
    Case("kedm", 1000, 1000, (5,), 15),
    Case("fastccm", 1000, 1000, (5,), 15),
    Case("kedm", 1000, 1000, tuple(range(1, 21)), 20, 1),
    Case("kedm", 200, 8528, (5,), 8, 1),
)


def noisy_maps(nodes: int, length: int) -> NDArray[np.float32]:
    """Return logistic maps with a little noise (time, node), standardised."""
    rng = np.random.default_rng(0)
    growth, state = rng.uniform(3.6, 3.9, nodes), rng.random(nodes)
    series_TN = np.empty((length, nodes))
    for t in range(length):
        state = growth * state * (1 - state)
        series_TN[t] = state
    return standardise(series_TN + 0.02 * rng.standard_normal(series_TN.shape))


def problem_of(series_TN: NDArray[np.float32], dimensions: tuple[int, ...]) -> CrossMapProblem:
    """Return the problem of mapping all with all, each target in its own dimension."""
    series_NT = np.ascontiguousarray(series_TN.T)
    dimension_N = np.resize(dimensions, len(series_NT))
    return CrossMapProblem(
        series_NT, series_NT, np.zeros(len(series_TN), int), dimension_N, CrossMapRule(),
        dimension_N,
    )  # fmt: skip


def ours(problem: CrossMapProblem, draws: LibraryDraws | None = None) -> Skill:
    """Return our skills (1 + draw, library, target), everything laid out anew."""
    libraries = range(len(problem.libraries_NT))
    engine = CpuEngine(problem, THREADS)
    return engine.skills(libraries) if draws is None else engine.skills(libraries, draws)


def by_kedm(problem: CrossMapProblem) -> Skill:
    """Return kEDM's skills (library, target)."""
    kedm = pytest.importorskip("kedm")
    series_TN = np.ascontiguousarray(problem.libraries_NT.T)
    return np.asarray(kedm.xmap(series_TN, problem.dimension_N.tolist(), 1, 0))


def by_fastccm(problem: CrossMapProblem) -> Skill:
    """Return fastccm's skills (library, target), all of one dimension."""
    fastccm, torch = pytest.importorskip("fastccm"), pytest.importorskip("torch")
    torch.set_num_threads(THREADS)
    span = int(problem.dimension_N[0]) - 1
    vectors = [
        np.stack([series_T[span - e : len(series_T) - e] for e in range(span + 1)], 1)
        for series_T in problem.libraries_NT
    ]
    targets = [np.ascontiguousarray(series_T[span:, None]) for series_T in problem.targets_MT]
    return np.asarray(fastccm.PairwiseCCM().score_matrix(vectors, targets))[0].T


PEERS = {"kedm": by_kedm, "fastccm": by_fastccm}


def timed(work: Callable[[], Skill]) -> tuple[Skill, float]:
    """Return what the work returns, and its seconds."""
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def compare(  # type: ignore[no-untyped-def]
    benchmark, work: Callable[[], Skill], peer: Callable[[], Skill], rounds: int
) -> tuple[Skill, Skill, float]:
    """Time both in turn; return what both found, and the median ratio."""
    mine_s, theirs_s = [], []
    for _ in range(rounds):
        mine, spent = timed(work)
        mine_s.append(round(spent, 3))
        theirs, spent = timed(peer)
        theirs_s.append(round(spent, 3))
    ratio = float(np.median(np.divide(theirs_s, mine_s)))
    benchmark.pedantic(lambda: None, rounds=1)
    benchmark.extra_info |= {"ratio": round(ratio, 1), "ours_s": mine_s, "theirs_s": theirs_s}
    return mine, theirs, ratio


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", CASES, ids=lambda c: f"{c.peer}-{c.nodes}x{c.length}-{len(c.dimensions)}"
)
def test_cross_mapping_against_peers(benchmark, case):
    problem = problem_of(noisy_maps(case.nodes, case.length), case.dimensions)
    few = problem_of(noisy_maps(40, 200), case.dimensions)
    peer = PEERS[case.peer]
    ours(few)  # compiles
    peer(few)
    mine, theirs, ratio = compare(
        benchmark, lambda: ours(problem)[0], lambda: peer(problem), case.rounds
    )
    difference = np.abs(mine - theirs)[~np.eye(case.nodes, dtype=bool)]
    assert np.quantile(difference, 0.99) < (1e-4 if case.peer == "kedm" else 2e-3)
    benchmark.extra_info |= {"bar": case.bar, "differ": float(difference.max())}
    print(f"\n{case.peer}: {benchmark.extra_info}")  # noqa: T201
    assert ratio > case.bar


@pytest.mark.slow
def test_convergence_against_pyedm(benchmark):
    apps = pytest.importorskip("pyEDM.apps.CCM_Matrix")
    series_TN = noisy_maps(100, 400)
    sizes = np.linspace(38, 380, 10).astype(int).tolist()
    draws = LibraryDraws([size for size in sizes for _ in range(20)], seed=1)
    problem = problem_of(series_TN, (5,))
    table = pd.DataFrame(series_TN, columns=[f"c{n}" for n in range(100)])

    def by_pyedm() -> Skill:
        found = apps.CCM_Matrix(
            table, 5, libSizes=sizes, sample=20, seed=1, noTime=True, parallel=THREADS
        ).Run()
        return np.asarray(found["tensor"], np.float64)

    ours(problem_of(series_TN[:, :2], (5,)), draws)  # compiles
    mine, theirs, ratio = compare(benchmark, lambda: ours(problem, draws)[1:], by_pyedm, 1)
    mine_NML = np.moveaxis(mine.reshape(10, 20, 100, 100).mean(1), 0, 2)
    # Means of 20 random libraries, other ones.
    assert np.abs(mine_NML - theirs)[~np.eye(100, dtype=bool)].mean() < 0.02
    print(f"\npyEDM: {benchmark.extra_info}")  # noqa: T201
    assert ratio > 20


@pytest.mark.slow
def test_cost_grows_no_faster_than_the_arithmetic(benchmark):
    # With many targets lookups N^2 T count, with few searches N T^2.
    many = {n: problem_of(noisy_maps(n, 500), (5,)) for n in (512, 1024, 2048)}
    long = {t: problem_of(noisy_maps(16, t), (5,)) for t in (1500, 3000, 6000)}
    ours(many[512])
    exponent = {}
    for name, problems in (("N", many), ("T", long)):
        spent = {
            size: min(timed(lambda p=p: ours(p))[1] for _ in range(3))  # type: ignore[misc]
            for size, p in problems.items()
        }
        log = np.log([list(spent), list(spent.values())])
        exponent[name] = round(float(np.polyfit(log[0], log[1], 1)[0]), 2)
    benchmark.pedantic(lambda: None, rounds=1)
    benchmark.extra_info |= exponent
    print(f"\nexponents: {exponent}")  # noqa: T201
    assert max(exponent.values()) < 2.1
