"""Quality first: is this session fit for use, and if not entirely, where and what to do."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from schemas.entities import QCMetric, RunState
from tasks.report.elements import (
    Cell,
    Section,
    Tone,
    chip,
    details,
    heading,
    note,
    paragraph,
    table,
)
from tasks.report.evidence import Evidence

TITLE, SLUG = "Quality", "quality"
ORDER = {"fail": 0, "warn": 1, "info": 2, "pass": 3}
SEVERITY = {"error": 0, "warning": 1}


def write_quality(evidence: Evidence) -> Section:
    """Return the verdict, every quality figure, the recording's findings, and what did not run."""
    findings = [dict(finding) for finding in evidence.recording.get("findings", ())]
    tone, verdict = judge_session(evidence)
    blocks = [
        Markup('<p class="verdict {}"><strong>{}</strong> <span>{}</span></p>').format(
            tone, verdict, count_checks(evidence)
        ),
        *_stages(evidence),
        heading("Checks"),
        *_metrics(evidence.metrics),
        heading("Findings in the recording"),
        _findings(findings, "recording" in {story.ref.kind for story in evidence.stories}),
    ]
    question = "Can these results be relied on? What should be looked at before using them?"
    return Section(SLUG, TITLE, question, tuple(blocks))


def judge_session(evidence: Evidence) -> tuple[Tone, str]:
    """Return the worst of all verdicts, findings and endings, and its word."""
    verdicts = {metric.verdict for _, metric in evidence.metrics}
    severities = {finding["severity"] for finding in evidence.recording.get("findings", ())}
    states = {ending.state for ending in evidence.endings}
    if "fail" in verdicts or "error" in severities or RunState.FAILED in states:
        return "fail", "Needs attention"
    if "warn" in verdicts or "warning" in severities:
        return "warn", "Usable, with remarks"
    if not verdicts & {"pass"}:
        return "info", "Not checked"
    return "pass", "All checks passed"


def count_checks(evidence: Evidence) -> str:
    """Return how many checks there were and how they went, as one line."""
    verdicts = Counter(metric.verdict for _, metric in evidence.metrics)
    severities = Counter(f["severity"] for f in evidence.recording.get("findings", ()))
    empty = sum(ending.state is RunState.EMPTY for ending in evidence.endings)
    failed = sum(ending.state is RunState.FAILED for ending in evidence.endings)
    parts = [
        f"{verdicts['pass']} passed",
        f"{verdicts['warn']} with a warning",
        f"{verdicts['fail']} failed",
        f"{verdicts['info']} for information",
    ]
    text = "Checks: " + ", ".join(parts) + "."
    if severities:
        text += f" Findings: {severities['error']} errors, {severities['warning']} warnings."
    if empty or failed:
        text += f" Stages: {empty} had nothing to work on, {failed} failed."
    return text


def _stages(evidence: Evidence) -> list[Markup]:
    rows: list[list[Cell]] = [
        [ending.stage, chip(ending.state.value), ending.reason]
        for ending in evidence.endings
        if ending.state is not RunState.COMPLETE
    ]
    return [heading("Stages without a result"), table(["stage", "ended", "why"], rows)] * bool(rows)


def _metrics(metrics: tuple[tuple[str, QCMetric], ...]) -> list[Markup]:
    """Return what needs a look at once, the rest below it; only information is folded away."""
    if not metrics:
        return [note("No stage recorded a quality figure.")]
    judged = sorted(
        (m for m in metrics if m[1].verdict != "info"), key=lambda m: ORDER[m[1].verdict]
    )
    told = [m for m in metrics if m[1].verdict == "info"]
    blocks = [_metric_table(judged)] if judged else []
    if told:
        blocks.append(details(f"{len(told)} figures without a threshold", _metric_table(told)))
    return blocks


def _metric_table(metrics: list[tuple[str, QCMetric]]) -> Markup:
    rows: list[list[Cell]] = [
        [
            chip(metric.verdict),
            stage,
            metric.name.replace("_", " "),
            float(metric.value),
            metric.threshold,
            metric.note,
        ]
        for stage, metric in metrics
    ]
    return table(["verdict", "stage", "figure", "value", "threshold", "note"], rows)


def _findings(findings: Sequence[Mapping[str, Any]], read: bool) -> Markup:
    if not findings:
        return paragraph("None." if read else "The recording's own record is not at hand.")
    told = [f for f in findings if f["severity"] == "info"]
    grave = sorted(
        (f for f in findings if f["severity"] != "info"), key=lambda f: SEVERITY[f["severity"]]
    )
    shown = _finding_table(grave) if grave else paragraph("No error and no warning.")
    noted = details(f"Notes: {len(told)}", _finding_table(told)) if told else Markup("")
    return shown + noted


def _finding_table(findings: Sequence[Mapping[str, Any]]) -> Markup:
    rows: list[list[Cell]] = [
        [chip(f["severity"]), f["what"], f["where"], f.get("remedy", "")] for f in findings
    ]
    return table(["severity", "what", "where", "remedy"], rows)
