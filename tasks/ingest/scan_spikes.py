"""Full-length checks of spike trains."""

import math
from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.entities import Finding, Severity
from tasks.ingest.scan_times import Mask, Odd, Times, blocks
from tasks.ingest.scan_values import listed
from tasks.ingest.time_findings import place

Owners = NDArray[np.int32]
Spans = dict[int, tuple[Times, Times]]
"""Unit -> start of each observed interval, sorted, and the latest stop of all up to it."""

NEVER = (np.array([np.inf]), np.array([-np.inf]))

ABSURD_HZ = 1_000.0
"""No neuron keeps up so many spikes a second."""

SAMPLE_NUMBERS_FROM = 100
"""So many spike times without a fraction of a second are sample numbers."""


@dataclass
class UnitOdd:
    """Spikes that are odd in one way: how many of each unit, and the first of all."""

    counts: NDArray[np.int64]
    first: Odd = field(default_factory=Odd)

    def add(self, odd: Mask, owner: Owners, offset: int, times: Times, values: Times) -> None:
        """Count the marked spikes of a block."""
        if odd.any():
            self.counts = self.counts + np.bincount(owner[odd], minlength=len(self.counts))
            self.first.add(odd, np.arange(offset, offset + len(times)), times, values)


@dataclass
class SpikeScan:
    """What one pass over all spikes found.

    `unsorted` and `repeated` compare a spike with the one before it of the same unit; `outside`
    counts spikes while their unit was not observed, if the table says when any unit was.
    """

    count: NDArray[np.int64]
    absent: UnitOdd
    unsorted: UnitOdd
    repeated: UnitOdd
    outside: UnitOdd
    whole: bool = True
    start_s: float = math.inf
    stop_s: float = -math.inf

    @property
    def numbered(self) -> bool:
        """Whether all times are whole numbers: sample numbers rather than seconds."""
        return self.whole and int(self.count.sum()) >= SAMPLE_NUMBERS_FROM


def scan_spikes(spikes: xr.Dataset, block_mib: float = 32.0) -> SpikeScan:
    """Read all spikes of a spikes stream once, in blocks."""
    units = spikes.sizes["unit"]
    none = np.zeros(units, np.int64)
    scan = SpikeScan(none, UnitOdd(none), UnitOdd(none), UnitOdd(none), UnitOdd(none))
    spans = observed_spans(spikes)
    last_time, last_unit, offset = math.nan, -1, 0
    times_of, owners = spikes["spike_time"].variable, spikes["unit_index"].variable
    pairs = zip(blocks(times_of, block_mib), blocks(owners, block_mib, times_of), strict=True)
    for times, owner in pairs:
        with np.errstate(invalid="ignore"):  # inf - inf
            step = np.diff(times, prepend=last_time)
        step[np.diff(owner, prepend=last_unit) != 0] = np.nan
        scan.count = scan.count + np.bincount(owner, minlength=units)
        scan.absent.add(~np.isfinite(times), owner, offset, times, times)
        scan.unsorted.add(step < 0, owner, offset, times, step)
        scan.repeated.add(step == 0, owner, offset, times, times)
        scan.outside.add(_outside(times, owner, spans), owner, offset, times, times)
        _extend(scan, times[np.isfinite(times)])
        last_time, last_unit, offset = float(times[-1]), int(owner[-1]), offset + len(times)
    return scan


def _extend(scan: SpikeScan, finite: Times) -> None:
    if finite.size:
        scan.whole &= bool(np.all(finite == np.floor(finite)))
        scan.start_s = min(scan.start_s, float(finite.min()))
        scan.stop_s = max(scan.stop_s, float(finite.max()))


