"""The report stage at its edge: gather what the session has, write its page."""

from functools import partial

from schemas.entities import ArtifactRef, StageOutcome
from schemas.settings.report import ReportSettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.draft import Draft
from tasks.common.stage import Request, settle_artifact
from tasks.common.workspace import Workspace

PAGE_NAME = "report.html"


def write_report(
    workspace: WorkspaceSettings,
    parents: tuple[ArtifactRef, ...],
    outcomes: tuple[StageOutcome, ...],
    settings: ReportSettings,
) -> StageOutcome:
    """Write one self-contained HTML page about all artifacts of a session."""
    opened = Workspace(workspace)
    request = Request(
        kind="report",
        stage="report",
        settings=settings,
        parents=parents,
        identity=describe_identity(outcomes),
    )
    build = partial(_build, workspace=opened, parents=parents, outcomes=outcomes, settings=settings)
    return settle_artifact(opened, request, build)


def describe_identity(outcomes: tuple[StageOutcome, ...]) -> str:
    """Return what of the outcomes the page depends on: which stages made nothing, and why."""
    return "\x1f".join(
        f"{o.stage}\x1e{o.state.value}\x1e{o.reason}"
        for o in outcomes
        if o.ref is None and o.stage != "report"
    )


def _build(
    draft: Draft,
    workspace: Workspace,
    parents: tuple[ArtifactRef, ...],
    outcomes: tuple[StageOutcome, ...],
    settings: ReportSettings,
) -> None:
    # Imported where it is needed: they take seconds, and a finished page never gets here.
    from tasks.report.evidence import gather_evidence
    from tasks.report.page import render_page, write_sections

    evidence = gather_evidence(draft.lake, workspace.catalogue, draft.ref, parents, outcomes)
    sections = write_sections(evidence, settings)
    page = render_page(evidence, sections)
    (draft.path / PAGE_NAME).write_text(page, encoding="utf-8")
    shown = sum(not section.empty for section in sections)
    charts = sum(len(section.charts) for section in sections)
    draft.key_figure = f"{shown} of {len(sections)} sections, {charts} charts"
