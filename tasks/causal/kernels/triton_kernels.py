"""The GPU's three kernels: search neighbours, divide them among random libraries, look up.

None writes what is large: a row's distances stay in registers, predictions become sums at once.
What is compared is what cpu.py compares: float32 sums of squares without contraction, and of
equal ones the nearest in time, the earlier first. Triton's interpreter runs them in the tests;
their speed on a device has not been measured.

All arrays lie on the padded axis of tasks/causal/padding.py, NaN where nothing is. A key holds a
neighbour: the bits of its squared distance, then twice its distance in time, plus one if later.
"""

import triton
import triton.language as tl

_NO_VALUE = tl.constexpr(0x7FFFFFFF)
_ANY_VALUE = tl.constexpr(0x7FFFFFFE)
_FIRST_STEP, _NEXT_STEP = tl.constexpr(1 << 29), tl.constexpr(1 << 22)


@triton.jit
def _bound(value_QT, low_Q, step, count, most: tl.constexpr):  # type: ignore[no-untyped-def]
    """Find for each query a bound that at least `count` and at most `most` values lie within.

    By halving from `low_Q`, which fewer lie within, in first steps of `step`: any such bound will
    do. More than `most` lie within where too many are equal, and all where there are few.
    """
    high_Q = low_Q * 0 + _ANY_VALUE
    step_Q = low_Q * 0 + step
    found_Q = tl.sum((value_QT <= high_Q[:, None]).to(tl.int32), axis=1)
    while tl.max(((found_Q > most) & (high_Q - low_Q > 1)).to(tl.int32), axis=0) > 0:
        middle_Q = low_Q + tl.maximum(tl.minimum(step_Q, (high_Q - low_Q) // 2), 1)
        inside_Q = tl.sum((value_QT <= middle_Q[:, None]).to(tl.int32), axis=1)
        enough_Q = inside_Q >= count
        found_Q = tl.where(enough_Q, inside_Q, found_Q)
        high_Q = tl.where(enough_Q, middle_Q, high_Q)
        low_Q = tl.where(enough_Q, low_Q, middle_Q)
        step_Q = tl.where(enough_Q, step_Q, tl.minimum(step_Q * 2, _FIRST_STEP))
    return low_Q, high_Q, found_Q


@triton.jit
def search(  # type: ignore[no-untyped-def]
    series_LP, library_B, penalty_BP, row_BR, position_P, dimension_S, count_S, key_SBRNM,
    P, B, R, S, theiler, tau, row_stride, penalty_stride,
    QUERIES: tl.constexpr, PANEL: tl.constexpr, LIST: tl.constexpr,
):  # fmt: skip
    """Collect the nearest rows of some queries in one panel of candidates, for every dimension.

    One program: QUERIES rows against PANEL candidates, whose squared distances it holds in
    registers and builds up from dimension to dimension. At least the nearest `count` go to
    `key_SBRNM` (dimension, search, query, panel, LIST) in the order of time; the rest of a list
    is left as it was. `row_BR` is -1 where there is no query; `penalty_BP` is NaN where a row may
    not be a neighbour.
    """
    search_id, panel = tl.program_id(2).to(tl.int64), tl.program_id(1)
    query_Q = tl.program_id(0) * QUERIES + tl.arange(0, QUERIES)
    row_Q = tl.load(row_BR + search_id * row_stride + query_Q, mask=query_Q < R, other=-1)
    asked_Q = row_Q >= 0
    candidate_T = panel * PANEL + tl.arange(0, PANEL)
    inside_T = candidate_T < P
    here_Q = tl.load(position_P + row_Q, mask=asked_Q, other=0)
    there_T = tl.load(position_P + candidate_T, mask=inside_T, other=0)
    away_QT = there_T[None, :] - here_Q[:, None]
    total_T = tl.load(
        penalty_BP + search_id * penalty_stride + candidate_T, mask=inside_T, other=float("nan")
    )
    allowed_QT = asked_Q[:, None] & (tl.abs(away_QT) > theiler)
    total_QT = tl.where(allowed_QT, total_T[None, :], float("nan"))
    values = series_LP + tl.load(library_B + search_id).to(tl.int64) * P
    low_Q = row_Q * 0 - 1
    step = _FIRST_STEP
    done = 0
    for s in range(S):
        dimension = tl.load(dimension_S + s)
        for e in range(done, dimension):
            # An existing row has its whole span on the axis; others are NaN before it ends.
            own_Q = tl.load(values + row_Q - e * tau, mask=row_Q >= e * tau, other=float("nan"))
            other_T = tl.load(
                values + candidate_T - e * tau, mask=inside_T & (candidate_T >= e * tau),
                other=float("nan"),
            )  # fmt: skip
            difference_QT = own_Q[:, None] - other_T[None, :]
            total_QT = total_QT + difference_QT * difference_QT
        done = dimension
        bits_QT = total_QT.to(tl.int32, bitcast=True)
        value_QT = tl.where(total_QT == total_QT, bits_QT, _NO_VALUE)
        gap_QT = tl.abs(away_QT) * 2 + (away_QT > 0).to(tl.int32)
        count = tl.load(count_S + s)
        low_Q, high_Q, found_Q = _bound(value_QT, low_Q, step, count, LIST)
        step = _NEXT_STEP
        if tl.max(found_Q, axis=0) > LIST:
            # Too many at the bound itself: of those the nearest in time, by the same search.
            tied_QT = (value_QT == high_Q[:, None]) & (found_Q > LIST)[:, None]
            value_QT = tl.where(
                value_QT <= high_Q[:, None], tl.where(tied_QT, gap_QT, -1), _NO_VALUE
            )
            _, high_Q, _ = _bound(value_QT, row_Q * 0 - 1, _FIRST_STEP, count, LIST)
        hit_QT = value_QT <= high_Q[:, None]
        place_QT = tl.cumsum(hit_QT.to(tl.int32), axis=1) - 1
        key_QT = (bits_QT.to(tl.int64) << 32) | gap_QT.to(tl.int64)
        lists_Q = ((s * B + search_id) * R + query_Q) * tl.num_programs(1) + panel
        tl.store(
            key_SBRNM + lists_Q[:, None] * LIST + place_QT, key_QT,
            mask=hit_QT & (place_QT < LIST),
        )  # fmt: skip


@triton.jit
def walk(  # type: ignore[no-untyped-def]
    row_LRM, square_LRM, bits_LP, row_LDKR, square_LDKR, found_LDR, P, R, D, K, M,
    QUERIES: tl.constexpr, LIST: tl.constexpr,
):  # fmt: skip
    """Divide sorted lists of M neighbours among up to 64 random libraries: K for each.

    `bits_LP` has bit d where a row is a member of library d. `found_LDR` becomes how many members
    each list holds, more than K included.
    """
    library = tl.program_id(1).to(tl.int64)
    query_Q = tl.program_id(0) * QUERIES + tl.arange(0, QUERIES)
    at_M = tl.arange(0, LIST)
    within_QM = (query_Q < R)[:, None] & (at_M < M)[None, :]
    list_QM = (library * R + query_Q)[:, None] * M + at_M[None, :]
    row_QM = tl.load(row_LRM + list_QM, mask=within_QM, other=-1)
    square_QM = tl.load(square_LRM + list_QM, mask=within_QM, other=0.0)
    word_QM = tl.load(bits_LP + library * P + row_QM, mask=row_QM >= 0, other=0)
    for d in range(D):
        member_QM = ((word_QM >> d) & 1).to(tl.int32)
        place_QM = tl.cumsum(member_QM, axis=1) - 1
        out_QM = ((library * D + d) * K + place_QM) * R + query_Q[:, None]
        taken_QM = (member_QM > 0) & (place_QM < K)
        tl.store(row_LDKR + out_QM, row_QM, mask=taken_QM)
        tl.store(square_LDKR + out_QM, square_QM, mask=taken_QM)
        tl.store(
            found_LDR + (library * D + d) * R + query_Q, tl.sum(member_QM, axis=1),
            mask=query_Q < R,
        )  # fmt: skip


@triton.jit
def add_sums(  # type: ignore[no-untyped-def]
    row_BKR, weight_BKR, row_R, tile_IPJ, sum_BISJ, P, R, K,
    ROWS: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """Predict one tile of targets from one table, and add what Pearson's correlation needs.

    A neighbour's row of a tile is contiguous (64 targets: 256 bytes, 16 a thread), and a tile
    fits the second cache, which all programs of a tile, started one after the other, then share.
    Sums over ROWS rows are float32, those of the whole float64; sums as in lookup.py.
    """
    table, tile = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    at_J = tl.arange(0, LANES)
    values = tile_IPJ + tile * P * LANES
    p1_J = tl.zeros((LANES,), tl.float64)
    p2_J = tl.zeros((LANES,), tl.float64)
    py_J = tl.zeros((LANES,), tl.float64)
    y1_J = tl.zeros((LANES,), tl.float64)
    y2_J = tl.zeros((LANES,), tl.float64)
    for start in range(0, R, ROWS):
        at_R = start + tl.arange(0, ROWS)
        within_R = at_R < R
        entry_R = table * K * R + at_R
        p_RJ = tl.zeros((ROWS, LANES), tl.float32)
        # A row that is predicted has a nearest neighbour, whose weight is not zero.
        predicted_R = tl.load(weight_BKR + entry_R, mask=within_R, other=0.0) > 0
        for k in range(K):
            near_R = tl.load(row_BKR + entry_R + k * R, mask=within_R, other=0)
            weight_R = tl.load(weight_BKR + entry_R + k * R, mask=within_R, other=0.0)
            value_RJ = tl.load(values + near_R[:, None] * LANES + at_J[None, :])
            p_RJ += weight_R[:, None] * value_RJ.to(tl.float32)
        own_R = tl.load(row_R + at_R, mask=within_R, other=0)
        y_RJ = tl.load(
            values + own_R[:, None] * LANES + at_J[None, :], mask=predicted_R[:, None], other=0.0
        ).to(tl.float32)
        p1_J += tl.sum(p_RJ, axis=0).to(tl.float64)
        p2_J += tl.sum(p_RJ * p_RJ, axis=0).to(tl.float64)
        py_J += tl.sum(p_RJ * y_RJ, axis=0).to(tl.float64)
        y1_J += tl.sum(y_RJ, axis=0).to(tl.float64)
        y2_J += tl.sum(y_RJ * y_RJ, axis=0).to(tl.float64)
    out = sum_BISJ + (table * tl.num_programs(1) + tile) * 5 * LANES + at_J
    tl.store(out, p1_J)
    tl.store(out + LANES, p2_J)
    tl.store(out + 2 * LANES, py_J)
    tl.store(out + 3 * LANES, y1_J)
    tl.store(out + 4 * LANES, y2_J)
