"""Steps of cross mapping on a device: torch arrays in and out, the Triton kernels between.

Triton is imported only here and in triton_kernels.py, and this only where a GpuEngine is opened.
"""

from typing import NamedTuple

import numpy as np
import torch
import triton
from numpy.typing import NDArray

from schemas.errors import TectumError
from tasks.causal.kernels import triton_kernels as kernels
from tasks.causal.kernels.gpu_memory import PANEL, list_room
from tasks.causal.kernels.reference import FLAT
from tasks.causal.kernels.vectors import LANES
from tasks.causal.padding import PaddedAxis
from tasks.causal.rule import MIN_WEIGHT, CrossMapRule

SUMS = 5
_NO_KEY = torch.iinfo(torch.int64).max
_LOW_BITS = 0xFFFFFFFF

INTERPRETED = bool(triton.knobs.runtime.interpret)


def _tuned(kernel, key, configs):  # type: ignore[no-untyped-def]
    """Return a kernel that chooses among its blocks by timing them; the interpreter does not."""
    return kernel if INTERPRETED else triton.autotune(configs, key)(kernel)


def _fixed(**blocks: int) -> dict[str, int]:
    """Return the blocks that the interpreter works in: large, since it pays for each program."""
    return blocks if INTERPRETED else {}


# 16 distances a thread: ptxas for sm_90 takes 128 registers and spills none. 32 take 238, or spill.
_search = _tuned(
    kernels.search,
    ["P", "S", "LIST"],
    [triton.Config({"QUERIES": 2}, num_warps=4), triton.Config({"QUERIES": 4}, num_warps=8)],
)
_add_sums = _tuned(
    kernels.add_sums,
    ["P", "K"],
    [
        triton.Config({"ROWS": 32}, num_warps=4),
        triton.Config({"ROWS": 32}, num_warps=8),
        triton.Config({"ROWS": 64}, num_warps=8),
    ],
)


class Neighbours(NamedTuple):
    """Neighbours of each query, nearest first: padded rows, -1 where there are no more."""

    row: torch.Tensor
    square: torch.Tensor


class Queries(NamedTuple):
    """What is searched: one entry a search, of which many run at once.

    series_LP : float32 series; library_B : the series of each search
    penalty_BP : 0 where a row may be a neighbour, NaN elsewhere; row_BR : queries, -1 for none.
    Of the last two the first axis may be 1: the same for all
    """

    series_LP: torch.Tensor
    library_B: torch.Tensor
    penalty_BP: torch.Tensor
    row_BR: torch.Tensor


def open_device() -> torch.device:
    """Return the GPU, or the CPU where Triton's interpreter stands in for one.

    Raises
    ------
    TectumError
        There is neither.
    """
    if INTERPRETED:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise TectumError(
            "causal.backend is 'gpu', but PyTorch finds no CUDA device here.",
            remedy="Use 'auto' or 'cpu', or install the driver that this PyTorch needs.",
        )
    return torch.device("cuda")


class DeviceAxis:
    """The padded axis on the device."""

    def __init__(self, axis: PaddedAxis, device: torch.device) -> None:
        self.position_P = torch.from_numpy(axis.position_P).to(device)
        self.row_T = torch.from_numpy(axis.row_T.astype(np.int32)).to(device)

    def decode(self, key: torch.Tensor, here: torch.Tensor) -> Neighbours:
        """Translate keys into neighbours, as seen from the positions `here` on the time axis."""
        later = key & 1
        gap = (key & _LOW_BITS) >> 1
        there = torch.where(key == _NO_KEY, 0, here + torch.where(later == 1, gap, -gap))
        row = torch.where(key == _NO_KEY, -1, self.row_T[there])
        square = (key >> 32).to(torch.int32).view(torch.float32)
        return Neighbours(row.to(torch.int32), square)


def search_neighbours(
    asked: Queries, axis: DeviceAxis, rule: CrossMapRule, dimensions: list[int], counts: list[int]
) -> list[Neighbours]:
    """Return for each dimension, ascending, the nearest neighbours (search, query, neighbour)."""
    device = asked.series_LP.device
    searches, queries = len(asked.library_B), asked.row_BR.shape[1]
    padded = asked.series_LP.shape[1]
    panel = min(PANEL, int(triton.next_power_of_2(padded)))
    panels, room = triton.cdiv(padded, panel), list_room(max(counts))
    shape = (len(dimensions), searches, queries, panels * room)
    key_SBRM = torch.full(shape, _NO_KEY, dtype=torch.int64, device=device)
    dimension_S, count_S = (
        torch.tensor(a, dtype=torch.int32, device=device) for a in (dimensions, counts)
    )
    strides = [0 if len(a) == 1 else a.shape[1] for a in (asked.row_BR, asked.penalty_BP)]
    _search[lambda block: (triton.cdiv(queries, block["QUERIES"]), panels, searches)](
        asked.series_LP, asked.library_B, asked.penalty_BP, asked.row_BR, axis.position_P,
        dimension_S, count_S, key_SBRM, padded, searches, queries, len(dimensions), rule.theiler,
        rule.tau, *strides, PANEL=panel, LIST=room,
        # Contraction would round distances, and so order ties, unlike the CPU.
        enable_fp_fusion=False, **_fixed(QUERIES=64),
    )  # fmt: skip
    here_BR1 = axis.position_P[asked.row_BR.clamp(min=0)].to(torch.int64)[..., None]
    found = []
    for key_BRM, count in zip(key_SBRM, counts, strict=True):
        nearest_BRK = torch.topk(key_BRM, count, dim=2, largest=False, sorted=True).values
        found.append(axis.decode(nearest_BRK, here_BR1))
    return found


