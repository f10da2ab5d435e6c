"""Engines that cross map a problem: interchangeable, because they agree."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from threading import Lock
from typing import Literal, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from schemas.errors import TectumError
from tasks.causal.draws import NO_DRAWS, LibraryDraws
from tasks.causal.kernels.cpu import CpuEngine
from tasks.causal.kernels.reference import cross_map, embed, predict, shift
from tasks.causal.problem import CrossMapProblem

Backend = Literal["cpu", "gpu", "auto", "reference"]


class Engine(Protocol):
    """Cross maps blocks of a problem's libraries."""

    def skills(
        self, libraries: Sequence[int], draws: LibraryDraws = NO_DRAWS
    ) -> NDArray[np.floating]:
        """Return the skill (1 + draw, library, target); entry 0 is the full library."""

    def self_skills(
        self, libraries: Sequence[int], dimensions: Sequence[int]
    ) -> NDArray[np.floating]:
        """Return how well each library predicts itself (library, dimension)."""

    def predictions(self, library: int) -> NDArray[np.floating]:
        """Return what one library predicts of each target (time, target); NaN where nothing."""

    def vectors(self, library: int) -> int:
        """Return how many rows the smallest full library of this series has."""


class ReferenceEngine:
    """The definition, as an engine: slow, for tests and doubts. `dtype` is that of distances."""

    def __init__(self, problem: CrossMapProblem, dtype: DTypeLike = np.float64) -> None:
        self.problem = replace(
            problem,
            libraries_NT=problem.rounded(problem.libraries_NT),
            targets_MT=problem.rounded(problem.targets_MT),
        )
        self.dtype = dtype

    def skills(
        self, libraries: Sequence[int], draws: LibraryDraws = NO_DRAWS
    ) -> NDArray[np.float64]:
        """Return the skill (1 + draw, library, target); entry 0 is the full library."""
        shape = (1 + len(draws.sizes), len(libraries), len(self.problem.targets_MT))
        skill_DBM = np.empty(shape)
        for b, library in enumerate(libraries):
            for target in range(shape[2]):
                skill_DBM[0, b, target] = self._skill(library, target, None)
                for draw in range(len(draws.sizes)):
                    rows_L = np.flatnonzero(self._exists(library, target))
                    members_T = np.zeros(len(self.problem.segment_T), np.bool_)
                    members_T[draws.members(library, draw, rows_L)] = True
                    skill_DBM[1 + draw, b, target] = self._skill(library, target, members_T)
        return skill_DBM

    def self_skills(
        self, libraries: Sequence[int], dimensions: Sequence[int]
    ) -> NDArray[np.float64]:
        """Return how well each library predicts itself (library, dimension)."""
        series = self.problem.libraries_NT
        segment_T, rule = self.problem.segment_T, self.problem.rule
        return np.array(
            [
                [
                    cross_map(
                        series[i], series[i], segment_T, e, rule,
                        stride=self.problem.stride, dtype=self.dtype,
                    )
                    for e in dimensions
                ]
                for i in libraries
            ]
        )  # fmt: skip

    def predictions(self, library: int) -> NDArray[np.float64]:
        """Return what one library predicts of each target (time, target); NaN where nothing."""
        problem = self.problem
        columns = [
            predict(
                problem.libraries_NT[library], target_T, problem.segment_T,
                problem.dimension(library, target), problem.rule,
                stride=problem.stride, dtype=self.dtype,
            )[0]
            for target, target_T in enumerate(problem.targets_MT)
        ]  # fmt: skip
        return np.stack(columns, axis=1).astype(np.float64)

    def vectors(self, library: int) -> int:
        """Return how many rows the smallest full library of this series has."""
        targets = range(len(self.problem.targets_MT))
        return min(int(self._exists(library, target).sum()) for target in targets)

    def _skill(self, library: int, target: int, members_T: NDArray[np.bool_] | None) -> float:
        return cross_map(
            self.problem.libraries_NT[library],
            self.problem.targets_MT[target],
            self.problem.segment_T,
            self.problem.dimension(library, target),
            self.problem.rule,
            members_T=members_T,
            stride=self.problem.stride,
            dtype=self.dtype,
        )

    def _exists(self, library: int, target: int) -> NDArray[np.bool_]:
        dimension = self.problem.dimension(library, target)
        segment_T, rule = self.problem.segment_T, self.problem.rule
        vectors_TE = embed(self.problem.libraries_NT[library], segment_T, dimension, rule.tau)
        observed_T = shift(self.problem.targets_MT[target], segment_T, rule.tp)
        return np.isfinite(vectors_TE[:, 0]) & np.isfinite(observed_T)


class PortableEngine:
    """An engine that travels as its problem: laid out where, and when, it is first used."""

    def __init__(self, problem: CrossMapProblem, backend: Backend, threads: int = 0) -> None:
        self.problem, self.backend, self.threads = problem, backend, threads
        self._engine: Engine | None = None
        self._opening = Lock()

    def __reduce__(self) -> tuple[object, ...]:
        """Leave out what was laid out here."""
        return PortableEngine, (self.problem, self.backend, self.threads)

    def skills(
        self, libraries: Sequence[int], draws: LibraryDraws = NO_DRAWS
    ) -> NDArray[np.floating]:
        """Return the skill (1 + draw, library, target); entry 0 is the full library."""
        return self._open().skills(libraries, draws)

    def self_skills(
        self, libraries: Sequence[int], dimensions: Sequence[int]
    ) -> NDArray[np.floating]:
        """Return how well each library predicts itself (library, dimension)."""
        return self._open().self_skills(libraries, dimensions)

    def predictions(self, library: int) -> NDArray[np.floating]:
        """Return what one library predicts of each target (time, target); NaN where nothing."""
        return self._open().predictions(library)

    def vectors(self, library: int) -> int:
        """Return how many rows the smallest full library of this series has."""
        return self._open().vectors(library)

    def _open(self) -> Engine:
        with self._opening:
            if self._engine is None:
                self._engine = open_engine(self.problem, self.backend, self.threads)
            return self._engine


def open_engine(problem: CrossMapProblem, backend: Backend = "cpu", threads: int = 0) -> Engine:
    """Return the engine of that name, ready to map `problem`; 0 threads means all cores.

    Raises
    ------
    TectumError
        The GPU is asked for, and there is none.
    """
    if backend == "reference":
        return ReferenceEngine(problem)
    if choose_backend(backend) == "gpu":
        if find_spec("triton") is None:
            raise TectumError(
                "causal.backend is 'gpu', but Triton is not installed: PyTorch brings it on Linux.",
                remedy="Use causal.backend 'cpu'.",
            )
        # Imported where it is needed: torch and Triton take seconds.
        from tasks.causal.kernels.gpu import GpuEngine

        return GpuEngine(problem)
    return CpuEngine(problem, threads)


def choose_backend(backend: Backend) -> Backend:
    """Return the backend that 'auto' means on this machine: the GPU where PyTorch finds one."""
    if backend != "auto":
        return backend
    import torch

    return "gpu" if torch.cuda.is_available() else "cpu"
