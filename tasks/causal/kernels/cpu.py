"""Cross mapping on all cores: the numba kernels put to work on blocks of libraries.

Threads take whole libraries, so no thread waits for another, several engines may run in one
process (Dask workers), and the result does not depend on how many there are.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from tasks.causal.draws import AT_ONCE, NO_DRAWS, LibraryDraws
from tasks.causal.kernels.layout import PaddedProblem, list_length
from tasks.causal.kernels.lookup import observed_sums, recover, weigh
from tasks.causal.kernels.neighbours import Library, nearest_members, nearest_rows
from tasks.causal.kernels.targets import TargetSet, penalty_of, single_target
from tasks.causal.kernels.vectors import LANES
from tasks.causal.problem import CrossMapProblem
from tasks.causal.rule import neighbour_count
from tasks.common.cluster import available_threads

_TOGETHER = 8
"""Full libraries whose tables are looked up in a tile of targets while that is in the cache."""

type Tables = tuple[NDArray[np.int32], NDArray[np.float32]]
"""Neighbours of the predicted rows and their squared distances, (library, row, neighbour) both.

The last neighbour is room to work in, and a row without any begins with -1.
"""


class CpuEngine(PaddedProblem):
    """A cross-map problem laid out for the numba kernels."""

    def __init__(self, problem: CrossMapProblem, threads: int = 0) -> None:
        super().__init__(problem)
        self.threads = threads or available_threads()
        self._penalty_P = penalty_of(self._reachable_P)

    def skills(
        self, libraries: Sequence[int], draws: LibraryDraws = NO_DRAWS
    ) -> NDArray[np.float32]:
        """Return the skill (1 + draw, library, target); entry 0 is the full library.

        Skill is Pearson's correlation over all rows that have a neighbour; NaN where undefined.
        """
        shape = (1 + len(draws.sizes), len(libraries), len(self.problem.targets_MT))
        skill_DBM = np.full(shape, np.nan, np.float32)

        def map_full(places: list[int]) -> None:
            self._map_full([libraries[place] for place in places], skill_DBM[0], places)

        def map_draws(place: int) -> None:
            self._map_draws(libraries[place], draws, skill_DBM[:, place])

        if not draws.sizes and all(each.whole for each in self.sets):
            self._share(map_full, self._alike(libraries))
        else:
            self._share(map_draws, range(len(libraries)))
        return skill_DBM

    def self_skills(
        self, libraries: Sequence[int], dimensions: Sequence[int]
    ) -> NDArray[np.float32]:
        """Return how well each library predicts itself (library, dimension).

        `dimensions` ascend, and none is above the problem's highest.
        """
        skill_BS = np.empty((len(libraries), len(dimensions)), np.float32)
        counts = [neighbour_count(dimension) for dimension in dimensions]

        def map_itself(place: int) -> None:
            library = libraries[place]
            itself = single_target(self._series_NP[library], self.problem.rule.tp, self.axis)
            where = self._where(library, penalty_of(itself.seen_P))
            for s, tables in enumerate(self._nearest([where], dimensions, counts)):
                skill_BS[place, s] = self._recover(tables, itself)[0, 0]

        self._share(map_itself, range(len(libraries)))
        return skill_BS

    def predictions(self, library: int) -> NDArray[np.float32]:
        """Return what one library predicts of each target (time, target), at the vector's row.

        NaN where nothing is predicted.
        """
        predicted_TM = np.full(
            (len(self.axis.row_T), len(self.problem.targets_MT)), np.nan, np.float32
        )
        for each in self.sets:
            dimension = self._dimension(library, each)
            where = self._where(library, penalty_of(each.seen_P))
            ((row_1RK, near_1RK),) = self._nearest(
                [where], [dimension], [neighbour_count(dimension)]
            )
            weigh(row_1RK[0], near_1RK[0])
            found_R = row_1RK[0, :, 0] >= 0
            row_FK, weight_FK = row_1RK[0, found_R, :-1], near_1RK[0, found_R, :-1]
            at_F = np.arange(0, len(predicted_TM), self.problem.stride)[found_R]
            for m, target in enumerate(each.targets_M):
                values_P = each.tiles_IPJ[m // LANES, :, m % LANES]
                predicted_TM[at_F, target] = (values_P[row_FK] * weight_FK).sum(1)
        return predicted_TM

    def _share[T](self, work: Callable[[T], None], pieces: Sequence[T]) -> None:
        """Do pieces of work on all threads."""
        with ThreadPoolExecutor(self.threads) as pool:
            for _ in pool.map(work, pieces):
                pass

    def _alike(self, libraries: Sequence[int]) -> list[list[int]]:
        """Return the places of up to eight libraries at a time that are of one dimension."""
        dimension_B = self.problem.dimension_N[np.asarray(libraries, np.int64)]
        if self.problem.dimension_M is not None:
            dimension_B = np.zeros_like(dimension_B)
        order_B = np.argsort(dimension_B, kind="stable")
        borders = np.flatnonzero(np.diff(dimension_B[order_B])) + 1
        return [
            places[start : start + _TOGETHER].tolist()
            for places in np.split(order_B, borders)
            for start in range(0, len(places), _TOGETHER)
        ]

    def _map_full(
        self, libraries: list[int], skill_BM: NDArray[np.float32], places: list[int]
    ) -> None:
        """Write the skills of full libraries, whose neighbours serve all targets."""
        dimensions = self._dimensions(libraries[0])
        where = [self._where(library, self._penalty_P) for library in libraries]
        counts = [neighbour_count(dimension) for dimension in dimensions]
        found = self._nearest(where, dimensions, counts)
        for dimension, tables in zip(dimensions, found, strict=True):
            for each in self.sets:
                if self._dimension(libraries[0], each) == dimension:
                    skill_BM[np.ix_(places, each.targets_M)] = self._recover(tables, each)

    def _map_draws(self, library: int, draws: LibraryDraws, skill_DM: NDArray[np.float32]) -> None:
        """Write the skills of one library: the full one, then each draw."""
        smallest = min(draws.sizes, default=len(self.axis.row_T))
        for dimension in self._dimensions(library):
            kept = list_length(neighbour_count(dimension), smallest / len(self.axis.row_T))
            where = self._where(library, self._penalty_P)
            ((row_1RK, near_1RK),) = self._nearest([where], [dimension], [kept])
            for each in self.sets:
                if self._dimension(library, each) == dimension:
                    self._walk(library, each, draws, row_1RK[0], near_1RK[0], skill_DM)

    def _walk(
        self,
        library: int,
        each: TargetSet,
        draws: LibraryDraws,
        rows_RM: NDArray[np.int32],
        distances_RM: NDArray[np.float32],
        skill_DM: NDArray[np.float32],
    ) -> None:
        """Write the skills of one set of targets, from lists of all rows' nearest."""
        dimension = self._dimension(library, each)
        word_WP = draws.words(
            library, np.flatnonzero(self._exists(library, each)), self.axis.length
        )
        total = 1 + len(draws.sizes)
        for start, bits_P in zip(range(0, total, AT_ONCE), word_WP, strict=True):
            batch = range(start, min(start + AT_ONCE, total))
            shape = (len(batch), len(rows_RM), neighbour_count(dimension) + 1)
            row_DRK, near_DRK = np.empty(shape, np.int32), np.empty(shape, np.float32)
            nearest_members(
                self._where(library, self._penalty_P), dimension, rows_RM, distances_RM, bits_P,
                each.seen_P, self._row_R, row_DRK, near_DRK,
            )  # fmt: skip
            skill_DM[np.ix_(batch, each.targets_M)] = self._recover((row_DRK, near_DRK), each)

    def _dimensions(self, library: int) -> list[int]:
        return sorted({self._dimension(library, each) for each in self.sets})

    def _where(self, library: int, penalty_P: NDArray[np.float32]) -> Library:
        axis = self.axis
        return Library(
            self._series_NP[library], penalty_P, axis.left_P, axis.right_P, axis.position_P,
            axis.row_T, self.problem.rule.tau,
        )  # fmt: skip

    def _nearest(
        self, libraries: Sequence[Library], dimensions: Sequence[int], counts: Sequence[int]
    ) -> Iterator[Tables]:
        """Yield the tables of each dimension, all found in one search of each library."""
        shapes = [(len(libraries), len(self._row_R), count + 1) for count in counts]
        start_S = np.cumsum([0, *map(np.prod, shapes)])
        row_F, near_F = np.empty(start_S[-1], np.int32), np.empty(start_S[-1], np.float32)
        table_S = np.array([rows * columns for _, rows, columns in shapes])
        for b, library in enumerate(libraries):
            nearest_rows(
                library, np.array(dimensions), np.array(counts), self._row_R,
                start_S[:-1] + b * table_S, row_F, near_F,
            )  # fmt: skip
        for start, end, shape in zip(start_S, start_S[1:], shapes, strict=False):
            yield row_F[start:end].reshape(shape), near_F[start:end].reshape(shape)

    def _recover(self, tables: Tables, each: TargetSet) -> NDArray[np.float64]:
        """Return the skill (library, target) that the tables have; they can be used once."""
        tiles = len(each.tiles_IPJ)
        observed_ISJ = np.empty((tiles, 2, LANES))
        observed_sums(self._row_R, each.tiles_IPJ, observed_ISJ)
        skill_DIJ = np.empty((len(tables[0]), tiles, LANES))
        recover(*tables, self._row_R, each.tiles_IPJ, observed_ISJ, skill_DIJ)
        return skill_DIJ.reshape(len(skill_DIJ), -1)[:, : len(each.targets_M)]
