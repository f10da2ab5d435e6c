"""The doctor finds each kind of damage, mends it, and never touches a good artifact."""

import json
import os
import shutil

import pytest

from schemas.entities import ProcessRun, RunState, now
from tasks.common.digest import hash_file
from tasks.common.doctor import examine, repair_problems
from tasks.common.environment import describe_environment, hash_environment
from tasks.common.lake import RECORD_NAME
from tasks.common.locks import hold_lock
from tasks.common.workspace import Workspace


def codes(workspace: Workspace, **how: bool) -> list[str]:
    """Return the codes of all problems, sorted."""
    return sorted(problem.code for problem in examine(workspace, **how))


def mend(workspace: Workspace, **how: bool) -> list[str]:
    """Repair everything; return the codes of what was mended."""
    return sorted(p.code for p in repair_problems(workspace, examine(workspace, **how)))


def test_a_good_lake_has_no_problems(bench) -> None:
    assert examine(bench.workspace) == []
    artifact = bench.make(1).artifact
    assert examine(bench.workspace, rehash=True, recordings=True) == []
    assert bench.workspace.catalogue.find(artifact.ref.id) == artifact


def test_a_leftover_is_removed_unless_it_is_being_made(bench) -> None:
    ref = bench.request(1).ref
    leftover = bench.workspace.lake.tmp / f"{ref.id}-0a1b2c3d"
    leftover.mkdir(parents=True)
    (leftover / "half").write_text("x")
    with hold_lock(bench.workspace.lake.lock_path(ref.id)):
        assert codes(bench.workspace) == []
    problems = examine(bench.workspace)
    assert [problem.code for problem in problems] == ["leftover"]
    assert "A process died" in str(problems[0])
    with hold_lock(bench.workspace.lake.lock_path(ref.id)):
        assert repair_problems(bench.workspace, problems) == []
    assert repair_problems(bench.workspace, problems) == problems
    assert codes(bench.workspace) == []


def test_a_folder_without_row_gets_its_row_back_with_all_that_belongs_to_it(bench) -> None:
    key = bench.add_session()
    parent = bench.make(1, "streams", session_key=key).artifact
    child = bench.make(2, "aligned", (parent.ref,)).artifact
    catalogue = bench.workspace.catalogue
    before = catalogue.metrics(child.ref.id), catalogue.facts(child.ref.id)
    catalogue.forget(child.ref.id)
    assert codes(bench.workspace) == ["unlisted"]
    assert mend(bench.workspace) == ["unlisted"]
    assert catalogue.find(child.ref.id) == child
    assert (catalogue.metrics(child.ref.id), catalogue.facts(child.ref.id)) == before
    assert codes(bench.workspace, rehash=True) == []


def test_a_lost_catalogue_is_written_again_from_the_lake(bench, new_catalogue) -> None:
    key = bench.add_session()
    parent = bench.make(1, "streams", session_key=key).artifact
    child = bench.make(2, "aligned", (parent.ref,)).artifact
    lost = bench.workspace
    settings = lost.settings.model_copy(update={"catalogue": new_catalogue()})
    again = Workspace(settings)
    assert mend(again) == ["unlisted", "unlisted"]
    assert again.catalogue.artifacts() == lost.catalogue.artifacts()
    assert again.catalogue.session(key) == lost.catalogue.session(key)
    assert again.catalogue.ancestry(child.ref.id) == [(parent.ref, child.ref)]
    run = again.catalogue.run(child.run_id)
    assert run["environment"] == describe_environment()
    assert run["state"] == RunState.COMPLETE
    assert codes(again, rehash=True) == []
    again.catalogue.close()


def test_a_damaged_folder_without_row_is_set_aside(bench) -> None:
    ref = bench.make(1).artifact.ref
    bench.workspace.catalogue.forget(ref.id)
    (bench.workspace.lake.folder(ref) / "number.json").write_text("{}")
    assert mend(bench.workspace) == ["unlisted_damaged"]
    assert [p.name for p in (bench.workspace.lake.damaged / "aligned").iterdir()] == [f"{ref.id}-1"]
    assert codes(bench.workspace) == []
    assert bench.number_in(bench.make(1).artifact.ref) == 1


def test_a_folder_that_holds_another_artifact_is_set_aside(bench) -> None:
    ref, other = bench.make(1).artifact.ref, bench.request(2).ref
    shutil.copytree(bench.workspace.lake.folder(ref), bench.workspace.lake.folder(other))
    assert mend(bench.workspace) == ["unlisted_damaged"]
    assert bench.number_in(bench.make(2).artifact.ref) == 2


