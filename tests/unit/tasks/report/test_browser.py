"""The page in a real browser: every chart is drawn, nothing is reported as an error."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from schemas.settings.report import ReportSettings
from tasks.common.lake import Lake
from tasks.report.task import PAGE_NAME, write_report

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr",
    "--window-size=1400,16000", "--virtual-time-budget=20000", "--dump-dom",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> str:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("there is no Chromium on this machine")
    return found


@pytest.mark.browser
def test_all_charts_are_drawn_without_an_error(
    browser: str, full_lake: Any, tmp_path: Path
) -> None:
    outcome = write_report(
        full_lake.workspace, full_lake.parents, full_lake.outcomes, ReportSettings()
    )
    assert outcome.ref is not None
    page = Lake(full_lake.workspace.lake).folder(outcome.ref) / PAGE_NAME
    done = subprocess.run(
        [browser, *FLAGS, f"--user-data-dir={tmp_path}", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert said == []
    places = re.findall(r'class="plot[^"]*" id="[^"]+"', done.stdout)
    assert len(places) > 15
    assert done.stdout.count('class="plot drawn js-plotly-plot"') == len(places)
    assert 'id="trouble" hidden' in done.stdout
