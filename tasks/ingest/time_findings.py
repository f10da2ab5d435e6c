"""What scans of time axes say, as findings."""

import math
from collections.abc import Mapping

from schemas.entities import Finding, StreamKind
from tasks.ingest.scan_times import JITTER, Odd, TimeScan

FRAME_NUMBERS_FROM = 100
"""So many samples at 0, 1, 2, ... are frame numbers; fewer may be chance."""

UNEVEN_SHARE = 0.01
"""A clock may have so many uneven steps before it is worth a word."""

LONGEST_S = 7 * 86_400.0
"""No recording lasts longer than a week: such times are no seconds."""

PLAUSIBLE_HZ: dict[StreamKind, tuple[float, float]] = {
    "calcium": (0.05, 20_000.0),
    "lfp": (1.0, 1e6),
    "eye": (0.5, 20_000.0),
    "pose": (0.1, 20_000.0),
    "video": (0.01, 50_000.0),
    "audio": (100.0, 2e6),
    "motion": (0.1, 1e6),
    "signal": (1 / 86_400, 1e8),
}
"""Slowest and fastest rate that a rig may have had. A rate of 1/30 Hz for a camera is a period
written as a rate; 30,000,000 Hz for a probe comes from times in milliseconds or sample numbers."""


def order_findings(scan: TimeScan, where: str, repairs: Mapping[str, str]) -> list[Finding]:
    """Return a finding for each way in which a time axis is out of order.

    repairs : code -> what ingest does about the samples, e.g. "They are left out."
    """
    kinds = (
        ("timestamps_nan", scan.nan, "have no time (NaN)"),
        ("timestamps_infinite", scan.infinite, "have an infinite time"),
        ("timestamps_repeated", scan.repeated, "have the time of the sample before"),
        ("timestamps_reversed", scan.reversed, "have an earlier time than the sample before"),
    )
    return [
        place(
            Finding(
                code=code,
                severity="warning",
                what=f"{odd.count:,} of {scan.size:,} samples {text}.",
                where=where,
                value=_order_value(code, odd),
                repair=repairs[code],
                remedy="Find out in the rig's log what happened at this sample.",
            ),
            odd,
        )
        for code, odd, text in kinds
        if odd.count
    ]


def _order_value(code: str, odd: Odd) -> str:
    if code in ("timestamps_nan", "timestamps_infinite"):
        return f"{odd.value}"
    return f"{odd.time_s:.6f} s after {odd.time_s - odd.value:.6f} s"


def shape_findings(scan: TimeScan, kind: StreamKind, where: str) -> list[Finding]:
    """Return findings about gaps, uneven steps, and clocks that do not count seconds."""
    if not scan.regular and _counts_frames(scan):
        return [_frame_numbers(scan, where)]
    found = [*_rate(scan, kind, where), *_length(scan, where)]
    if scan.regular:
        return found
    if scan.gaps.count:
        what = (
            f"{scan.gaps.count:,} gap(s), the longest {scan.gaps.value:.3g} s, where samples "
            f"usually come every {scan.usual_step_s:.4g} s."
        )
        found.append(_place("gaps", what, where, scan.gaps))
    if scan.uneven.count > UNEVEN_SHARE * scan.steps:
        what = (
            f"{scan.uneven.count / scan.steps:.1%} of the steps differ by more than {JITTER:.0%} "
            f"from the usual {scan.usual_step_s:.4g} s: the clock jitters."
        )
        found.append(_place("jitter", what, where, scan.uneven))
    return found


def _counts_frames(scan: TimeScan) -> bool:
    """Tell whether the times are 0, 1, 2, ... or 1, 2, 3, ..."""
    return scan.counting and scan.size >= FRAME_NUMBERS_FROM and scan.start_s in (0.0, 1.0)


def _frame_numbers(scan: TimeScan, where: str) -> Finding:
    return Finding(
        code="timestamps_are_frame_numbers",
        severity="warning",
        what=f"The {scan.size:,} timestamps are {scan.start_s:g}, {scan.start_s + 1:g}, "
        f"{scan.start_s + 2:g}, ...: frame numbers, although the unit says seconds.",
        where=where,
        remedy="Set sample_rates_hz for this object to the frame rate.",
        sample=0,
        time_s=scan.start_s,
        value="1 s a sample",
    )


def _rate(scan: TimeScan, kind: StreamKind, where: str) -> list[Finding]:
    slowest, fastest = PLAUSIBLE_HZ.get(kind, (0.0, math.inf))
    rate = 1 / scan.usual_step_s if scan.steps > 0 else math.nan
    if math.isnan(rate) or slowest <= rate <= fastest:
        return []
    return [
        Finding(
            code="rate_absurd",
            severity="warning",
            what=f"{rate:.6g} samples a second; a stream of kind '{kind}' has between "
            f"{slowest:.3g} and {fastest:.3g}. Is it a period, or are the times no seconds?",
            where=where,
            remedy="Set sample_rates_hz for this object to the true rate.",
            sample=0,
            time_s=scan.start_s,
            value=f"{rate:.6g} Hz",
        )
    ]


def _length(scan: TimeScan, where: str) -> list[Finding]:
    length = scan.stop_s - scan.start_s
    if not length > LONGEST_S:
        return []
    return [
        Finding(
            code="duration_absurd",
            severity="warning",
            what=f"The stream spans {length / 86_400:,.1f} days: its times are hardly seconds, or "
            "some are from another clock.",
            where=where,
            remedy="Write the times in seconds.",
            time_s=scan.stop_s,
            value=f"{length:.6g} s",
        )
    ]


def place(finding: Finding, odd: Odd) -> Finding:
    """Return a finding with the sample and time at which it was first seen."""
    time_s = odd.time_s if math.isfinite(odd.time_s) else None
    return finding.model_copy(update={"sample": odd.sample, "time_s": time_s})


def _place(code: str, what: str, where: str, odd: Odd) -> Finding:
    """Return a note about steps, with the step in question."""
    finding = Finding(
        code=code,
        severity="info",
        what=what,
        where=where,
        value=f"{odd.value:.6g} s",
        remedy="None is needed: times are kept, and nothing is interpolated across a gap.",
    )
    return place(finding, odd)
