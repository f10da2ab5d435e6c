"""The page: header, stage strip, navigation, sections; one file that needs nothing else."""

import base64
import gzip
import json
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from schemas.entities import RunState
from schemas.settings.report import ReportSettings
from tasks.report.alignment import write_alignment
from tasks.report.causal import write_causal
from tasks.report.elements import (
    TONES,
    Cell,
    Section,
    Tone,
    format_seconds,
    format_time,
)
from tasks.report.events import write_events
from tasks.report.evidence import STAGES, Ending, Evidence
from tasks.report.large_model import write_large_model
from tasks.report.lineage import write_lineage
from tasks.report.quality import judge_session, write_quality
from tasks.report.streams import write_streams
from tasks.report.virtual_animal import write_virtual_animal

TEMPLATES = Path(__file__).parent / "templates"
STAGE_TITLES = {
    "simulate": "Simulate",
    "ingest": "Ingest",
    "preprocess": "Preprocess",
    "sync": "Clocks",
    "align": "Align",
    "causal": "Causal graph",
    "twin": "Virtual animal",
    "lnm": "Neural model",
}


def write_sections(evidence: Evidence, settings: ReportSettings) -> tuple[Section, ...]:
    """Return all sections in the order of the page."""
    return (
        write_quality(evidence),
        write_streams(evidence, settings),
        write_alignment(evidence, settings),
        write_events(evidence, settings),
        write_causal(evidence, settings),
        write_virtual_animal(evidence, settings),
        write_large_model(evidence, settings),
        write_lineage(evidence),
    )


def render_page(evidence: Evidence, sections: tuple[Section, ...]) -> str:
    """Return the page as HTML that loads nothing from anywhere.

    The drawing library is there once, compressed; a figure is drawn when it is scrolled to.
    """
    charts = {chart.key: chart for section in sections for chart in section.charts}
    if len(charts) != sum(len(section.charts) for section in sections):
        raise ValueError("two charts have the same key")
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    tone, verdict = judge_session(evidence)
    return environment.get_template("page.html.j2").render(
        title=evidence.session_name or "session",
        session_facts=list_session_facts(evidence),
        stages=[_stage_card(stage, evidence.endings) for stage in _stages(evidence)],
        tone=tone,
        verdict=verdict,
        sections=sections,
        figures=Markup(embed_json({key: chart.figure.to_json() for key, chart in charts.items()})),
        library=pack_library(),
        style=Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),
        script=Markup((TEMPLATES / "page.js").read_text(encoding="utf-8")),
    )


def embed_json(figures: dict[str, str]) -> str:
    """Return JSON that may stand inside a script element whatever the names in it say."""
    text = "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in figures.items()) + "}"
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


@cache
def pack_library() -> str:
    """Return plotly.js as base64 of gzip: 2 MB of text in place of 5."""
    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), 9, mtime=0)).decode()


def list_session_facts(evidence: Evidence) -> list[tuple[str, Cell]]:
    """Return who was recorded, when and how."""
    session = evidence.session
    if session is None:
        return []
    subject = session.subject
    told = dict(evidence.recording.get("session", {}))
    known: list[tuple[str, Cell]] = [
        ("subject", subject.subject_id),
        ("species", subject.species),
        ("sex", subject.sex),
        ("age", subject.age),
        ("genotype", subject.genotype),
        ("session", session.session_id),
        ("started", format_time(session.start_time)),
        ("lab", _plain(told.get("lab"))),
        ("institution", _plain(told.get("institution"))),
        ("experimenter", _plain(told.get("experimenter"))),
    ]
    return [(name, value) for name, value in known if value]


def _plain(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(str(part) for part in value)
    return str(value) if value else ""


def _stages(evidence: Evidence) -> list[str]:
    """Return the stages of the strip: simulation and clocks only where there was one to make."""
    empty = {e.stage for e in evidence.endings if e.state is RunState.EMPTY}
    ended = {ending.stage for ending in evidence.endings} - empty
    return [stage for stage in STAGES if stage not in ("simulate", "sync") or stage in ended]


def _stage_card(stage: str, endings: tuple[Ending, ...]) -> dict[str, Cell]:
    title = STAGE_TITLES[stage]
    ending = next((e for e in endings if e.stage == stage), None)
    if ending is None:
        return {"title": title, "state": "not run", "tone": "info", "text": "", "when": ""}
    tone: Tone = TONES.get(ending.state.value.lower(), "info")
    took = format_seconds(ending.seconds) if ending.seconds is not None else ""
    if ending.earlier and ending.made is not None:
        took += f", reused from {ending.made:%Y-%m-%d}"
    done = ending.state is RunState.COMPLETE
    return {
        "title": title,
        "state": ending.state.value,
        "tone": tone,
        "text": ending.key_figure if done else ending.reason,
        "when": took,
    }
