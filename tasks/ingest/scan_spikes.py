"""Full-length checks of spike trains."""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.entities import Finding
from tasks.ingest.scan_times import blocks


@dataclass
class SpikeScan:
    """Per unit: spikes in all, without a time, before the spike before, outside observation."""

    count: NDArray[np.int64]
    nan: NDArray[np.int64]
    unsorted: NDArray[np.int64]
    outside: NDArray[np.int64]
    start_s: float = float("inf")
    stop_s: float = float("-inf")


def scan_spikes(spikes: xr.Dataset, block_mib: float = 32.0) -> SpikeScan:
    """Read all spikes of a spikes stream once, in blocks.

    Spikes outside a unit's `observed` intervals are counted only for units that have some.
    """
    units = spikes.sizes["unit"]
    count, nan, unsorted, outside = (np.zeros(units, np.int64) for _ in range(4))
    scan = SpikeScan(count, nan, unsorted, outside)
    spans = _spans(spikes)
    last_time, last_unit = float("nan"), -1
    pairs = zip(
        blocks(spikes["spike_time"].variable, block_mib),
        # unit_index has half the bytes a value: the same number of rows a block.
        blocks(spikes["unit_index"].variable, block_mib / 2),
        strict=True,
    )
    for times, owner in pairs:
        before = np.concatenate([[last_time], times[:-1]])
        same = np.concatenate([[last_unit], owner[:-1]]) == owner
        scan.count += np.bincount(owner, minlength=units)
        scan.nan += np.bincount(owner[~np.isfinite(times)], minlength=units)
        scan.unsorted += np.bincount(owner[same & (times < before)], minlength=units)
        scan.outside += _count_outside(times, owner, spans, units)
        finite = times[np.isfinite(times)]
        if finite.size:
            scan.start_s = min(scan.start_s, float(finite.min()))
            scan.stop_s = max(scan.stop_s, float(finite.max()))
        last_time, last_unit = float(times[-1]), int(owner[-1])
    return scan


def spike_findings(scan: SpikeScan, labels: list[str], where: str) -> list[Finding]:
    """Return findings about spike trains, units named."""
    rules = (
        ("spikes_nan", scan.nan, "spikes without a time; they are left out"),
        ("spikes_unsorted", scan.unsorted, "spikes before the one before; they are sorted"),
        ("spikes_outside_observation", scan.outside, "spikes while the unit was not observed"),
    )
    found = [
        Finding(
            code=code,
            severity="warning",
            what=f"{int(counts.sum()):,} {what}: {_named(counts, labels)}.",
            where=where,
        )
        for code, counts, what in rules
        if counts.any()
    ]
    silent = [label for label, count in zip(labels, scan.count, strict=True) if count == 0]
    if silent:
        what = f"{len(silent)} of {len(labels)} units have no spikes: {', '.join(silent[:20])}."
        found.append(Finding(code="silent_units", severity="warning", what=what, where=where))
    return found


def _spans(spikes: xr.Dataset) -> dict[int, NDArray[np.float64]]:
    """Return the observed intervals of each unit that has any, sorted by start."""
    if "observed_unit" not in spikes:
        return {}
    owner = spikes["observed_unit"].to_numpy()
    both = np.column_stack([spikes["observed_start"], spikes["observed_stop"]])
    own = {int(unit): both[owner == unit] for unit in np.unique(owner)}
    return {unit: spans[np.argsort(spans[:, 0])] for unit, spans in own.items()}


def _count_outside(
    times: NDArray[np.float64],
    owner: NDArray[np.int32],
    spans: dict[int, NDArray[np.float64]],
    units: int,
) -> NDArray[np.int64]:
    outside = np.zeros(units, np.int64)
    for unit in set(owner.tolist()) & spans.keys():
        own = times[(owner == unit) & np.isfinite(times)]
        place = np.searchsorted(spans[unit][:, 0], own, side="right") - 1
        inside = (place >= 0) & (own <= spans[unit][np.maximum(place, 0), 1])
        outside[unit] = np.sum(~inside)
    return outside


def _named(counts: NDArray[np.int64], labels: list[str]) -> str:
    named = [f"{label} ({n})" for label, n in zip(labels, counts, strict=True) if n]
    more = f" and {len(named) - 20} more" if len(named) > 20 else ""
    return ", ".join(named[:20]) + more
