"""NWB Inspector's view of a file, as findings."""

import re
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from nwbinspector import Importance, available_checks, run_checks

from schemas.entities import Finding, Severity
from tasks.ingest.objects import Container

PLACES_SHOWN = 5

SEVERITY: dict[str, Severity] = {
    "CRITICAL": "warning",
    "BEST_PRACTICE_VIOLATION": "info",
    "BEST_PRACTICE_SUGGESTION": "info",
}


def inspect(nwbfile: Container, budget_s: float) -> list[Finding]:
    """Run NWB Inspector's checks on an open file; return a finding for each that has a remark.

    It looks at the first 200 rows of most data, so it adds to the full-length checks and does not
    replace them. It starts no further check once `budget_s` seconds are over, and says so.
    """
    said: dict[str, list[Any]] = defaultdict(list)
    start = time.monotonic()
    skipped = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for check in available_checks:
            if time.monotonic() - start > budget_s:
                skipped += 1
                continue
            for message in _messages(nwbfile, check):
                said[message.check_function_name].append(message)
    findings = [_finding(name, messages) for name, messages in sorted(said.items())]
    if skipped:
        what = f"{skipped} of {len(available_checks)} NWB Inspector checks were not run in time."
        findings.append(Finding(code="inspector_stopped", severity="info", what=what, where="/"))
    return findings


def _messages(nwbfile: Container, check: Any) -> Iterator[Any]:
    """Yield what one check says; a check that itself fails says nothing about the file."""
    for message in run_checks(nwbfile=nwbfile, checks=[check]):
        if message is not None and message.importance != Importance.ERROR:
            yield message


def _finding(name: str, messages: list[Any]) -> Finding:
    places = [f"{m.location or '/'}" for m in messages]
    more = f" and {len(places) - PLACES_SHOWN} more" if len(places) > PLACES_SHOWN else ""
    return Finding(
        code="inspector_" + re.sub(r"[^a-z_]+", "_", name.removeprefix("check_").lower()),
        severity=SEVERITY.get(messages[0].importance.name, "info"),
        what=" ".join(str(messages[0].message).split()),
        where=", ".join(dict.fromkeys(places[:PLACES_SHOWN])) + more,
    )
