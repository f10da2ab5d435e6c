"""Files that are damaged or mean harm end in one clear error, in bounded time and memory."""

import os
import random
import runpy
from pathlib import Path

import h5py
import numpy as np
import pynwb
import pytest

from schemas.entities import RunState
from schemas.errors import RecordingError
from schemas.settings.ingest import IngestSettings
from schemas.settings.safety import SafetySettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.workspace import Workspace
from tasks.ingest.guard import Guard, survey_guarded
from tasks.ingest.hashing import logical_sha256
from tasks.ingest.opening import read_recording
from tasks.ingest.quarantine import release_file
from tasks.ingest.task import ingest_recording
from tasks.ingest.validate import QUARANTINED, validate_recording

BENCH = Path(__file__).parents[3] / "benchmarks" / "bench_mutations.py"
SAFETY = SafetySettings(stall_seconds=20.0)
SETTINGS = IngestSettings(inspector=False, safety=SAFETY)


@pytest.fixture
def plain(new_file, save) -> Path:
    """Return a small file with one stream."""
    nwbfile = new_file()
    nwbfile.add_acquisition(pynwb.TimeSeries(name="x", data=np.arange(40.0), unit="V", rate=10.0))
    return save(nwbfile)


def problem_of(path: Path, safety: SafetySettings = SAFETY) -> RecordingError:
    with pytest.raises(RecordingError) as caught:
        survey_guarded(path, safety)
    return caught.value


def test_a_good_file_passes_with_its_hash(plain):
    with h5py.File(plain) as file:
        assert survey_guarded(plain, SAFETY) == logical_sha256(file)


def test_a_file_on_which_hdf5_loops_is_given_up(plain):
    with h5py.File(plain, "r+") as file:
        file["acquisition/x"].attrs["many"] = np.array(["a", "b"], h5py.string_dtype())
    damaged = bytearray(plain.read_bytes())
    start = damaged.find(b"GCOL")
    while start >= 0:
        # An object of size 0 in a global heap: HDF5 walks on by its size, for ever.
        damaged[start + 16 : start + 200] = bytes(184)
        start = damaged.find(b"GCOL", start + 4)
    plain.write_bytes(damaged)
    error = problem_of(plain, SafetySettings(stall_seconds=3.0))
    assert error.problem == "stalled"
    assert "no progress for 3 s" in error.what


def test_a_process_that_dies_is_told(plain, monkeypatch):
    monkeypatch.setattr("tasks.ingest.guard.sys.executable", "/bin/false")
    assert problem_of(plain).problem == "failed"


def test_an_array_that_claims_all_the_world_is_refused(plain):
    with h5py.File(plain, "r+") as file:
        file.create_dataset("acquisition/x/more", (10**15,), "f8", chunks=(10**5,))
    error = problem_of(plain)
    assert error.problem == "claims_too_much"
    assert error.where.endswith("/acquisition/x/more")
    assert "8,000,000,000,000,000" in error.what


def test_a_decompression_bomb_is_refused(plain):
    with h5py.File(plain, "r+") as file:
        data = file.create_dataset(
            "acquisition/x/more", (3 * 2**20,), "u1", chunks=(2**20,), compression=9
        )
        data[:] = 0
    assert problem_of(plain, SafetySettings(max_unpacked_gib=0.001, max_expansion=2)).problem == (
        "claims_too_much"
    )
    assert survey_guarded(plain, SAFETY)


def test_text_that_is_written_once_and_claimed_often_is_counted(plain):
    with h5py.File(plain, "r+") as file:
        text = file.create_dataset("acquisition/x/note", (300,), h5py.string_dtype())
        text[:] = ["a" * 20_000] * 300
    error = problem_of(plain, SafetySettings(max_unpacked_gib=1e-6, max_expansion=0.5))
    assert error.problem == "claims_too_much"


def test_a_chunk_larger_than_memory_is_refused(plain):
    with h5py.File(plain, "r+") as file:
        file.create_dataset("acquisition/x/more", (2**28,), "f8", chunks=(2**28,))
    assert problem_of(plain, SafetySettings(memory_mib=1024)).problem == "chunk_too_large"


def test_groups_without_end_are_refused(plain):
    with h5py.File(plain, "r+") as file:
        file.create_group("scratch/" + "/".join("a" * 150))
    assert problem_of(plain).problem == "too_deep"


def test_too_many_objects_are_refused(plain):
    assert problem_of(plain, SafetySettings(max_objects=5)).problem == "too_many_objects"


