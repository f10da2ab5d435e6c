"""Artifacts are made once, found again, and never half there."""

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.entities import ArtifactRef, RunState
from schemas.errors import LakeError, NotFoundError, NothingToDoError, RecordingTooShortError
from schemas.settings.workspace import WorkspaceSettings, local_side
from tasks.common import locks
from tasks.common.commit import check_folder
from tasks.common.doctor import examine
from tasks.common.draft import Draft
from tasks.common.lake import RECORD_NAME, Lake
from tasks.common.locks import hold_lock, is_held, try_lock
from tasks.common.storage import storage_errors
from tasks.common.workspace import Workspace


def test_an_artifact_is_made_once_and_found_again(bench) -> None:
    first, second = bench.make(1), bench.make(1)
    assert (first.reused, second.reused) == (False, True)
    assert first.artifact == second.artifact
    assert bench.number_in(first.artifact.ref) == 1
    record = check_folder(bench.workspace.lake.folder(first.artifact.ref))
    assert record.artifact == first.artifact
    assert record.facts == {"seed": 1}
    assert record.environment["packages"]


def test_the_id_depends_on_all_that_decides_the_result(bench) -> None:
    a, b = (bench.make(number, "streams").artifact.ref for number in (1, 2))
    requests = [
        bench.request(1),
        bench.request(2),
        bench.request(1, "causal"),
        bench.request(1, parents=(a,)),
        bench.request(1, parents=(b,)),
        bench.request(1, parents=(a, b)),
        bench.request(1, parents=(b, a)),
    ]
    assert len({request.artifact_id() for request in requests}) == len(requests)
    assert bench.request(1).artifact_id() == bench.request(1, session_key="x").artifact_id()


def test_the_session_comes_from_the_parents(bench) -> None:
    key = bench.add_session()
    parent = bench.make(1, "streams", session_key=key).artifact.ref
    assert bench.make(2, "aligned", (parent,)).artifact.session_key == key


def test_a_parent_that_is_not_listed_is_refused(bench) -> None:
    with pytest.raises(NotFoundError, match="does not list streams/000000000000"):
        bench.make(1, "aligned", (ArtifactRef(kind="streams", id="0" * 32),))


def test_a_failed_build_leaves_a_run_and_nothing_else(bench) -> None:
    def build(draft: Draft) -> None:
        draft.write_json("half.json", 1)
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        bench.workspace.produce(bench.request(1), build)
    ((run, artifact_id),) = bench.workspace.catalogue.runs_in(RunState.FAILED)
    assert artifact_id == bench.request(1).artifact_id()
    assert bench.workspace.catalogue.run(run)["reason"] == "RuntimeError: broken"
    assert not list(bench.workspace.lake.tmp.iterdir())
    assert not bench.workspace.lake.folders()
    assert not bench.make(1).reused


def test_a_stage_with_nothing_to_do_is_not_tried_again(bench) -> None:
    tried = []

    def build(draft: Draft) -> None:
        tried.append(draft.ref)
        raise RecordingTooShortError("only 3 samples.", where="calcium", remedy="Record longer.")

    for _ in range(2):
        with pytest.raises(NothingToDoError, match=r"calcium: only 3 samples. Record longer."):
            bench.workspace.produce(bench.request(1), build)
    assert len(tried) == 1
    assert len(bench.workspace.catalogue.runs_in(RunState.EMPTY)) == 1


