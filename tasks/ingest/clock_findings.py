"""Findings about how the clocks of a recording's streams fit together."""

from collections.abc import Mapping, Sequence

import numpy as np

from schemas.entities import Finding

Span = tuple[float, float]
"""First and last time of a stream in seconds; not finite if it has none."""

UNRELATED_S = 86_400.0
"""Sessions are shorter than a day: a stream that starts later than this is on another clock."""

APART_S = 3_600.0
"""Streams further apart than this, and than either of them lasts, are on different clocks."""


def clock_findings(spans: Mapping[str, Span]) -> list[Finding]:
    """Return findings where streams start far from the session's start, before it, or apart.

    Parameters
    ----------
    spans : object path -> first and last time in seconds
    """
    real = {where: span for where, span in spans.items() if np.isfinite(span).all()}
    far = {where: start for where, (start, _) in real.items() if start > UNRELATED_S}
    early = {where: start for where, (start, _) in real.items() if start < 0}
    found: list[Finding] = []
    if far:
        found.append(
            Finding(
                code="clock_not_session",
                severity="warning",
                what=f"{len(far)} of {len(spans)} streams start {min(far.values()):,.0f} s or "
                "more after the session: their clock counts from something else, such as the "
                "boot of a computer. Times are kept as they are; they agree with each other, "
                "not with the session's start.",
                where=", ".join(far),
                remedy="Subtract the clock's origin before writing the file.",
                sample=0,
                time_s=min(far.values()),
                value=f"{min(far.values()):,.3f} s",
            )
        )
    if early:
        found.append(
            Finding(
                code="times_before_session",
                severity="info",
                what=f"{len(early)} of {len(spans)} streams start before the session, the first "
                f"at {min(early.values()):.3f} s.",
                where=", ".join(early),
                sample=0,
                time_s=min(early.values()),
                value=f"{min(early.values()):.3f} s",
            )
        )
    return found + _apart(real)


def _apart(spans: Mapping[str, Span]) -> list[Finding]:
    """Return a finding if the streams fall into groups that never overlap."""
    groups = group_spans(spans)
    if len(groups) < 2:
        return []
    told = "; ".join(f"{start:,.0f} to {stop:,.0f} s: {', '.join(names)}"
                     for names, (start, stop) in groups)  # fmt: skip
    return [
        Finding(
            code="clocks_disagree",
            severity="warning",
            what=f"Streams claim {len(groups)} clocks that never overlap ({told}). What was "
            "recorded at once cannot be told.",
            where=", ".join(names[0] for names, _ in groups),
            remedy="Synchronise them by a pulse that both recorded, or leave one out.",
            sample=0,
            time_s=groups[1][1][0],
            value=f"{groups[1][1][0] - groups[0][1][1]:,.3f} s apart",
        )
    ]


def group_spans(spans: Mapping[str, Span]) -> list[tuple[Sequence[str], Span]]:
    """Group streams whose spans overlap or nearly touch, in the order of time.

    Two groups are apart by more than an hour and by more than either of them lasts.
    """
    groups: list[tuple[list[str], Span]] = []
    for where, (start, stop) in sorted(spans.items(), key=lambda item: item[1]):
        if groups:
            names, (first, last) = groups[-1]
            if start - last <= max(APART_S, last - first, stop - start):
                groups[-1] = ([*names, where], (first, max(last, stop)))
                continue
        groups.append(([where], (start, stop)))
    return [(names, span) for names, span in groups]