def test_links_in_circles_and_to_nowhere_do_no_harm(plain):
    with h5py.File(plain, "r+") as file:
        file["scratch/nowhere"] = h5py.SoftLink("/absent")
        file["scratch/loop"] = file["scratch"]
    assert survey_guarded(plain, SAFETY)
    with h5py.File(plain, "r+") as file:
        file["scratch/self"] = h5py.SoftLink("/scratch/self")
    assert "too many links" in problem_of(plain).what


@pytest.mark.parametrize("name", ["/etc/passwd", "../../../etc/passwd", "../other.h5"])
def test_links_and_data_outside_the_folder_are_refused(plain, name):
    whole = plain.read_bytes()
    with h5py.File(plain, "r+") as file:
        file["scratch/out"] = h5py.ExternalLink(name, "/")
    assert problem_of(plain).problem == "leads_outside"
    plain.write_bytes(whole)
    with h5py.File(plain, "r+") as file:
        file.create_dataset("scratch/out", (4,), "u1", external=[(name, 0, 4)])
    error = problem_of(plain)
    assert (error.problem, name in error.what) == ("leads_outside", True)


def test_virtual_data_outside_the_folder_are_refused_unless_trusted(plain, tmp_path):
    layout = h5py.VirtualLayout((4,), "f8")
    layout[:] = h5py.VirtualSource(str(tmp_path.parent / "other.h5"), "x", (4,))
    with h5py.File(plain, "r+") as file:
        file.create_virtual_dataset("scratch/out", layout)
    assert problem_of(plain).problem == "leads_outside"
    trusted = SafetySettings(trusted_folders=(str(tmp_path.parent),))
    assert survey_guarded(plain, trusted)


def test_a_video_outside_the_folder_is_not_opened(new_file, save, tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "film.mp4").write_bytes(b"film")
    (tmp_path / "nwb").mkdir()
    names = ["../secret.txt", "/etc/passwd", "../film.mp4"]
    nwbfile = new_file()
    for number, name in enumerate(names):
        nwbfile.add_acquisition(
            pynwb.image.ImageSeries(
                name=f"camera{number}",
                external_file=[name],
                format="external",
                timestamps=np.arange(5) / 10,
                starting_frame=[0],
            )
        )
    with read_recording(save(nwbfile, "nwb/session.nwb")) as opened:
        outside = [f.what for f in opened.findings if f.code == "video_outside"]
        found = {name: node.attrs["frames"] for name, node in opened.streams.children.items()}
    assert [any(name in what for what in outside) for name in names] == [True, True, False]
    assert found == {"camera0": "missing", "camera1": "missing", "camera2": "external"}


def test_a_link_out_of_the_landing_folder_is_not_followed(plain, tmp_path):
    landing = tmp_path / "lake" / "landing"
    landing.mkdir(parents=True)
    (landing / "link.nwb").symlink_to(plain)
    workspace = WorkspaceSettings(lake=str(tmp_path / "lake"))
    outcome = ingest_recording(workspace, str(landing / "link.nwb"), SETTINGS)
    assert outcome.state is RunState.FAILED
    assert "leads out of the landing folder" in outcome.reason
    assert plain.is_file()
    assert [p.is_symlink() for p in (tmp_path / "lake/quarantine").glob("*/link.nwb")] == [True]


def test_a_linked_folder_in_the_landing_folder_is_not_followed(plain, tmp_path):
    landing = tmp_path / "lake" / "landing"
    landing.mkdir(parents=True)
    (landing / "folder").symlink_to(plain.parent)
    workspace = WorkspaceSettings(lake=str(tmp_path / "lake"))
    outcome = ingest_recording(workspace, str(landing / "folder" / plain.name), SETTINGS)
    assert "leads out of the landing folder" in outcome.reason
    assert plain.is_file()


def test_one_link_does_not_open_the_way_for_another(plain, new_file, save, tmp_path):
    """Of the folders that links may lead to, none may come from what lies in landing."""
    landing = tmp_path / "lake" / "landing"
    landing.mkdir(parents=True)
    (landing / "any").symlink_to(plain)
    (landing / "link.nwb").symlink_to(plain)
    workspace = WorkspaceSettings(lake=str(tmp_path / "lake"))
    outcome = ingest_recording(workspace, str(landing / "link.nwb"), SETTINGS)
    assert "leads out of the landing folder" in outcome.reason