def walk_lists(
    lists: Neighbours, bits_LP: torch.Tensor, libraries: int, count: int
) -> tuple[Neighbours, torch.Tensor]:
    """Divide sorted lists (library, query, neighbour) among random libraries.

    Returns
    -------
    Neighbours (library, draw, k, query), and how many members each list holds (library, draw,
    query).
    """
    length, queries, kept = lists.row.shape
    device = lists.row.device
    row = torch.full((length, libraries, count, queries), -1, dtype=torch.int32, device=device)
    square = torch.zeros(row.shape, dtype=torch.float32, device=device)
    found = torch.zeros((length, libraries, queries), dtype=torch.int32, device=device)
    queries_at_once = 64 if INTERPRETED else 4
    kernels.walk[(triton.cdiv(queries, queries_at_once), length)](
        lists.row.contiguous(), lists.square.contiguous(), bits_LP, row, square, found,
        bits_LP.shape[1], queries, libraries, count, kept,
        QUERIES=queries_at_once, LIST=int(triton.next_power_of_2(kept)),
    )  # fmt: skip
    return Neighbours(row, square), found


def weigh(table: Neighbours) -> tuple[torch.Tensor, torch.Tensor]:
    """Return rows, 0 where there is none, and simplex weights that sum to one (..., k, query)."""
    missing = table.row < 0
    distance = torch.sqrt(table.square)
    nearest = distance.select(-2, 0).unsqueeze(-2)
    by_distance = torch.exp(-distance / nearest.clamp(min=torch.finfo(torch.float32).tiny))
    at_zero = torch.where(distance == 0, 1.0, MIN_WEIGHT)
    weight = torch.where(nearest > 0, by_distance.clamp(min=MIN_WEIGHT), at_zero)
    weight = torch.where(missing, 0.0, weight)
    total = weight.sum(-2, keepdim=True)
    return torch.where(missing, 0, table.row), weight / torch.where(total > 0, total, 1.0)


def correlate(table: Neighbours, row_R: torch.Tensor, tiles_IPJ: torch.Tensor) -> torch.Tensor:
    """Return Pearson's correlation (table, target) of prediction and observation.

    table : (table, k, query); row_R : the queries; tiles_IPJ : targets, as of `TargetSet`
    """
    row_BKR, weight_BKR = (a.contiguous() for a in weigh(table))
    tables, count, queries = row_BKR.shape
    tiles = len(tiles_IPJ)
    sum_BISJ = torch.empty((tables, tiles, SUMS, LANES), dtype=torch.float64, device=row_BKR.device)
    _add_sums[(tables, tiles)](
        row_BKR, weight_BKR, row_R, tiles_IPJ, sum_BISJ, tiles_IPJ.shape[1], queries, count,
        LANES=LANES, **_fixed(ROWS=64),
    )  # fmt: skip
    predicted_B = (table.row[:, 0] >= 0).sum(-1)
    skill_BIJ = pearson_of_sums(list(sum_BISJ.unbind(2)), predicted_B[:, None, None])
    return skill_BIJ.view(tables, tiles * LANES)


def correlate_own(table: Neighbours, row_BR: torch.Tensor, own_BP: torch.Tensor) -> torch.Tensor:
    """Return Pearson's correlation (table,) where each table has one target, a row of `own_BP`."""
    row_BKR, weight_BKR = weigh(table)
    tables = len(row_BKR)
    found_BR = table.row[:, 0] >= 0
    y_BR = torch.where(found_BR, own_BP.gather(1, row_BR.clamp(min=0).long()), 0).double()
    value_BKR = own_BP.gather(1, row_BKR.reshape(tables, -1).long()).view(row_BKR.shape)
    p_BR = (value_BKR * weight_BKR).sum(1).double()
    products = (p_BR, p_BR * p_BR, p_BR * y_BR, y_BR, y_BR * y_BR)
    return pearson_of_sums([a.sum(1) for a in products], found_BR.sum(1))


def pearson_of_sums(sums: list[torch.Tensor], count: torch.Tensor) -> torch.Tensor:
    """Return float32 correlations from the sums of p, p², py, y, y², as cpu.py does.

    The sums are overwritten: of all random libraries and targets together they are what is large.
    """
    p, pp, py, y, yy = (a.div_(count.clamp(min=1)) for a in sums)
    flat = (pp + yy).mul_(FLAT)
    variance_p, variance_y = pp.sub_(p * p), yy.sub_(y * y)
    defined = (variance_p > flat) & (variance_y > flat) & (count >= 2)
    del flat
    scale = variance_p.mul_(variance_y).sqrt_()
    return py.sub_(p.mul_(y)).div_(scale).where(defined, torch.nan).to(torch.float32)


def to_device(values: NDArray[np.generic], device: torch.device) -> torch.Tensor:
    """Return an array on the device."""
    return torch.from_numpy(np.ascontiguousarray(values)).to(device)
