"""Targets laid out for the lookup: time-major tiles, one set for all that share neighbours."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.causal.kernels.vectors import CACHE_LINE, LANES
from tasks.causal.padding import PaddedAxis
from tasks.causal.problem import CrossMapProblem


@dataclass(frozen=True)
class TargetSet:
    """Targets that share their neighbours: same gaps, same dimension.

    targets_M : their positions among all targets
    dimension : embedding dimension, or 0 for the library's own
    seen_P : (padded,) where all are observed
    whole : whether that is everywhere that a sample lies `tp` after the row
    tiles_IPJ : (tile, padded, 64) values moved by tp, 0 where not observed
    """

    targets_M: NDArray[np.intp]
    dimension: int
    seen_P: NDArray[np.bool_]
    whole: bool
    tiles_IPJ: NDArray[np.float32]


def divide_targets(problem: CrossMapProblem, axis: PaddedAxis) -> list[TargetSet]:
    """Divide the targets by their gaps and, where it is theirs that counts, by dimension."""
    moved_MP = moved(axis.spread(problem.without_gaps(problem.targets_MT)), problem.rule.tp, axis)
    seen_MP, all_P = np.isfinite(moved_MP), reachable(axis, problem.rule.tp)
    dimension_M = (
        np.zeros(len(seen_MP), np.int64) if problem.dimension_M is None else problem.dimension_M
    )
    groups: dict[tuple[bytes, int], list[int]] = {}
    for m, (seen_P, dimension) in enumerate(zip(seen_MP, dimension_M, strict=True)):
        groups.setdefault((np.packbits(seen_P).tobytes(), int(dimension)), []).append(m)
    return [
        _target_set(moved_MP[members], np.array(members), dimension, all_P)
        for (_, dimension), members in groups.items()
    ]


def penalty_of(seen_P: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return what the searches add to a row's distance: 0 where it is seen, NaN elsewhere."""
    return np.where(seen_P, 0, np.nan).astype(np.float32)


def reachable(axis: PaddedAxis, tp: int) -> NDArray[np.bool_]:
    """Return which padded rows have a sample `tp` later in the same segment."""
    nowhere_missing_1P = axis.spread(np.zeros((1, len(axis.row_T))))
    reached_P: NDArray[np.bool_] = np.isfinite(moved(nowhere_missing_1P, tp, axis)[0])
    return reached_P


def single_target(series_P: NDArray[np.float32], tp: int, axis: PaddedAxis) -> TargetSet:
    """Return the set of one padded series: itself as the target."""
    return _target_set(moved(series_P[None], tp, axis), np.array([0]), 0, reachable(axis, tp))


def moved(padded_MP: NDArray[np.float32], tp: int, axis: PaddedAxis) -> NDArray[np.float32]:
    """Return y[t+tp] at row t; NaN where there is no sample at either."""
    moved_MP = np.full_like(padded_MP, np.nan)
    moved_MP[:, axis.row_T] = np.roll(padded_MP, -tp, axis=1)[:, axis.row_T]
    return moved_MP


def _target_set(
    moved_MP: NDArray[np.float32],
    targets_M: NDArray[np.intp],
    dimension: int,
    all_P: NDArray[np.bool_],
) -> TargetSet:
    seen_P = np.isfinite(moved_MP[0])
    whole = bool((seen_P == all_P).all())
    return TargetSet(targets_M, dimension, seen_P, whole, _tiles(np.where(seen_P, moved_MP, 0)))


def _tiles(values_MP: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (tile, padded, 64), the last tile filled up with zeros."""
    count = -(-len(values_MP) // LANES)
    tiles_IPJ = _on_cache_lines((count, values_MP.shape[1], LANES))
    for m, values_P in enumerate(values_MP):
        tiles_IPJ[m // LANES, :, m % LANES] = values_P
    return tiles_IPJ


def _on_cache_lines(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return zeros that begin at a cache line.

    NumPy begins elsewhere; then a row of a tile lies on five lines, not four, and the lookup
    takes up to 1.4 times as long.
    """
    size = int(np.prod(shape)) * np.dtype(np.float32).itemsize
    room = np.zeros(size + CACHE_LINE, np.uint8)
    start = -room.ctypes.data % CACHE_LINE
    return room[start : start + size].view(np.float32).reshape(shape)
