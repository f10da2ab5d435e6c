"""Cross mapping on a GPU: blocks of libraries against tiles of targets, within its memory.

Same rules, ties and random libraries as cpu.py, from which skills differ by less than 1e-4.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.causal.draws import AT_ONCE, NO_DRAWS, LibraryDraws
from tasks.causal.kernels.gpu_arrays import (
    DeviceAxis,
    Neighbours,
    Queries,
    correlate,
    correlate_own,
    open_device,
    search_neighbours,
    to_device,
    walk_lists,
    weigh,
)
from tasks.causal.kernels.gpu_memory import DeviceShape, plan_device
from tasks.causal.kernels.layout import PaddedProblem, list_length
from tasks.causal.kernels.targets import TargetSet, moved, penalty_of
from tasks.causal.kernels.vectors import LANES
from tasks.causal.problem import CrossMapProblem
from tasks.causal.rule import neighbour_count

INTERPRETER_BYTES = 2**28
"""What is taken for free where the interpreter stands in for a device."""


class GpuEngine(PaddedProblem):
    """A cross-map problem laid out for one GPU.

    Targets are kept in the problem's precision: float16 halves the traffic of the lookup.

    free_bytes : memory that may be used; by default what the device has free
    """

    def __init__(self, problem: CrossMapProblem, free_bytes: int | None = None) -> None:
        super().__init__(problem)
        self.device = open_device()
        self._stored = getattr(torch, problem.precision)
        self._axis = DeviceAxis(self.axis, self.device)
        self._row_on_device_R = to_device(self._row_R.astype(np.int32), self.device)
        self._free_bytes = free_bytes or _free_on(self.device)
        self._all_tiles = sum(len(each.tiles_IPJ) for each in self.sets)
        self._resident: dict[int, torch.Tensor] = {}

    def skills(
        self, libraries: Sequence[int], draws: LibraryDraws = NO_DRAWS
    ) -> NDArray[np.float32]:
        """Return the skill (1 + draw, library, target); entry 0 is the full library."""
        shape = (1 + len(draws.sizes), len(libraries), len(self.problem.targets_MT))
        skill_DBM = np.full(shape, np.nan, np.float32)
        blocks = plan_device(self._shape(draws), self._free_bytes)
        for places in self._alike(libraries):
            for start in range(0, len(places), blocks.libraries):
                at = places[start : start + blocks.libraries]
                block = [libraries[place] for place in at]
                self._skill(block, at, draws, blocks.tiles, skill_DBM)
        return skill_DBM

    def self_skills(
        self, libraries: Sequence[int], dimensions: Sequence[int]
    ) -> NDArray[np.float32]:
        """Return how well each library predicts itself (library, dimension)."""
        shape = self._shape(NO_DRAWS, list(dimensions))
        resident = sum(tiles.nbytes for tiles in self._resident.values())
        at_once = plan_device(shape, self._free_bytes - resident).libraries
        blocks = [libraries[b : b + at_once] for b in range(0, len(libraries), at_once)]
        return np.concatenate([self._self_skill(block, list(dimensions)) for block in blocks])

    def predictions(self, library: int) -> NDArray[np.float32]:
        """Return what one library predicts of each target (time, target); NaN where nothing."""
        shape = (len(self.axis.row_T), len(self.problem.targets_MT))
        predicted_TM = np.full(shape, np.nan, np.float32)
        at_R = np.arange(0, len(predicted_TM), self.problem.stride)
        for each in self.sets:
            dimension = self._dimension(library, each)
            asked = self._ask([library], each.seen_P[None])
            lists = self._search(asked, [dimension], [neighbour_count(dimension)])[0]
            row_KR, weight_KR = (a[0] for a in weigh(_as_table(lists)))
            found_R = (lists.row[0, :, 0] >= 0).cpu().numpy()
            for tile, tile_PJ in enumerate(each.tiles_IPJ):
                values_PJ = to_device(tile_PJ, self.device)
                value_RJ = (values_PJ[row_KR.long()] * weight_KR[..., None]).sum(0)
                members_M = each.targets_M[tile * LANES : (tile + 1) * LANES]
                filled = np.ix_(at_R[found_R], members_M)
                predicted_TM[filled] = value_RJ.cpu().numpy()[found_R][:, : len(members_M)]
        return predicted_TM

    def _skill(
        self,
        libraries: list[int],
        places: list[int],
        draws: LibraryDraws,
        tiles: int,
        skill_DBM: NDArray[np.float32],
    ) -> None:
        """Fill in the skills of a block of libraries that need the same dimensions."""
        simple = not draws.sizes and all(each.whole for each in self.sets)
        smallest = 0 if simple else min(draws.sizes, default=len(self.axis.row_T))
        for dimension, lists in self._lists(libraries, smallest):
            for number, each in enumerate(self.sets):
                if self._dimension(libraries[0], each) != dimension:
                    continue
                tables = (
                    iter([(range(1), _as_table(lists))])
                    if simple
                    else self._walk(libraries, each, draws, lists)
                )
                for batch, table in tables:
                    for first, skill_BM in self._correlate(number, table, tiles):
                        members_M = each.targets_M[first : first + skill_BM.shape[1]]
                        found = skill_BM[:, : len(members_M)].cpu().numpy()
                        found_LDM = found.reshape(len(libraries), len(batch), -1)
                        at = np.ix_(list(batch), places, members_M)
                        skill_DBM[at] = found_LDM.swapaxes(0, 1)

    def _self_skill(self, libraries: Sequence[int], dimensions: list[int]) -> NDArray[np.float32]:
        own_BP = moved(self._series_NP[list(libraries)], self.problem.rule.tp, self.axis)
        seen_BP = np.isfinite(own_BP)
        asked = self._ask(libraries, seen_BP)
        own = to_device(np.where(seen_BP, own_BP, 0), self.device)
        counts = [neighbour_count(dimension) for dimension in dimensions]
        found = self._search(asked, dimensions, counts)
        skills = [correlate_own(_as_table(lists), asked.row_BR, own) for lists in found]
        return torch.stack(skills, dim=1).cpu().numpy()

    def _lists(self, libraries: list[int], smallest: int) -> Iterator[tuple[int, Neighbours]]:
        """Yield each dimension needed with sorted neighbours, as CpuEngine does."""
        dimensions = sorted({self._dimension(libraries[0], each) for each in self.sets})
        counts = [neighbour_count(dimension) for dimension in dimensions]
        if smallest:
            fraction = smallest / len(self.axis.row_T)
            counts = [list_length(count, fraction) for count in counts]
        asked = self._ask(libraries, self._reachable_P[None])
        # All at once where lists are short; long ones of many dimensions would not fit.
        groups = [[d] for d in range(len(dimensions))] if smallest else [range(len(dimensions))]
        for group in groups:
            wanted = [dimensions[d] for d in group]
            found = self._search(asked, wanted, [counts[d] for d in group])
            yield from zip(wanted, found, strict=True)

    def _walk(
        self, libraries: list[int], each: TargetSet, draws: LibraryDraws, lists: Neighbours
    ) -> Iterator[tuple[range, Neighbours]]:
        """Yield batches of draws with their tables (library and draw, k, query)."""
        dimension = self._dimension(libraries[0], each)
        count = neighbour_count(dimension)
        seen_R = to_device(each.seen_P[self._row_R], self.device)
        row_LRM = torch.where(seen_R[:, None], lists.row, -1)
        word_WLP = np.stack(
            [
                draws.words(library, np.flatnonzero(self._exists(library, each)), self.axis.length)
                for library in libraries
            ],
            axis=1,
        )
        total = 1 + len(draws.sizes)
        for start, word_LP in zip(range(0, total, AT_ONCE), word_WLP, strict=True):
            batch = range(start, min(start + AT_ONCE, total))
            bits_LP = to_device(word_LP.view(np.int64), self.device)
            table, found_LDR = walk_lists(
                Neighbours(row_LRM, lists.square), bits_LP, len(batch), count
            )
            # A list that ended too early for a library: all its members are measured.
            short_LDR = (found_LDR < count) & (row_LRM[:, None, :, -1] >= 0)
            self._complete(libraries, dimension, bits_LP, short_LDR, table)
            yield batch, Neighbours(*(a.flatten(0, 1) for a in table))

    def _complete(
        self,
        libraries: list[int],
        dimension: int,
        bits_LP: torch.Tensor,
        short_LDR: torch.Tensor,
        table: Neighbours,
    ) -> None:
        """Search anew, among all members, the rows whose lists did not hold a simplex."""
        jobs = torch.nonzero(short_LDR.any(-1))
        if not len(jobs):
            return
        series_LP = to_device(self._series_NP[libraries], self.device)
        for of_J, draw_J in (job.unbind(1) for job in jobs.split(AT_ONCE)):
            short_JR = short_LDR[of_J, draw_J]
            widest = int(short_JR.sum(1).max())
            is_short_JQ, at_JQ = torch.topk(short_JR.to(torch.int32), widest)
            row_JQ = torch.where(is_short_JQ > 0, self._row_on_device_R[at_JQ], -1)
            member_JP = (bits_LP[of_J] >> draw_J[:, None]) & 1
            penalty_JP = torch.where(member_JP > 0, 0.0, torch.nan)
            asked = Queries(series_LP, of_J.to(torch.int32), penalty_JP, row_JQ.to(torch.int32))
            lists = self._search(asked, [dimension], [table.row.shape[2]])[0]
            job, query = torch.nonzero(is_short_JQ, as_tuple=True)
            for whole, part in zip(table, lists, strict=True):
                found = part[job, query]
                whole[of_J[job], draw_J[job], : found.shape[1], at_JQ[job, query]] = found

    def _correlate(
        self, number: int, table: Neighbours, tiles: int
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """Yield the first target and the skills (table, target) of some tiles at a time."""
        tiles_IPJ = self.sets[number].tiles_IPJ
        for start in range(0, len(tiles_IPJ), tiles):
            part = self._tiles(number, start, start + tiles)
            yield start * LANES, correlate(table, self._row_on_device_R, part)

    def _tiles(self, number: int, start: int, stop: int) -> torch.Tensor:
        """Return tiles of a set on the device; kept there where those of all sets fit."""
        if number in self._resident:
            return self._resident[number]
        tiles_IPJ = self.sets[number].tiles_IPJ
        stored = to_device(tiles_IPJ[start:stop], self.device).to(self._stored)
        if stop - start >= self._all_tiles:
            self._resident[number] = stored
        return stored

    def _ask(self, libraries: Sequence[int], allowed_BP: NDArray[np.bool_]) -> Queries:
        """Return the searches of some libraries among the allowed rows, for those rows."""
        row_BR = np.where(allowed_BP[:, self._row_R], self._row_R, -1).astype(np.int32)
        return Queries(
            to_device(self._series_NP[list(libraries)], self.device),
            torch.arange(len(libraries), dtype=torch.int32, device=self.device),
            to_device(penalty_of(allowed_BP), self.device),
            to_device(row_BR, self.device),
        )

    def _search(self, asked: Queries, dimensions: list[int], counts: list[int]) -> list[Neighbours]:
        return search_neighbours(asked, self._axis, self.problem.rule, dimensions, counts)

    def _alike(self, libraries: Sequence[int]) -> list[list[int]]:
        """Return places in `libraries`, together those that need the same dimensions."""
        groups: dict[int, list[int]] = {}
        for place, library in enumerate(libraries):
            own = 0 if self.problem.dimension_M is not None else self.problem.dimension_N[library]
            groups.setdefault(int(own), []).append(place)
        return list(groups.values())

    def _shape(self, draws: LibraryDraws, dimensions: list[int] | None = None) -> DeviceShape:
        """Return the sizes that decide how much memory a library takes."""
        by_target = self.problem.dimension_M
        if dimensions is None:
            used = [self.problem.longest] if by_target is None else sorted({*by_target.tolist()})
        else:
            used = dimensions
        whole = not draws.sizes and all(each.whole for each in self.sets)
        count = neighbour_count(self.problem.longest)
        fraction = min(draws.sizes, default=len(self.axis.row_T)) / len(self.axis.row_T)
        return DeviceShape(
            padded=self.axis.length,
            rows=len(self._row_R),
            searches=len(used) if whole else 1,
            listed=count if whole else list_length(count, fraction),
            neighbours=count,
            draws=min(1 + len(draws.sizes), AT_ONCE),
            tiles=self._all_tiles if dimensions is None else 0,
            tile_item=self._stored.itemsize,
        )


def _free_on(device: torch.device) -> int:
    """Return the bytes that a device has free, what PyTorch keeps for later included."""
    if device.type == "cpu":
        return INTERPRETER_BYTES
    kept = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    return int(torch.cuda.mem_get_info()[0]) + kept


def _as_table(lists: Neighbours) -> Neighbours:
    """Return lists (..., query, k) as a table (..., k, query)."""
    return Neighbours(*(a.transpose(-1, -2) for a in lists))
