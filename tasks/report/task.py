"""The report stage at its edge: gather what the session has, write its page."""

from functools import partial

from prefect import task
from prefect.cache_policies import NO_CACHE

from schemas.entities import ArtifactRef, StageOutcome
from schemas.settings.report import ReportSettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.draft import Draft
from tasks.common.stage import Request, settle_artifact
from tasks.common.workspace import Workspace
from tasks.report.evidence import describe_identity, gather_evidence

PAGE_NAME = "report.html"


@task(name="report", cache_policy=NO_CACHE, persist_result=False)
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


def _build(
    draft: Draft,
    workspace: Workspace,
    parents: tuple[ArtifactRef, ...],
    outcomes: tuple[StageOutcome, ...],
    settings: ReportSettings,
) -> None:
    # Imported where it is needed: plotly takes a second, and a finished page never gets here.
    from tasks.report.page import render_page, write_sections

    evidence = gather_evidence(draft.lake, workspace.catalogue, draft.ref, parents, outcomes)
    sections = write_sections(evidence, settings)
    page = render_page(evidence, sections)
    (draft.path / PAGE_NAME).write_text(page, encoding="utf-8")
    shown = sum(not section.empty for section in sections)
    charts = sum(len(section.charts) for section in sections)
    draft.key_figure = f"{shown} of {len(sections)} sections, {charts} charts"
