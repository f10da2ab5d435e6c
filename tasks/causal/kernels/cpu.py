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

from tasks.causal.kernels.layout import PaddedProblem, list_length
from tasks.causal.kernels.lookup import SUMS, add_sums, weigh
from tasks.causal.kernels.neighbours import Library, nearest_members, nearest_rows
from tasks.causal.kernels.reference import FLAT
from tasks.causal.kernels.targets import TargetSet, penalty_of, single_target
from tasks.causal.kernels.vectors import LANES
from tasks.causal.problem import AT_ONCE, NO_DRAWS, CrossMapProblem, LibraryDraws
from tasks.causal.rule import neighbour_count


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


class CpuEngine(PaddedProblem):
    """A cross-map problem laid out for the numba kernels."""

    def __init__(self, problem: CrossMapProblem, threads: int = 0) -> None:
        super().__init__(problem)
        self.threads = threads or len(os.sched_getaffinity(0))

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

    def predictions(self, library: int) -> NDArray[np.float32]:
        """Return what one library predicts of each target (time, target), at the vector's row.

        NaN where nothing is predicted.
        """
        predicted_TM = np.full(
            (len(self.axis.row_T), len(self.problem.targets_MT)), np.nan, np.float32
        )
        for each in self.sets:
            dimension = self._dimension(library, each)
            counts = [neighbour_count(dimension)]
            table = self._weighed(*self._nearest(library, each.seen_P, [dimension], counts)[0])
            found_R = table.row_RK[:, 0] >= 0
            row_FK, weight_FK = table.row_RK[found_R], table.weight_RK[found_R]
            at_F = np.arange(0, len(predicted_TM), self.problem.stride)[found_R]
            for m, target in enumerate(each.targets_M):
                values_P = each.tiles_IPJ[m // LANES, :, m % LANES]
                predicted_TM[at_F, target] = (values_P[row_FK] * weight_FK).sum(1)
        return predicted_TM

    def _skill(self, library: int, draws: LibraryDraws) -> NDArray[np.float32]:
        """Return the skill (1 + draw, target) of one library."""
        shape = (1 + len(draws.sizes), len(self.problem.targets_MT))
        skill_DM = np.full(shape, np.nan, np.float32)
        simple = not draws.sizes and all(each.whole for each in self.sets)
        smallest = 0 if simple else min(draws.sizes, default=len(self.axis.row_T))
        for dimension, rows_RM, distances_RM in self._lists(library, smallest):
            for each in self.sets:
                if self._dimension(library, each) != dimension:
                    continue
                if simple:
                    tables = iter([self._weighed(rows_RM, distances_RM)])
                else:
                    tables = self._walk(library, each, draws, rows_RM, distances_RM)
                for draw, table in enumerate(tables):
                    skill_M = correlate(table, each.tiles_IPJ)
                    skill_DM[draw, each.targets_M] = skill_M[: len(each.targets_M)]
        return skill_DM

    def _self_skill(self, library: int, dimensions: Sequence[int]) -> NDArray[np.float32]:
        itself = single_target(self._series_NP[library], self.problem.rule.tp, self.axis)
        counts = [neighbour_count(dimension) for dimension in dimensions]
        found = self._nearest(library, itself.seen_P, dimensions, counts)
        tables = (self._weighed(*lists) for lists in found)
        return np.array([correlate(table, itself.tiles_IPJ)[0] for table in tables], np.float32)

    def _lists(
        self, library: int, smallest: int
    ) -> Iterator[tuple[int, NDArray[np.int32], NDArray[np.float32]]]:
        """Yield each dimension needed with the sorted neighbours of all rows.

        smallest : members of the smallest library that will walk the lists; 0 if the lists are
            the result: as short as can be, all dimensions in one search
        """
        dimensions = sorted({self._dimension(library, each) for each in self.sets})
        counts = [neighbour_count(dimension) for dimension in dimensions]
        if not smallest:
            found = self._nearest(library, self._reachable_P, dimensions, counts)
            for dimension, lists in zip(dimensions, found, strict=True):
                yield dimension, *lists
            return
        for dimension, count in zip(dimensions, counts, strict=True):
            kept = list_length(count, smallest / len(self.axis.row_T))
            yield dimension, *self._nearest(library, self._reachable_P, [dimension], [kept])[0]

    def _walk(
        self,
        library: int,
        each: TargetSet,
        draws: LibraryDraws,
        rows_RM: NDArray[np.int32],
        distances_RM: NDArray[np.float32],
    ) -> Iterator[Neighbours]:
        """Yield the neighbours in the full library, then in each draw."""
        dimension = self._dimension(library, each)
        candidates_L = np.flatnonzero(self._exists(library, each)).astype(np.int32)
        total = 1 + len(draws.sizes)
        for start in range(0, total, AT_ONCE):
            batch = range(start, min(start + AT_ONCE, total))
            bits_P = draws.bits(library, batch, candidates_L, self.axis.length)
            shape = (len(batch), len(rows_RM), neighbour_count(dimension))
            row_DRK, distance_DRK = np.empty(shape, np.int32), np.empty(shape, np.float32)
            nearest_members(
                self._where(library, self._reachable_P), dimension, rows_RM, distances_RM, bits_P,
                each.seen_P, self._row_R, row_DRK, distance_DRK,
            )  # fmt: skip
            yield from map(self._weighed, row_DRK, distance_DRK)

    def _where(self, library: int, seen_P: NDArray[np.bool_]) -> Library:
        axis = self.axis
        return Library(
            self._series_NP[library], penalty_of(seen_P), axis.left_P, axis.right_P,
            axis.position_P, axis.row_T, self.problem.rule.tau,
        )  # fmt: skip

    def _nearest(
        self,
        library: int,
        seen_P: NDArray[np.bool_],
        dimensions: Sequence[int],
        counts: Sequence[int],
    ) -> list[tuple[NDArray[np.int32], NDArray[np.float32]]]:
        """Return for each dimension the sorted rows and squared distances, both (row, k)."""
        shape = (len(dimensions), len(self._row_R), max(counts) + 1)
        row_SRK, distance_SRK = np.empty(shape, np.int32), np.empty(shape, np.float32)
        nearest_rows(
            self._where(library, seen_P), np.array(dimensions), np.array(counts), self._row_R,
            row_SRK, distance_SRK,
        )  # fmt: skip
        return [
            (np.ascontiguousarray(rows[:, :count]), np.ascontiguousarray(distances[:, :count]))
            for rows, distances, count in zip(row_SRK, distance_SRK, counts, strict=True)
        ]

    def _weighed(self, row_RK: NDArray[np.int32], distance_RK: NDArray[np.float32]) -> Neighbours:
        weight_RK = np.empty(row_RK.shape, np.float32)
        weigh(distance_RK, row_RK, weight_RK)
        return Neighbours(row_RK, weight_RK, self._row_R)


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
