"""The page as the stage writes it: one file, safe, the same however often it is written."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.entities import RunState, StageOutcome
from schemas.settings.report import ReportSettings
from tasks.common.lake import Lake
from tasks.common.workspace import Workspace
from tasks.report.task import PAGE_NAME, write_report

SETTINGS = ReportSettings()
LOADS = re.compile(
    r"""(?:src|href|poster|action)\s*=\s*["']?\s*(?:https?:)?//|@import|url\(\s*["']?h"""
)


def written(lake: Any, outcome: StageOutcome) -> str:
    assert outcome.ref is not None
    folder = Lake(lake.workspace.lake).folder(outcome.ref)
    return (folder / PAGE_NAME).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(full_lake: Any) -> str:
    outcome = write_report(full_lake.workspace, full_lake.parents, full_lake.outcomes, SETTINGS)
    assert outcome.state is RunState.COMPLETE
    assert outcome.key_figure.startswith("8 of 8 sections")
    return written(full_lake, outcome)


def test_it_loads_nothing_from_anywhere(page: str) -> None:
    assert not LOADS.search(page)
    assert len(page) < 4_000_000


def test_scripts_and_names_from_files_do_not_mix(page: str) -> None:
    # One for the figures, one for the library, one that draws them.
    assert page.count("<script") == page.count("</script>") == 3
    assert "&lt;script&gt;alert(&#39;x&#39;)" in page


def test_every_chart_has_a_figure(page: str) -> None:
    places = re.findall(r'class="plot" id="([^"]+)"', page)
    assert len(places) == len(set(places)) > 15
    for place in places:
        assert f'"{place}":{{"data"' in page


def test_it_tells_the_way_back_to_the_raw_bytes(page: str) -> None:
    assert "ab" * 32 in page
    assert "animal.nwb" in page
    assert "/somewhere" not in page
    assert page.count("was not there") == 1


def test_seconds_and_reuse_of_this_run_do_not_matter(full_lake: Any, page: str) -> None:
    slower = tuple(
        o.model_copy(update={"seconds": 1e3, "reused": True}) for o in full_lake.outcomes
    )
    again = write_report(full_lake.workspace, full_lake.parents, slower, SETTINGS)
    assert again.reused
    assert written(full_lake, again) == page


def test_written_anew_it_is_the_same(full_lake: Any, page: str) -> None:
    again = write_report(full_lake.workspace, full_lake.parents, full_lake.outcomes, SETTINGS)
    assert again.ref is not None
    workspace = Workspace(full_lake.workspace)
    folder = workspace.lake.folder(again.ref)
    workspace.catalogue.forget(again.ref.id)
    for path in folder.iterdir():
        path.unlink()
    anew = write_report(full_lake.workspace, full_lake.parents, full_lake.outcomes, SETTINGS)
    assert not anew.reused
    assert written(full_lake, anew) == page


def test_what_a_session_lacks_is_said(fill_lake: Callable[..., Any], tmp_path: Path) -> None:
    lake = fill_lake(tmp_path, ("recording", "streams", "preprocessed", "aligned"))
    outcome = write_report(lake.workspace, lake.parents, lake.outcomes, SETTINGS)
    assert outcome.key_figure.startswith("5 of 8 sections")
    page = written(lake, outcome)
    assert page.count("had nothing to work on: no &lt;script&gt;") == 3
    # Another reason is another page.
    other = tuple(o.model_copy(update={"reason": "else"}) for o in lake.outcomes)
    assert write_report(lake.workspace, lake.parents, other, SETTINGS).ref != outcome.ref


def test_a_recording_alone_is_enough(fill_lake: Callable[..., Any], tmp_path: Path) -> None:
    lake = fill_lake(tmp_path, ("recording",))
    outcome = write_report(lake.workspace, lake.parents, lake.outcomes, SETTINGS)
    assert outcome.key_figure.startswith("2 of 8 sections, 0 charts")
