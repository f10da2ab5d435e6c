"""Checking recordings without ingesting them: the same findings, nothing written."""

import json

import h5py
import numpy as np
import pynwb
import pytest
from typer.testing import CliRunner

from flows.cli import app
from schemas.settings.ingest import IngestSettings
from tasks.ingest.validate import validate_recording

PLAIN = IngestSettings(inspector=False)


@pytest.fixture
def recording(new_file, save):
    """Return a function that writes a file of one stream with these times."""

    def write(name, times):
        nwbfile = new_file()
        values = np.sin(np.arange(len(times)))
        nwbfile.add_acquisition(
            pynwb.TimeSeries(name="speed", data=values, unit="cm/s", timestamps=times)
        )
        return save(nwbfile, name)

    return write


def test_a_clean_file_is_accepted_without_a_finding(recording):
    done = validate_recording(recording("clean.nwb", np.arange(300) / 10), PLAIN)
    assert (done.verdict, done.findings, done.kinds) == ("accepted", (), "motion 1")


def test_a_file_that_needs_repair_says_what_is_done(recording):
    times = np.arange(300) / 10
    times[250] = np.nan
    path = recording("nan.nwb", times)
    before = path.read_bytes()
    done = validate_recording(path, PLAIN)
    assert done.verdict == "accepted with repairs"
    assert done.findings[0].place() == "acquisition/speed, sample 250 at 24.9 s: nan"
    assert (path.read_bytes(), list(path.parent.iterdir())) == (before, [path])


@pytest.mark.parametrize("keep", [0, 100, 5000])
def test_a_file_that_cannot_be_read_would_be_quarantined(recording, keep):
    path = recording("short.nwb", np.arange(300) / 10)
    path.write_bytes(path.read_bytes()[:keep])
    done = validate_recording(path, PLAIN)
    assert (done.verdict, done.count("error"), done.streams) == ("quarantined", 1, {})
    assert done.findings[0].remedy


def test_the_command_prints_a_table_and_fails_for_what_cannot_be_used(
    recording, far_server, tmp_path
):
    good = recording("good.nwb", np.arange(300) / 10)
    settings = tmp_path / "settings.yaml"
    settings.write_text("ingest: {inspector: false}")
    options = ["--settings", str(settings)]
    for place in (str(good), f"{far_server.url}/{good.relative_to(tmp_path)}"):
        done = CliRunner().invoke(app, ["validate", place, *options])
        assert done.exit_code == 0
        assert "accepted" in done.stdout
    with h5py.File(tmp_path / "other.nwb", "w") as file:
        file["x"] = 1
    files = [str(good), str(tmp_path / "other.nwb")]
    done = CliRunner().invoke(app, ["validate", *files, *options, "--json"])
    assert done.exit_code == 1
    verdicts = [one["verdict"] for one in json.loads(done.stdout)]
    assert verdicts == ["accepted", "quarantined"]