def spike_findings(scan: SpikeScan, labels: list[str], where: str) -> list[Finding]:
    """Return findings about spike trains, units named."""
    rules: tuple[tuple[str, Severity, UnitOdd, str, str, str], ...] = (
        ("spikes_nan", "warning", scan.absent, "spikes have no time", "They are left out.", ""),
        ("spikes_unsorted", "warning", scan.unsorted, "spikes are before the spike before",
         "They are sorted.", ""),
        ("spikes_repeated", "info", scan.repeated, "spikes are at the time of the spike before",
         "", "A sorter may have found them twice."),
        ("spikes_outside_observation", "warning", scan.outside,
         "spikes are outside the intervals in which their unit was observed",
         "", "Correct obs_intervals, or the clock of either."),
    )  # fmt: skip
    found = [
        place(
            Finding(
                code=code,
                severity=severity,
                what=f"{int(odd.counts.sum()):,} {what}: {_named(odd.counts, labels)}.",
                where=where,
                value=f"{odd.first.value:.6f} s",
                repair=repair,
                remedy=remedy,
            ),
            odd.first,
        )
        for code, severity, odd, what, repair, remedy in rules
        if odd.first.count
    ]
    return [*found, *_rate_findings(scan, labels, where), *_silent(scan, labels, where)]


def _rate_findings(scan: SpikeScan, labels: list[str], where: str) -> list[Finding]:
    """Return findings about spike times that cannot be seconds."""
    if scan.numbered:
        return [
            Finding(
                code="spikes_are_sample_numbers",
                severity="warning",
                what=f"All {int(scan.count.sum()):,} spike times are whole numbers: sample "
                "numbers, although the unit says seconds.",
                where=where,
                remedy="Divide them by the sampling rate and write the file again.",
                sample=0,
                time_s=scan.start_s,
                value=f"{scan.stop_s:,.0f} s last",
            )
        ]
    length = scan.stop_s - scan.start_s
    rates = scan.count / length if length > 0 else np.zeros(len(labels))
    absurd = (rates > ABSURD_HZ) & (scan.count >= SAMPLE_NUMBERS_FROM)
    if not absurd.any():
        return []
    worst = int(np.argmax(rates))
    return [
        Finding(
            code="spike_rate_absurd",
            severity="warning",
            what=f"{int(absurd.sum())} of {len(labels)} units fire more than {ABSURD_HZ:,.0f} "
            f"times a second over {length:.3g} s: {_named(scan.count * absurd, labels)}.",
            where=where,
            remedy="Check the unit of the spike times, and unsorted noise.",
            sample=worst,
            time_s=scan.start_s,
            value=f"{rates[worst]:,.0f} Hz ({labels[worst]})",
        )
    ]


def _silent(scan: SpikeScan, labels: list[str], where: str) -> list[Finding]:
    silent = scan.count == 0
    if not silent.any():
        return []
    return [
        Finding(
            code="silent_units",
            severity="warning",
            what=f"{int(silent.sum())} of {len(labels)} units have no spikes: "
            f"{listed([label for label, none in zip(labels, silent, strict=True) if none])}.",
            where=where,
            remedy="They carry no information; later stages leave them out.",
            sample=int(np.argmax(silent)),
            value="0 spikes",
        )
    ]


def observed_spans(spikes: xr.Dataset) -> Spans:
    """Return the observed intervals of each unit that has any."""
    if "observed_unit" not in spikes:
        return {}
    owner = spikes["observed_unit"].to_numpy()
    both = np.column_stack([spikes["observed_start"], spikes["observed_stop"]])
    spans: Spans = {}
    for unit in np.unique(owner).tolist():
        own = both[owner == unit]
        own = own[np.argsort(own[:, 0])]
        # The latest stop so far: intervals may lie within each other.
        spans[unit] = (own[:, 0], np.maximum.accumulate(own[:, 1]))
    return spans


def _outside(times: Times, owner: Owners, spans: Spans) -> Mask:
    """Mark spikes of a block, whose units are in order, that are in no observed interval."""
    outside = np.zeros(len(times), bool)
    if not spans:
        return outside
    first = np.flatnonzero(np.diff(owner, prepend=-1))
    for start, stop in zip(first, [*first[1:], len(owner)], strict=True):
        # A unit without an interval, where others have some, was never observed.
        own, (begins, ends) = times[start:stop], spans.get(int(owner[start]), NEVER)
        at = np.searchsorted(begins, own, side="right") - 1
        inside = (at >= 0) & (own <= ends[np.maximum(at, 0)])
        outside[start:stop] = ~inside & np.isfinite(own)
    return outside


def _named(counts: NDArray[np.int64], labels: list[str]) -> str:
    return listed([f"{label} ({n})" for label, n in zip(labels, counts.tolist(), strict=True) if n])
