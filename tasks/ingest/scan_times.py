"""Full-length checks of time axes, a block at a time."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.entities import Finding

Times = NDArray[np.float64]

GAP = 1.5
"""A step longer than this many usual ones is a gap."""

FRAME_NUMBERS_FROM = 100
"""So many samples at 0, 1, 2, ... are frame numbers; fewer may be chance."""

UNRELATED_S = 86_400.0
"""Sessions are shorter than a day: a stream that starts later than this is on another clock."""


@dataclass
class TimeScan:
    """What one pass over a time axis found.

    Counts are of samples: `repeated` and `reversed` of those whose time is equal to, or before,
    that of the sample before; `first_bad` is the position of the first of all that are odd.
    """

    size: int = 0
    nan: int = 0
    repeated: int = 0
    reversed: int = 0
    first_bad: int = -1
    gaps: int = 0
    longest_gap_s: float = 0.0
    usual_step_s: float = float("nan")
    start_s: float = float("nan")
    stop_s: float = float("nan")
    counting: bool = True
    _last: float = field(default=float("nan"), repr=False)

    @property
    def in_order(self) -> bool:
        """Whether every time is a number and later than the one before."""
        return self.nan == self.repeated == self.reversed == 0

    @property
    def frame_numbers(self) -> bool:
        """Whether the times are 0, 1, 2, ... or 1, 2, 3, ..."""
        return self.counting and self.size >= FRAME_NUMBERS_FROM and self.start_s in (0.0, 1.0)


def scan_times(times: xr.Variable, block_mib: float = 32.0) -> TimeScan:
    """Read a time axis once, in blocks.

    Parameters
    ----------
    times : (time,) seconds
    block_mib : memory for a block
    """
    scan = TimeScan()
    for block in blocks(times, block_mib):
        _scan_block(scan, block.astype(np.float64, copy=False))
    return scan


def blocks(variable: xr.Variable, block_mib: float) -> Iterator[NDArray[Any]]:
    """Yield a variable's values in consecutive blocks along its first axis."""
    row = max(int(np.prod(variable.shape[1:], dtype=np.int64)) * variable.dtype.itemsize, 1)
    step = max(int(block_mib * 2**20) // row, 1)
    for start in range(0, variable.shape[0], step):
        yield variable[start : start + step].to_numpy()


def _scan_block(scan: TimeScan, block: Times) -> None:
    finite = np.isfinite(block)
    good = block[finite]
    joined = np.concatenate([[scan._last], good]) if np.isfinite(scan._last) else good
    steps = np.diff(joined)
    if np.isnan(scan.usual_step_s) and np.any(steps > 0):
        scan.usual_step_s = float(np.median(steps[steps > 0]))
    scan.nan += int(len(block) - len(good))
    scan.repeated += int(np.sum(steps == 0))
    scan.reversed += int(np.sum(steps < 0))
    wide = steps > GAP * scan.usual_step_s
    scan.gaps += int(np.sum(wide))
    if wide.any():
        scan.longest_gap_s = max(scan.longest_gap_s, float(steps[wide].max()))
    scan.counting &= bool(finite.all() and np.all(steps == 1))
    if scan.first_bad < 0:
        scan.first_bad = _first_bad(block, finite, scan)
    if len(good):
        scan.start_s = float(np.nanmin([scan.start_s, good.min()]))
        scan.stop_s = float(np.nanmax([scan.stop_s, good.max()]))
        scan._last = float(good[-1])
    scan.size += len(block)


def _first_bad(block: Times, finite: NDArray[np.bool_], scan: TimeScan) -> int:
    """Return the position in the whole axis of the first odd sample of a block, -1 if none."""
    position = np.flatnonzero(finite)
    good = block[finite]
    before = np.concatenate([[scan._last], good[:-1]]) if len(good) else good
    # A first time compared with NaN is never odd.
    odd = np.concatenate([np.flatnonzero(~finite), position[good <= before]])
    return int(odd.min()) + scan.size if len(odd) else -1


def order_findings(scan: TimeScan, where: str, repair: str) -> list[Finding]:
    """Return a finding for each way in which a time axis is out of order.

    repair : what ingest does about the samples, e.g. "They are left out."
    """
    kinds = (
        ("timestamps_nan", scan.nan, "have no time (NaN or infinite)"),
        ("timestamps_repeated", scan.repeated, "have the time of the sample before"),
        ("timestamps_reversed", scan.reversed, "have an earlier time than the sample before"),
    )
    return [
        Finding(
            code=code,
            severity="warning",
            what=f"{count:,} of {scan.size:,} samples {what}, the first odd one is sample "
            f"{scan.first_bad:,}. {repair}",
            where=where,
        )
        for code, count, what in kinds
        if count
    ]


def shape_findings(scan: TimeScan, where: str, *, stamped: bool) -> list[Finding]:
    """Return findings about gaps and about clocks that do not count seconds."""
    found: list[Finding] = []
    if stamped and scan.frame_numbers:
        found.append(
            Finding(
                code="timestamps_are_frame_numbers",
                severity="warning",
                what=f"The {scan.size:,} timestamps are {scan.start_s:g}, {scan.start_s + 1:g}, "
                f"{scan.start_s + 2:g}, ...: frame numbers, although the unit says seconds.",
                where=where,
                remedy="Set sample_rates_hz for this object to the frame rate.",
            )
        )
    if scan.gaps:
        found.append(
            Finding(
                code="gaps",
                severity="info",
                what=f"{scan.gaps:,} gap(s), the longest {scan.longest_gap_s:.3g} s, where samples "
                f"usually come every {scan.usual_step_s:.4g} s.",
                where=where,
            )
        )
    return found


def clock_findings(starts: dict[str, float]) -> list[Finding]:
    """Return a finding if streams start more than a day from the session's start, or before it.

    Parameters
    ----------
    starts : object path -> time of its first sample in seconds
    """
    far = {where: start for where, start in starts.items() if start > UNRELATED_S}
    early = {where: start for where, start in starts.items() if start < 0}
    found: list[Finding] = []
    if far:
        found.append(
            Finding(
                code="clock_not_session",
                severity="warning",
                what=f"{len(far)} of {len(starts)} streams start {min(far.values()):,.0f} s or "
                "more after the session: their clock counts from something else, such as the "
                "boot of a computer. Times are kept as they are; they agree with each other, "
                "not with the session's start.",
                where=", ".join(far),
                remedy="Subtract the clock's origin before writing the file.",
            )
        )
    if early:
        found.append(
            Finding(
                code="times_before_session",
                severity="info",
                what=f"{len(early)} of {len(starts)} streams start before the session, the first "
                f"at {min(early.values()):.3f} s.",
                where=", ".join(early),
            )
        )
    return found
