"""The way into quarantine and out of it: mended, accepted, never lost."""

import json
import os

import h5py
import numpy as np
import pynwb
import pytest
from typer.testing import CliRunner

from flows.cli import app
from schemas.entities import RunState
from schemas.errors import NotFoundError, RecordingError
from schemas.settings.ingest import IngestSettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.workspace import Workspace
from tasks.ingest.quarantine import find_entry, printable, release_file
from tasks.ingest.task import ingest_recording

SETTINGS = IngestSettings(inspector=False)


@pytest.fixture
def workspace(tmp_path) -> WorkspaceSettings:
    return WorkspaceSettings(lake=str(tmp_path / "lake"))


@pytest.fixture
def landed(workspace, new_file, save, tmp_path):
    """Return a file of the landing folder, copied long ago, that links to another folder."""
    (tmp_path / "lake" / "landing").mkdir(parents=True)
    nwbfile = new_file()
    nwbfile.add_acquisition(pynwb.TimeSeries(name="x", data=np.arange(40.0), unit="V", rate=10.0))
    path = save(nwbfile, "lake/landing/session.nwb")
    with h5py.File(path, "r+") as file:
        file["acquisition/x"].create_dataset("huge", (10**13,), "f8", chunks=(10**5,))
    os.utime(path, (1e9, 1e9))
    return path


def run(*words):
    return CliRunner().invoke(app, ["quarantine", *map(str, words)])


def test_a_problem_may_be_accepted_and_the_release_is_in_the_lineage(
    workspace, new_file, save, tmp_path
):
    # Read in full when accepted, so it has to be small: a link to the folder above.
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["y"] = np.arange(3)
    (tmp_path / "lake" / "landing").mkdir(parents=True)
    nwbfile = new_file()
    nwbfile.add_acquisition(pynwb.TimeSeries(name="x", data=np.arange(40.0), unit="V", rate=10.0))
    path = save(nwbfile, "lake/landing/session.nwb")
    with h5py.File(path, "r+") as file:
        file["scratch/out"] = h5py.ExternalLink(str(other), "/y")
    os.utime(path, (1e9, 1e9))
    assert ingest_recording(workspace, str(path), SETTINGS).state is RunState.FAILED
    assert not path.exists()
    listed = json.loads(run("list", "--lake", workspace.lake, "--json").output)
    assert [(e["problem"], e["acceptable"]) for e in listed] == [("leads_outside", True)]
    shown = run("show", listed[0]["id"][:6], "--lake", workspace.lake)
    assert "session.nwb:/scratch/out" in shown.output
    space = Workspace(workspace)
    entry = find_entry(space.catalogue, listed[0]["id"])
    assert release_file(space.lake, space.catalogue, entry, "our own data") == str(path)
    outcome = ingest_recording(workspace, str(path), SETTINGS)
    assert outcome.state is RunState.COMPLETE, outcome.reason
    (recording,) = space.catalogue.get(f"streams/{outcome.ref.id}").parents
    (release,) = space.catalogue.facts(recording.id)["releases"]
    assert (release["problem"], release["why"]) == ("leads_outside", "our own data")
    assert find_entry(space.catalogue, listed[0]["id"])["settled"] == "released"
    findings = space.lake.read_json(recording, "recording.json")["findings"]
    assert "released" in {finding["code"] for finding in findings}


def test_a_file_that_was_mended_in_quarantine_is_tried_again(workspace, landed):
    assert ingest_recording(workspace, str(landed), SETTINGS).state is RunState.FAILED
    (kept,) = (landed.parents[1] / "quarantine").glob("*/session.nwb")
    with h5py.File(kept, "r+") as file:
        del file["acquisition/x/huge"]
    (entry,) = Workspace(workspace).catalogue.quarantine_reasons()
    done = run("release", entry["id"], "--lake", workspace.lake, "--json")
    assert done.exit_code == 0, done.output
    assert landed.exists()
    assert run("list", "--lake", workspace.lake).output == "The quarantine is empty.\n"
    assert (
        '"settled": "replaced"' in run("list", "--all", "--lake", workspace.lake, "--json").output
    )


def test_damage_cannot_be_accepted_and_the_file_stays(workspace, tmp_path):
    landing = tmp_path / "lake" / "landing"
    landing.mkdir(parents=True)
    (landing / "bad.nwb").write_bytes(b"no recording")
    os.utime(landing / "bad.nwb", (1e9, 1e9))
    ingest_recording(workspace, str(landing / "bad.nwb"), SETTINGS)
    space = Workspace(workspace)
    (entry,) = space.catalogue.quarantine_reasons()
    with pytest.raises(RecordingError, match="cannot be accepted"):
        release_file(space.lake, space.catalogue, entry, "")
    (kept,) = space.lake.quarantine.glob("*/bad.nwb")
    assert kept.read_bytes() == b"no recording"
    # What another setting or a faster disk may cure is let out to be tried again.
    retried = release_file(space.lake, space.catalogue, {**entry, "problem": "stalled"}, "")
    assert retried == str(landing / "bad.nwb")
    (landing / "bad.nwb").unlink()
    with pytest.raises(NotFoundError, match="neither in quarantine"):
        release_file(space.lake, space.catalogue, entry, "")


def test_bad_bytes_are_not_read_twice_but_with_other_settings(workspace, landed, monkeypatch):
    own = landed.rename(landed.parents[2] / "own.nwb")
    first = ingest_recording(workspace, str(own), SETTINGS)

    def refuse(*_):
        raise AssertionError("the file was read again")

    monkeypatch.setattr("tasks.ingest.reader.survey_guarded", refuse)
    again = ingest_recording(workspace, str(own), SETTINGS)
    assert (again.state, again.reason) == (RunState.FAILED, first.reason)


def test_an_unknown_id_lists_what_there_is(workspace):
    with pytest.raises(NotFoundError, match="nothing in quarantine has id 'ab'"):
        find_entry(Workspace(workspace).catalogue, "ab")


def test_names_that_hold_terminal_codes_are_spelled_out():
    assert printable("a\x1b[31m\udcffb\n") == "a\\x1b[31m\\udcffb\\n"