def test_a_row_without_data_is_forgotten_and_made_again_under_the_same_id(bench) -> None:
    parent = bench.make(1, "streams").artifact
    child = bench.make(2, "aligned", (parent.ref,)).artifact
    shutil.rmtree(bench.workspace.lake.folder(parent.ref))
    assert mend(bench.workspace) == ["missing"]
    assert bench.workspace.catalogue.find(child.ref.id) == child
    assert not bench.make(1, "streams").reused
    assert bench.workspace.catalogue.ancestry(child.ref.id) == [(parent.ref, child.ref)]
    assert codes(bench.workspace, rehash=True) == []


def test_a_link_to_a_damaged_file_is_as_damaged(bench) -> None:
    parent = bench.make(1, "streams").artifact
    source = bench.workspace.lake.folder(parent.ref) / "number.json"
    request = bench.request(2, parents=(parent.ref,))
    source.write_text(source.read_text().replace("1", "3"))
    bench.workspace.produce(request, lambda draft: os.link(source, draft.path / source.name))
    # Hashed as it was found, the child would vouch for the flipped byte.
    assert codes(bench.workspace, rehash=True) == ["damaged", "damaged"]


@pytest.mark.parametrize("how", ["flip", "shorten", "remove", "add"])
def test_damaged_data_are_found_and_set_aside(bench, how: str) -> None:
    good, bad = bench.make(1).artifact, bench.make(2).artifact
    path = bench.workspace.lake.folder(bad.ref) / "number.json"
    text = path.read_text()
    if how == "flip":
        path.write_text(text.replace("2", "3"))
    elif how == "shorten":
        path.write_text(text[:-1])
    elif how == "remove":
        path.unlink()
    else:
        path.with_name("more.json").write_text("1")
    # A flipped byte or an added file keeps the sizes of all others: only reading finds it.
    assert codes(bench.workspace) == ([] if how in {"flip", "add"} else ["damaged"])
    assert mend(bench.workspace, rehash=True) == ["damaged"]
    assert bench.workspace.catalogue.artifacts() == [good]
    assert len(list((bench.workspace.lake.damaged / "aligned").iterdir())) == 1
    assert bench.number_in(bench.make(2).artifact.ref) == 2


def test_a_lost_record_does_not_condemn_good_data(bench) -> None:
    folder = bench.workspace.lake.folder(bench.make(1).artifact.ref)
    (folder / RECORD_NAME).unlink()
    assert codes(bench.workspace) == codes(bench.workspace, rehash=True) == []
    (folder / RECORD_NAME).write_text(json.dumps({"version": "from the future"}))
    assert codes(bench.workspace) == codes(bench.workspace, rehash=True) == []
    (folder / "number.json").write_text("{}")
    assert codes(bench.workspace) == ["damaged"]


def test_a_run_whose_process_is_gone_becomes_incomplete(bench) -> None:
    ref = bench.request(1).ref
    catalogue = bench.workspace.catalogue
    for run_id in ("first", "second"):
        run = ProcessRun(
            id=run_id,
            stage="align",
            artifact_id=ref.id,
            session_key=None,
            started=now(),
            environment_hash=hash_environment(),
        )
        catalogue.start_run(run, describe_environment())
    # The second run could only start because the first had died.
    assert catalogue.run("first")["state"] == RunState.INCOMPLETE
    with hold_lock(bench.workspace.lake.lock_path(ref.id)):
        assert codes(bench.workspace) == []
    assert mend(bench.workspace) == ["stuck_run"]
    assert catalogue.run("second")["state"] == RunState.INCOMPLETE
    assert codes(bench.workspace) == []


def test_raw_recordings_that_moved_or_changed_are_told(bench, tmp_path) -> None:
    recording = bench.make(1, "recording").artifact.ref.id
    raw = tmp_path / "a.nwb"
    raw.write_text("raw")
    found = raw.stat()
    bench.workspace.catalogue.add_recording_file(
        str(raw),
        found.st_size,
        found.st_mtime_ns,
        hash_file(raw),
        recording,
    )
    assert codes(bench.workspace, recordings=True, rehash=True) == []
    raw.touch()
    assert codes(bench.workspace, recordings=True) == [], "touched, but the same bytes"
    raw.write_text("other")
    assert codes(bench.workspace, recordings=True) == ["recording_changed"]
    raw.unlink()
    assert codes(bench.workspace, recordings=True) == ["recording_gone"]
    assert mend(bench.workspace, recordings=True) == []


def test_what_is_not_ours_is_told_and_left_alone(bench) -> None:
    lake = bench.workspace.lake
    for folder in (lake.tmp / "mine", lake.artifacts / "aligned" / "notes"):
        folder.mkdir(parents=True)
    assert codes(bench.workspace) == ["foreign", "foreign"]
    assert mend(bench.workspace) == []
    assert (lake.tmp / "mine").is_dir()
