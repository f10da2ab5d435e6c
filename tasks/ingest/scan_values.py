"""Full-length checks of samples: columns that are constant, or hold no numbers."""

import math
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.entities import Finding
from tasks.ingest.lazy_views import packed
from tasks.ingest.scan_times import blocks

NAMES_SHOWN = 20
TURN = math.tau
MOST_TURNS = 10
"""Headings that were unwrapped seldom go round so often; degrees taken for radians do."""


@dataclass
class ValueScan:
    """Per column: how many values are no numbers, the first of them, extremes of the others.

    first_missing : position of a column's first value that is no number; -1 if there is none
    """

    size: int
    missing: NDArray[np.int64]
    first_missing: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @property
    def constant(self) -> NDArray[np.bool_]:
        """Columns with at least two numbers, all the same."""
        constant: NDArray[np.bool_] = (self.low == self.high) & (self.size - self.missing > 1)
        return constant

    @property
    def absent(self) -> NDArray[np.bool_]:
        """Columns without any number."""
        return np.equal(self.missing, self.size)


def scan_values(values: xr.Variable, block_mib: float = 32.0) -> ValueScan:
    """Read the samples of a (time, column) variable once, in blocks.

    Of scaled integers it is the integers that are compared.
    """
    stored = packed(values)
    scan = _scan_stored(stored, block_mib)
    factor, term = (stored.attrs.get(k, d) for k, d in (("scale_factor", 1), ("add_offset", 0)))
    ends = (scan.low * factor + term, scan.high * factor + term)
    return replace(scan, low=np.minimum(*ends), high=np.maximum(*ends))


def _scan_stored(values: xr.Variable, block_mib: float) -> ValueScan:
    columns = values.shape[1]
    missing, first = np.zeros(columns, np.int64), np.full(columns, -1, np.int64)
    low, high = np.full(columns, np.inf), np.full(columns, -np.inf)
    offset = 0
    for block in blocks(values, block_mib):
        least, most = block.min(axis=0), block.max(axis=0)
        # Both are finite unless a value is not: the slow way is for blocks with a gap.
        if not np.isfinite(least).all() or not np.isfinite(most).all():
            finite = np.isfinite(block)
            odd = ~finite
            missing += np.sum(odd, axis=0)
            new = (first < 0) & odd.any(axis=0)
            first[new] = odd.argmax(axis=0)[new] + offset
            least = np.min(block, axis=0, initial=np.inf, where=finite)
            most = np.max(block, axis=0, initial=-np.inf, where=finite)
        low, high = np.minimum(low, least), np.maximum(high, most)
        offset += len(block)
    return ValueScan(values.shape[0], missing, first, low, high)


def value_findings(
    scan: ValueScan, labels: list[str], where: str, dim: str, times: xr.Variable
) -> list[Finding]:
    """Return findings that name the columns which are constant, empty or have missing values.

    times : (time,) of the samples, read at one place only
    """
    found: list[Finding] = []
    if names := _named(scan.constant, labels):
        found.append(
            Finding(
                code=f"constant_{dim}s",
                severity="warning",
                what=f"{scan.constant.sum()} of {len(labels)} {dim}s never change: {names}.",
                where=where,
                remedy="They carry no information; later stages leave them out.",
                sample=0,
                time_s=time_at(times, 0),
                value=", ".join(f"{value:.6g}" for value in np.unique(scan.low[scan.constant])[:5]),
            )
        )
    if names := _named(scan.absent, labels):
        found.append(
            Finding(
                code=f"empty_{dim}s",
                severity="warning",
                what=f"{scan.absent.sum()} of {len(labels)} {dim}s hold no numbers: {names}.",
                where=where,
                remedy="Later stages leave them out.",
                sample=0,
                time_s=time_at(times, 0),
                value="NaN",
            )
        )
    partly = (scan.missing > 0) & ~scan.absent
    if partly.any():
        share = float(scan.missing[partly].sum()) / (scan.size * int(partly.sum()))
        first = int(scan.first_missing[partly].min())
        found.append(
            Finding(
                code="missing_values",
                severity="info",
                what=f"{partly.sum()} of {len(labels)} {dim}s have values that are no numbers, "
                f"{share:.2%} of theirs: {_named(partly, labels)}.",
                where=where,
                remedy="They stay as they are: later stages treat them as gaps.",
                sample=first,
                time_s=time_at(times, first),
                value=f"{int(scan.missing[partly].sum()):,} values",
            )
        )
    return found


def angle_findings(scan: ValueScan, period: float | None, where: str) -> list[Finding]:
    """Return a finding if angles span much more, or much less, than their unit lets expect.

    period : a full turn in the unit that the file gives; None for what are no angles
    """
    if period is None or not np.isfinite(scan.low).any():
        return []
    low, high = float(scan.low.min()), float(scan.high[np.isfinite(scan.high)].max())
    if period > TURN:
        unit, other = "degrees", "radians"
        doubtful = low >= -TURN and high <= TURN and high - low > TURN / 2
    else:
        unit, other = "radians", "degrees"
        doubtful = high - low > MOST_TURNS * TURN
    if not doubtful:
        return []
    return [
        Finding(
            code="angle_unit_doubtful",
            severity="warning",
            what=f"Headings in {unit} lie between {low:.4g} and {high:.4g}: are they {other}? They "
            f"are taken to wrap at {period:.4g}.",
            where=where,
            remedy=f"If so, write the file again with '{other}' as their unit.",
            value=f"{low:.6g} to {high:.6g}",
        )
    ]


def time_at(times: xr.Variable, sample: int) -> float | None:
    """Return the time of one sample, None if it has none."""
    time_s = float(times[sample].to_numpy()) if 0 <= sample < times.shape[0] else math.nan
    return time_s if math.isfinite(time_s) else None


def _named(which: NDArray[np.bool_], labels: list[str]) -> str:
    return listed([label for label, chosen in zip(labels, which, strict=True) if chosen])


def listed(names: list[str]) -> str:
    """Return names in a row, of many the first ones and how many more there are."""
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more
