"""`tectum serve` as a user meets it: the page, the form, a run with its artifacts, the schedule."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schemas.settings.simulate import SimulateSettings
from tasks.simulate.animal import simulate_animal
from tasks.simulate.nwb_session import write_session

ROOT = Path(__file__).resolve().parents[2]
PLAYWRIGHT = ROOT / "node_modules" / "playwright-core"
CHROMIUM = Path("/usr/bin/chromium")

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Service:
    """A running `tectum serve`."""

    url: str
    lake: Path

    def post(self, path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"{self.url}/api/{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def deployment(self, name: str) -> dict[str, Any]:
        found = self.post("deployments/filter", {"deployments": {"name": {"any_": [name]}}})
        return found[0]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    lake = tmp_path_factory.mktemp("serve") / "lake"
    log = lake.parent / "serve.log"
    port = _free_port()
    command = [sys.executable, "-m", "flows", "serve", "--port", str(port), "--lake", str(lake)]
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "TECTUM_"))}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=clean, start_new_session=True
        )
    try:
        _wait_for(log, "Tectum is served", process)
        yield Service(f"http://127.0.0.1:{port}", lake)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)


def test_nightly_runs_are_scheduled(service: Service) -> None:
    """With a wrong SQLAlchemy all looks healthy and no nightly run is ever created."""
    nightly = service.deployment("nightly")
    query = {
        "deployments": {"id": {"any_": [nightly["id"]]}},
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
    }
    deadline = time.monotonic() + 90
    while not (runs := service.post("flow_runs/filter", query)) and time.monotonic() < deadline:
        time.sleep(1)
    assert runs, "the scheduler created no nightly run"
    assert all("T02:00:00" in run["expected_start_time"] for run in runs)


def test_all_flows_are_deployed_with_forms(service: Service) -> None:
    found = {d["name"]: d for d in service.post("deployments/filter", {})}
    assert set(found) == {
        "process-session", "ingest-recordings", "nightly", "extract-causal-graph",
        "animate-twin", "train-lnm", "query-lnm", "write-report",
    }  # fmt: skip
    schema = found["process-session"]["parameter_openapi_schema"]
    assert schema["properties"]["recording"]["description"]
    assert schema["definitions"]["CausalSettings"]["properties"]
    asked = found["query-lnm"]["parameter_openapi_schema"]
    assert asked["definitions"]["LnmQuestion"]["properties"]["targets"]["description"]


@pytest.mark.browser
def test_a_session_is_processed_from_the_page(service: Service, tmp_path: Path) -> None:
    if not CHROMIUM.exists():
        pytest.skip("Chromium is not installed")
    if shutil.which("node") is None or not PLAYWRIGHT.is_dir():
        pytest.skip("playwright-core is not installed (npm install --no-save playwright-core)")
    recording = _small_recording(tmp_path)
    seen = _drive_page(service, {"recording": str(recording), **QUICK}, tmp_path)
    assert seen["state"] == "Completed", seen["text"]
    assert seen["external"] == [], "the page called another host"
    assert seen["errors"] == []
    for key in ("session-stages", "session-lineage", "session-report"):
        assert key in seen["text"]
    assert list(service.lake.glob("artifacts/report/*/report.html"))


QUICK = {"Patience (Optional)": "1", "Batch Size (Optional)": "4"}
"""Fields of the form that make the run short, by their label."""


def _small_recording(folder: Path) -> Path:
    settings = SimulateSettings(
        duration_s=120, calcium_units=12, spike_units=4, independent_units=2, feedback_units=2
    )
    animal = simulate_animal(settings, np.random.default_rng(0))
    return write_session(animal, folder)


def _drive_page(service: Service, typed: dict[str, str], pictures: Path) -> dict[str, Any]:
    deployment = service.deployment("process-session")["id"]
    script = Path(__file__).with_name("trigger_session.mjs")
    kept = Path(os.environ.get("TECTUM_TEST_PICTURES", pictures))
    done = subprocess.run(
        ["node", str(script), service.url, deployment, json.dumps(typed), str(kept)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(log: Path, text: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        if text in log.read_text(errors="replace"):
            return
        assert process.poll() is None, log.read_text(errors="replace")
        time.sleep(0.5)
    raise AssertionError(f"no '{text}' in:\n{log.read_text(errors='replace')}")