@pytest.mark.parametrize("spell", ["file://{}", "~/{}"])
def test_a_path_is_read_guarded_however_it_is_spelt(plain, monkeypatch, spell):
    monkeypatch.setenv("HOME", str(plain.parent))
    monkeypatch.setattr("tasks.ingest.guard.sys.executable", "/bin/false")
    named = spell.format(plain if "://" in spell else plain.name)
    found = validate_recording(named, SETTINGS)
    assert found.verdict == QUARANTINED
    assert "the process that reads it first failed" in found.findings[0].what


def test_a_refused_recording_that_was_named_by_a_link_can_be_released(new_file, save, tmp_path):
    other = tmp_path / "other" / "y.h5"
    other.parent.mkdir()
    with h5py.File(other, "w") as file:
        file["y"] = np.arange(3)
    nwbfile = new_file()
    nwbfile.add_acquisition(pynwb.TimeSeries(name="x", data=np.arange(40.0), unit="V", rate=10.0))
    (tmp_path / "data").mkdir()
    path = save(nwbfile, "data/session.nwb")
    with h5py.File(path, "r+") as file:
        file["scratch/out"] = h5py.ExternalLink(str(other), "/y")
    link = tmp_path / "named.nwb"
    link.symlink_to(path)
    workspace = WorkspaceSettings(lake=str(tmp_path / "lake"))
    assert ingest_recording(workspace, str(link), SETTINGS).state is RunState.FAILED
    space = Workspace(workspace)
    (entry,) = space.catalogue.quarantine_reasons()
    file = release_file(space.lake, space.catalogue, entry, "ours")
    assert ingest_recording(workspace, str(file), SETTINGS).state is RunState.COMPLETE
    assert ingest_recording(workspace, str(link), SETTINGS).state is RunState.COMPLETE


def test_bytes_that_are_no_text_are_shown_and_kept_out_of_the_catalogue(plain, tmp_path):
    with h5py.File(plain, "r+") as file:
        for name, text in (
            ("general/subject/subject_id", b"\xff\x1b[31mmouse"),
            ("session_description", b"caf\xe9"),
            ("general/session_id", b"../../up"),
        ):
            del file[name]
            file[name] = np.bytes_(text)
    workspace = WorkspaceSettings(lake=str(tmp_path / "lake"))
    outcome = ingest_recording(workspace, str(plain), SETTINGS)
    sessions = Workspace(workspace).catalogue.sessions()
    if outcome.state is RunState.COMPLETE:
        assert sessions["subject_id"][0].isprintable()
        assert ".." not in sessions["name"][0].split("-")[0]
    else:
        assert outcome.reason.startswith("quarantined")


def test_a_file_that_is_still_copied_waits_in_the_landing_folder(plain, tmp_path):
    landing = tmp_path / "lake" / "landing"
    landing.mkdir(parents=True)
    copy = landing / "session.nwb"
    copy.write_bytes(plain.read_bytes()[:-5000])
    workspace = WorkspaceSettings(lake=str(tmp_path / "lake"))
    waiting = ingest_recording(workspace, str(copy), SETTINGS)
    assert waiting.state is RunState.WAITING
    assert copy.exists()
    os.utime(copy, (1e9, 1e9))
    assert ingest_recording(workspace, str(copy), SETTINGS).state is RunState.FAILED
    copy.write_bytes(plain.read_bytes())
    assert ingest_recording(workspace, str(copy), SETTINGS).state is RunState.COMPLETE


def test_random_damage_ends_well(rich_file, save):
    """Each damaged file is surveyed or refused with a reason; the guard itself never fails."""
    damage_copy = runpy.run_path(str(BENCH))["damage_copy"]
    whole = save(rich_file())
    path = whole.with_name("damaged.nwb")
    rng = random.Random(3)
    problems = []
    for _ in range(8):
        damage_copy(whole, path, rng)
        try:
            survey_guarded(path, SafetySettings(stall_seconds=3.0))
        except RecordingError as error:
            problems.append((error.problem, bool(error.what), bool(error.remedy)))
    assert 0 < len(problems) < 8
    assert {problem[1:] for problem in problems} == {(True, True)}


def test_a_guard_that_has_begun_is_not_begun_again_but_with_other_limits(plain):
    guard = Guard()
    first = guard.begin(plain, SAFETY)
    assert guard.begin(plain, SAFETY) is first
    with h5py.File(plain) as file:
        assert survey_guarded(plain, SAFETY, guard=guard) == logical_sha256(file)
    first = guard.begin(plain, SAFETY)
    assert guard.begin(plain, SAFETY, ("leads_outside",)) is not first
    assert first.poll() is not None
    guard.end()
