"""Full-length checks of samples: columns that are constant, or hold no numbers."""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.entities import Finding
from tasks.ingest.scan_times import blocks

NAMES_SHOWN = 20


@dataclass
class ValueScan:
    """Per column: number of values that are no numbers, smallest and largest of the others."""

    size: int
    missing: NDArray[np.int64]
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
    """Read the samples of a (time, column) variable once, in blocks."""
    columns = values.shape[1]
    missing = np.zeros(columns, np.int64)
    low, high = np.full(columns, np.inf), np.full(columns, -np.inf)
    for block in blocks(values, block_mib):
        least, most = block.min(axis=0), block.max(axis=0)
        # Both are finite unless a value is not: the slow way is for blocks with a gap.
        if not np.isfinite(least).all() or not np.isfinite(most).all():
            finite = np.isfinite(block)
            missing += np.sum(~finite, axis=0)
            least = np.min(block, axis=0, initial=np.inf, where=finite)
            most = np.max(block, axis=0, initial=-np.inf, where=finite)
        low, high = np.minimum(low, least), np.maximum(high, most)
    return ValueScan(values.shape[0], missing, low, high)


def value_findings(scan: ValueScan, labels: list[str], where: str, dim: str) -> list[Finding]:
    """Return findings that name the columns which are constant, empty or have missing values."""
    found: list[Finding] = []
    if names := _named(scan.constant, labels):
        found.append(
            Finding(
                code=f"constant_{dim}s",
                severity="warning",
                what=f"{scan.constant.sum()} of {len(labels)} {dim}s never change: {names}.",
                where=where,
                remedy="They carry no information; later stages leave them out.",
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
            )
        )
    partly = (scan.missing > 0) & ~scan.absent
    if partly.any():
        share = float(scan.missing[partly].sum()) / (scan.size * int(partly.sum()))
        found.append(
            Finding(
                code="missing_values",
                severity="info",
                what=f"{partly.sum()} of {len(labels)} {dim}s have values that are no numbers, "
                f"{share:.2%} of theirs: {_named(partly, labels)}.",
                where=where,
            )
        )
    return found


def _named(which: NDArray[np.bool_], labels: list[str]) -> str:
    names = [label for label, chosen in zip(labels, which, strict=True) if chosen]
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more
