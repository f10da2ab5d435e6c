"""Cross mapping on all cores: the numba kernels put to work on blocks of libraries.

Threads take whole libraries, so no thread waits for another, several engines may run in one
process (Dask workers), and the result does not depend on how many there are.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.causal.kernels.lookup import SUMS, add_sums, weigh
from tasks.causal.kernels.neighbours import Library, nearest_members, nearest_rows
from tasks.causal.kernels.reference import FLAT
from tasks.causal.kernels.targets import TargetSet, divide_targets, single_target
from tasks.causal.kernels.vectors import LANES
from tasks.causal.padding import pad_axis
from tasks.causal.problem import NO_DRAWS, CrossMapProblem, LibraryDraws
from tasks.causal.rule import neighbour_count

_LONG_LIST = 128
"""Neighbours kept sorted where random libraries walk them: enough for a tenth of the rows."""


@dataclass(frozen=True)
class Neighbours:
    """A table of weighted neighbours (row, k) of the rows `row_R`."""

    row_RK: NDArray[np.int32]
    weight_RK: NDArray[np.float32]
    row_R: NDArray[np.int64]

    @property
    def predicted(self) -> int:
        """Number of rows that have a neighbour."""
        return int((self.row_RK[:, 0] >= 0).sum())


class CpuEngine:
    """A cross-map problem laid out for the numba kernels.

    Attributes
    ----------
    problem : what is mapped
    axis : the padded time axis
    sets : targets by shared neighbours
    """

    def __init__(self, problem: CrossMapProblem, threads: int = 0) -> None:
        self.problem = problem
        self.threads = threads or len(os.sched_getaffinity(0))
        self.axis = pad_axis(problem.segment_T, problem.rule, problem.longest, LANES)
        self._series_NP = self.axis.spread(problem.without_gaps(problem.libraries_NT))
        self.sets = divide_targets(problem, self.axis)

    def skills(
        self, libraries: Sequence[int], draws: LibraryDraws = NO_DRAWS
    ) -> NDArray[np.float32]:
        """Return the skill (1 + draw, library, target); entry 0 is the full library.

        Skill is Pearson's correlation over all rows that have a neighbour; NaN where undefined.
        """
        with ThreadPoolExecutor(self.threads) as pool:
            blocks = pool.map(lambda library: self._skill(library, draws), libraries)
            return np.stack(list(blocks), axis=1)

    def self_skills(
        self, libraries: Sequence[int], dimensions: Sequence[int]
    ) -> NDArray[np.float32]:
        """Return how well each library predicts itself (library, dimension).

        `dimensions` ascend, and none is above the problem's highest.
        """
        with ThreadPoolExecutor(self.threads) as pool:
            rows = pool.map(lambda library: self._self_skill(library, dimensions), libraries)
            return np.stack(list(rows))

    def vectors(self, library: int) -> int:
        """Return how many rows the smallest full library of this series has."""
        return min(int(self._exists(library, each).sum()) for each in self.sets)

    def _skill(self, library: int, draws: LibraryDraws) -> NDArray[np.float32]:
        """Return the skill (1 + draw, target) of one library."""
        shape = (1 + len(draws.sizes), len(self.problem.targets_MT))
        skill_DM = np.full(shape, np.nan, np.float32)
        for each in self.sets:
            for draw, table in enumerate(self._tables(library, each, draws)):
                skill_M = correlate(table, each.tiles_IPJ)
                skill_DM[draw, each.targets_M] = skill_M[: len(each.targets_M)]
        return skill_DM

    def _self_skill(self, library: int, dimensions: Sequence[int]) -> NDArray[np.float32]:
        itself = single_target(self._series_NP[library], self.problem.rule.tp, self.axis)
        counts = [neighbour_count(dimension) for dimension in dimensions]
        row_SRK, distance_SRK = self._nearest(library, itself.penalty_P, dimensions, counts)
        tables = (
            self._weighed(row_RK[:, :count], distance_RK[:, :count])
            for row_RK, distance_RK, count in zip(row_SRK, distance_SRK, counts, strict=True)
        )
        skills = [correlate(table, itself.tiles_IPJ)[0] for table in tables]
        return np.array(skills, np.float32)

    def _tables(self, library: int, each: TargetSet, draws: LibraryDraws) -> Iterator[Neighbours]:
        """Yield the neighbours in the full library, then in each draw."""
        dimension = self._dimension(library, each)
        count = neighbour_count(dimension)
        kept = max(count, _LONG_LIST) if draws.sizes else count
        long_SRM = self._nearest(library, each.penalty_P, [dimension], [kept])
        row_RM, distance_RM = long_SRM[0][0], long_SRM[1][0]
        yield self._weighed(row_RM[:, :count], distance_RM[:, :count])
        if not draws.sizes:
            return
        candidates_L = np.flatnonzero(self._exists(library, each)).astype(np.int32)
        for draw in range(len(draws.sizes)):
            members_L = draws.members(library, draw, candidates_L)
            member_P = np.zeros(self.axis.length, np.bool_)
            member_P[members_L] = True
            row_RK = np.empty((len(row_RM), count), np.int32)
            distance_RK = np.empty((len(row_RM), count), np.float32)
            nearest_members(
                self._where(library, each.penalty_P), dimension, row_RM, distance_RM,
                member_P, members_L, self.axis.row_T, row_RK, distance_RK,
            )  # fmt: skip
            yield self._weighed(row_RK, distance_RK)

    def _dimension(self, library: int, each: TargetSet) -> int:
        return each.dimension or int(self.problem.dimension_N[library])

    def _where(self, library: int, penalty_P: NDArray[np.float32]) -> Library:
        axis = self.axis
        return Library(
            self._series_NP[library], penalty_P, axis.left_P, axis.right_P, axis.position_P,
            axis.row_T, self.problem.rule.tau,
        )  # fmt: skip

    def _nearest(
        self,
        library: int,
        penalty_P: NDArray[np.float32],
        dimensions: Sequence[int],
        counts: Sequence[int],
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        shape = (len(dimensions), len(self.axis.row_T), max(counts))
        row_SRK, distance_SRK = np.empty(shape, np.int32), np.empty(shape, np.float32)
        nearest_rows(
            self._where(library, penalty_P), np.array(dimensions), np.array(counts),
            self.axis.row_T, row_SRK, distance_SRK,
        )  # fmt: skip
        return row_SRK, distance_SRK

    def _weighed(self, row_RK: NDArray[np.int32], distance_RK: NDArray[np.float32]) -> Neighbours:
        row_RK = np.ascontiguousarray(row_RK)
        weight_RK = np.empty(row_RK.shape, np.float32)
        weigh(np.ascontiguousarray(distance_RK), row_RK, weight_RK)
        return Neighbours(row_RK, weight_RK, self.axis.row_T)

    def _exists(self, library: int, each: TargetSet) -> NDArray[np.bool_]:
        """Return which padded rows hold a vector and an observed target."""
        exists_P = np.isfinite(each.penalty_P)
        finite_P = np.isfinite(self._series_NP[library])
        for e in range(self._dimension(library, each)):
            exists_P &= np.roll(finite_P, e * self.problem.rule.tau)
        return exists_P


def correlate(table: Neighbours, tiles_IPJ: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return Pearson's correlation of prediction and observation, for every column of the tiles."""
    sums_ISJ = np.zeros((len(tiles_IPJ), SUMS, LANES))
    for tile_PJ, sums_SJ in zip(tiles_IPJ, sums_ISJ, strict=True):
        add_sums(table.row_RK, table.weight_RK, table.row_R, tile_PJ, sums_SJ)
    return pearson_of_sums(np.moveaxis(sums_ISJ, 1, 0).reshape(SUMS, -1), table.predicted)


def pearson_of_sums(sums_SM: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return Pearson's correlation (target,) from the sums over n rows of p, p², py, y, y²."""
    if n < 2:
        return np.full(sums_SM.shape[1], np.nan)
    p, pp, py, y, yy = sums_SM / n
    variance_p, variance_y = pp - p * p, yy - y * y
    flat = FLAT * (pp + yy)
    defined = (variance_p > flat) & (variance_y > flat)
    scale = np.sqrt(np.where(defined, variance_p * variance_y, 1.0))
    return np.where(defined, (py - p * y) / scale, np.nan)
