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
    code,
    details,
    heading,
    keep_together,
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
        *_recording_verdict(evidence.recording),
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


def _recording_verdict(recording: Mapping[str, Any]) -> list[Markup]:
    """Return whether ingest took the recording as it is, and how much it had to repair."""
    verdict = str(recording.get("verdict", ""))
    if not verdict:
        return []
    repairs = sum(bool(f.get("repair")) for f in recording.get("findings", ()))
    told = f" {repairs} of the findings below led to a repair; the raw file is as it was."
    sentence = f" Ingest {verdict.replace('accepted', 'accepted the recording')}."
    return [paragraph(chip("warn" if repairs else "pass") + sentence + (told if repairs else ""))]


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
        [chip(f["severity"]), f["what"], _place(f), _remedy(f)] for f in findings
    ]
    return table(["severity", "what", "where", "what was done, what to do"], rows)


def _place(finding: Mapping[str, Any]) -> Markup:
    """Return the objects, one a line, and the first sample with its time and value."""
    lines = [code(part) for part in str(finding["where"]).split(", ")]
    sample, time_s = finding.get("sample"), finding.get("time_s")
    if sample is not None:
        at = "" if time_s is None else f" at {time_s:,.6g} s"
        lines.append(keep_together(f"sample {sample:,}{at}") or Markup(""))
    if value := finding.get("value"):
        lines.append(Markup("found: {}").format(value))
    return Markup("<br>").join(lines)


def _remedy(finding: Mapping[str, Any]) -> Markup:
    """Return what ingest did about a finding, and what the reader can do."""
    done, to_do = finding.get("repair", ""), finding.get("remedy", "")
    parts = [Markup("<strong>Done:</strong> {}").format(done)] if done else []
    return Markup("<br>").join([*parts, *([Markup("{}").format(to_do)] if to_do else [])])
