"""What the commands print and leave behind, run as a user runs them."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pynwb
import pytest
import s3fs
from typer.testing import CliRunner, Result

from flows.cli import app

SESSION = "mouse-s1"


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Two seconds of running and nothing else: causal, twin and lnm have nothing to do."""
    session = pynwb.NWBFile(
        session_description="running", identifier="1", session_id="s1",
        session_start_time=datetime(2026, 1, 1, tzinfo=UTC),
        subject=pynwb.file.Subject(subject_id="mouse", species="Mus musculus", age="P9W", sex="F"),
    )  # fmt: skip
    speed = np.random.default_rng(0).gamma(2.0, 3.0, 60)
    behaviour = session.create_processing_module("behavior", "running")
    behaviour.add(pynwb.TimeSeries(name="running_speed", data=speed, unit="cm/s", rate=30.0))
    path = tmp_path / "session.nwb"
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(session)
    return path


def call(*words: str) -> Result:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    return result


def stages(result: Result) -> dict[str, tuple[str, bool]]:
    """Return the state of each stage, and whether it was there already."""
    (session,) = json.loads(result.stdout)
    return {s["stage"]: (s["state"], s["reused"]) for s in session["stages"]}


def test_a_bucket_takes_a_recording_from_a_bucket_to_the_report(
    recording: Path, s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "first"))
    s3fs.S3FileSystem().put(str(recording), f"{s3_bucket}/in/session.nwb")
    lake = f"{s3_bucket}/lab/lake"
    words = ("run", f"{s3_bucket}/in/session.nwb", "--lake", lake, "--json")
    done = stages(call(*words))
    assert [name for name, (state, _) in done.items() if state == "Complete"] == [
        "ingest", "preprocess", "align", "report"
    ]  # fmt: skip
    assert {done[name][0] for name in ("causal", "twin", "lnm")} == {"Empty"}
    assert all(reused for state, reused in stages(call(*words)).values() if state == "Complete")
    listed = json.loads(call("sessions", "--lake", lake, "--json").stdout)
    assert [row["name"] for row in listed] == [SESSION]
    whole = tmp_path / "settings.yaml"
    whole.write_text("causal: {use: all}")
    planned = call("causal", "plan", SESSION, "--lake", lake, "--settings", str(whole)).output
    assert "1 nodes of" in planned
    assert "0 ordered pairs" in planned
    # Another machine has another catalogue, until it is told or mended.
    monkeypatch.setenv("HOME", str(tmp_path / "second"))
    assert "lists none of the 5 artifacts" in call("sessions", "--lake", lake).output
    call("doctor", "--repair", "--lake", lake)
    assert SESSION in call("sessions", "--lake", lake).output


def test_a_link_in_the_landing_folder_is_not_followed_by_its_name(
    recording: Path, tmp_path: Path
) -> None:
    landing = tmp_path / "lake" / "landing"
    landing.mkdir(parents=True)
    (landing / "link.nwb").symlink_to(recording)
    words = ("run", str(landing / "link.nwb"), "--lake", str(tmp_path / "lake"), "--json")
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert stages(result)["ingest"] == ("Failed", False)


def test_an_empty_lake_says_how_to_begin(tmp_path: Path) -> None:
    assert "Start with 'tectum run" in call("sessions", "--lake", str(tmp_path)).output