def test_a_folder_whose_maker_died_before_the_row_is_adopted(bench, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("tasks.common.workspace.insert_row", _die)
        with pytest.raises(KeyboardInterrupt):
            bench.make(1)
    assert bench.workspace.catalogue.artifacts() == []
    product = bench.make(1)
    assert product.reused
    assert bench.workspace.catalogue.run(product.artifact.run_id)["state"] == RunState.COMPLETE
    assert examine(bench.workspace, rehash=True) == []


def test_a_damaged_folder_without_row_is_replaced(bench, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("tasks.common.workspace.insert_row", _die)
        with pytest.raises(KeyboardInterrupt):
            bench.make(1)
    (bench.workspace.lake.folder(bench.request(1).ref) / "number.json").write_text("{}")
    product = bench.make(1)
    assert not product.reused
    assert bench.number_in(product.artifact.ref) == 1
    assert examine(bench.workspace, rehash=True) == []


def _die(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_row_without_data_says_what_to_do(bench) -> None:
    ref = bench.make(1).artifact.ref
    folder = bench.workspace.lake.folder(ref)
    folder.rename(folder.with_name("gone"))
    with pytest.raises(LakeError, match="tectum doctor --repair"):
        bench.make(1)


def test_a_fact_that_is_no_json_fails_where_it_is_recorded(bench) -> None:
    def build(draft: Draft) -> None:
        draft.fact("seed", {1, 2})

    with pytest.raises(TypeError, match="fact 'seed' is not JSON"):
        bench.workspace.produce(bench.request(1), build)


def test_a_stage_that_writes_the_records_file_is_caught(bench) -> None:
    def build(draft: Draft) -> None:
        draft.write_json(RECORD_NAME, "taken")

    with pytest.raises(LakeError, match="missing or not"):
        bench.workspace.produce(bench.request(1), build)


# --- a disk that refuses --------------------------------------------------------------------------

STEPS = ["mkdir", "write_json", "write_record", "sync_folder", "rename"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_disk_that_refuses_a_step_is_one_error_and_loses_nothing(
    bench, monkeypatch, step: str, number: int
) -> None:
    before = bench.make(1).artifact

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    targets = {
        "mkdir": "tasks.common.commit.Path.mkdir",
        "write_json": "tasks.common.draft.Draft.write_json",
        "write_record": "tasks.common.workspace.write_record",
        "sync_folder": "tasks.common.commit.sync_folder",
        "rename": "tasks.common.commit.Path.rename",
    }
    with monkeypatch.context() as patch:
        patch.setattr(targets[step], refuse)
        if step == "mkdir":
            # The lock's folder is there already: only the draft's is refused.
            patch.setattr(locks, "_open", lambda path: path.open("a"))
        with pytest.raises(LakeError, match=r"cannot write .*nothing that was finished is lost"):
            bench.make(2)
    assert bench.workspace.catalogue.artifacts() == [before]
    assert examine(bench.workspace, rehash=True) == []
    assert not bench.make(2).reused


def test_an_error_of_another_file_system_is_not_blamed_on_the_lake(tmp_path: Path) -> None:
    raw = PermissionError(errno.EACCES, "Permission denied", "/data/raw.nwb")
    with pytest.raises(PermissionError), storage_errors(tmp_path):
        raise raw
    own = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "tmp" / "x"))
    with pytest.raises(LakeError, match="Permission denied"), storage_errors(tmp_path):
        raise own
    with pytest.raises(ConnectionResetError), storage_errors(tmp_path):
        raise ConnectionResetError(errno.ECONNRESET, "reset")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a file system of 2 MB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs the rights of root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_one_error_and_loses_nothing(small_disk: Path) -> None:
    workspace = Workspace(WorkspaceSettings(lake=str(small_disk / "lake")))
    bench = _small_bench(workspace)
    before = bench(1, 1000)
    with pytest.raises(LakeError, match=r"No space left on device|full"):
        bench(2, 4_000_000)
    assert workspace.catalogue.artifacts() == [before]
    assert [p.code for p in examine(workspace, rehash=True) if p.code != "stuck_run"] == []
    assert bench(3, 1000)
    workspace.catalogue.close()


def test_a_disk_without_room_for_the_catalogue_is_one_error(small_disk: Path) -> None:
    workspace = Workspace(WorkspaceSettings(lake=str(small_disk / "lake")))
    bench = _small_bench(workspace)
    before = bench(1, 1000)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as handle, contextlib.suppress(OSError):
        while handle.write(bytes(4096)):
            pass
    with pytest.raises(LakeError, match=r"full|No space left"):
        bench(2, 1000)
    assert workspace.catalogue.artifacts() == [before]
    filler.unlink()
    assert bench(2, 1000)
    assert examine(workspace, rehash=True) == []
    workspace.catalogue.close()


def test_a_read_only_lake_can_be_read_and_refuses_to_be_written(small_disk: Path) -> None:
    settings = WorkspaceSettings(lake=str(small_disk / "lake"))
    workspace = Workspace(settings)
    bench = _small_bench(workspace)
    before = bench(1, 1000)
    workspace.catalogue.close()
    remount = ["mount", "-o", "remount,ro", str(small_disk)]
    subprocess.run(remount, check=True)
    # Another process would see the lake so from the start.
    from tasks.common.database import _engine_of_process

    _engine_of_process.cache_clear()
    again = Workspace(settings)
    try:
        assert again.catalogue.artifacts() == [before]
        assert _small_bench(again)(1, 1000) == before
        with pytest.raises(LakeError, match="Read-only file system"):
            _small_bench(again)(2, 1000)
        assert examine(again, rehash=True) == []
    finally:
        again.catalogue.close()
        _engine_of_process.cache_clear()


def _small_bench(workspace: Workspace):  # type: ignore[no-untyped-def]
    from schemas.settings.base import StageSettings
    from tasks.common.workspace import Request

    class NumberSettings(StageSettings):
        number: int = 0

    def make(number: int, size: int):  # type: ignore[no-untyped-def]
        def build(draft: Draft) -> None:
            (draft.path / "bytes.bin").write_bytes(os.urandom(size))

        request = Request("aligned", "align", NumberSettings(number=number))
        return workspace.produce(request, build).artifact

    return make


# --- locks and lakes ------------------------------------------------------------------------------


def test_a_lock_is_held_by_one_and_seen_by_others(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "a.lock"
    assert not is_held(path)
    with hold_lock(path):
        assert is_held(path)
        with try_lock(path) as held:
            assert not held
    assert not is_held(path)
    with try_lock(path) as held:
        assert held
        assert is_held(path)


def test_a_file_system_without_locks_is_one_clear_error(tmp_path: Path, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    with pytest.raises(LakeError, match="no file locks"), hold_lock(tmp_path / "a.lock"):
        pytest.fail("the lock was not held")


def test_a_lake_knows_its_own_paths(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    ref = ArtifactRef(kind="aligned", id="0" * 32)
    assert lake.containing(lake.folder(ref) / "session.nwb") == ref
    assert lake.containing(lake.folder(ref)) is None
    assert lake.containing(lake.artifacts / "notes" / "readme" / "a.txt") is None
    assert lake.containing(tmp_path / "session.nwb") is None
    assert Lake(f"file://{tmp_path}/lake").root == lake.root
    assert Lake("s3://bucket/lake").root == local_side("s3://bucket/lake").resolve()
    with pytest.raises(NotFoundError, match="no data of artifact"):
        lake.open_tree(ref)
    with pytest.raises(NotFoundError, match=r"no file 'a\.json'"):
        lake.read_json(ref, "a.json")
