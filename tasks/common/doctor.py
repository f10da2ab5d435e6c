"""What is wrong with a lake, and how to mend it without losing a good artifact.

A killed process leaves at most a folder in tmp/, a complete folder without its row, or a run that
still counts as running. A failing disk or a hand in the lake leaves rows without data and damaged
data. Each is found here and mended under the artifact's lock, so a doctor may run while stages do.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import uuid4

from schemas.entities import Artifact, ArtifactRef, RunState
from schemas.errors import LakeError
from tasks.common.bucket import BucketFolder
from tasks.common.commit import (
    adopt_folder,
    check_folder,
    find_manifest,
    read_record,
    verify_contents,
    verify_sizes,
)
from tasks.common.digest import digest_manifest, hash_file
from tasks.common.lake import RECORD_NAME, ref_of
from tasks.common.locks import is_held, try_lock
from tasks.common.progress import track
from tasks.common.run_rows import DIED
from tasks.common.storage import storage_errors
from tasks.common.workspace import Workspace

Code = Literal[
    "leftover", "unlisted", "unlisted_damaged", "missing", "damaged", "stuck_run",
    "recording_gone", "recording_changed", "foreign",
]  # fmt: skip

REMEDIES: dict[Code, str] = {
    "leftover": "Repair removes it.",
    "unlisted": "Repair writes its row.",
    "unlisted_damaged": "Repair moves it to damaged/.",
    "missing": "Repair removes its row; the next run makes it again.",
    "damaged": "Repair moves it to damaged/ and removes its row; the next run makes it again.",
    "stuck_run": "Repair marks the run as Incomplete.",
    "recording_gone": "Put the file back, or ignore this: what was made from it is in the lake.",
    "recording_changed": "Ingest it again: what is in the lake was made from the earlier bytes.",
    "foreign": "Move it out of the lake.",
}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a lake.

    code : which kind of problem
    what : the problem in words
    where : the path, or the run
    artifact_id : the artifact whose lock guards the mending
    kind : the kind of that artifact, where the problem is its folder or row
    run_id : the run it is about, if it is about one
    """

    code: Code
    what: str
    where: str
    artifact_id: str = ""
    kind: str = ""
    run_id: str = ""

    @property
    def ref(self) -> ArtifactRef:
        """The artifact it is about."""
        return ArtifactRef(kind=self.kind, id=self.artifact_id)

    @property
    def mendable(self) -> bool:
        """Whether repair_problems can do anything about it."""
        return self.code in _MENDERS

    def __str__(self) -> str:
        return f"{self.what} ({self.where}) {REMEDIES[self.code]}"


def examine(
    workspace: Workspace, *, rehash: bool = False, recordings: bool = False
) -> list[Problem]:
    """Return everything that is wrong with a lake and its catalogue; changes nothing.

    Parameters
    ----------
    workspace : the lake and its catalogue
    rehash : read every byte of every artifact, rather than only compare the files' sizes
    recordings : also look whether the raw recordings are where they were, unchanged
    """
    problems = [
        *_leftovers(workspace),
        *_without_row(workspace),
        *_without_data(workspace, rehash),
        *_stuck_runs(workspace),
    ]
    return [*problems, *_stale_recordings(workspace, rehash)] if recordings else problems


def repair_problems(workspace: Workspace, problems: Iterable[Problem]) -> list[Problem]:
    """Mend what can be mended and return what is mended, by this call or meanwhile by another.

    Each problem is looked at again under its artifact's lock, and left alone while somebody else
    holds that. A good artifact is never touched.
    """
    return [problem for problem in problems if problem.mendable and _mend(workspace, problem)]


# --- finding ------------------------------------------------------------------------------------


def _leftovers(workspace: Workspace) -> Iterator[Problem]:
    for path in sorted(workspace.lake.tmp.glob("*")):
        artifact_id, dash, _ = path.name.partition("-")
        if not dash or ref_of("any", artifact_id) is None:
            yield Problem("foreign", "Something in tmp/ is no leftover of Tectum.", str(path))
        elif not is_held(workspace.lake.lock_path(artifact_id)):
            what = "A process died while it made this."
            yield Problem("leftover", what, str(path), artifact_id)


def _without_row(workspace: Workspace) -> Iterator[Problem]:
    folders = workspace.lake.folders()
    listed = {artifact.ref for artifact in workspace.catalogue.artifacts()}
    for ref in sorted(folders.keys() - listed, key=str):
        if problem := _judge_unlisted(workspace, ref):
            yield problem
    strangers = [] if workspace.lake.bucket else sorted(workspace.lake.artifacts.glob("*/*"))
    for path in strangers:
        if ref_of(path.parent.name, path.name) not in folders:
            yield Problem("foreign", "Something in artifacts/ is no artifact.", str(path))


def _judge_unlisted(workspace: Workspace, ref: ArtifactRef) -> Problem | None:
    """Judge a folder without row; None if it is being committed, or has its row by now."""
    if is_held(workspace.lake.lock_path(ref.id)) or workspace.catalogue.find(ref.id):
        return None
    folder = workspace.lake.stored(ref)
    try:
        belongs = check_folder(folder).artifact.ref == ref
    except LakeError as error:
        return _about(ref, "unlisted_damaged", f"{ref} has no row and {error.what}", folder)
    if not belongs:
        return _about(ref, "unlisted_damaged", f"{ref} holds another artifact.", folder)
    return _about(ref, "unlisted", f"{ref} is complete but has no row.", folder)


def _about(ref: ArtifactRef, code: Code, what: str, where: object) -> Problem:
    return Problem(code, what, str(where), ref.id, ref.kind)


def _without_data(workspace: Workspace, rehash: bool) -> Iterator[Problem]:
    artifacts = workspace.catalogue.artifacts()
    label = "checking artifacts"
    for artifact in track(artifacts, label) if rehash else artifacts:
        if problem := _judge_listed(workspace, artifact, rehash):
            yield problem


def _judge_listed(workspace: Workspace, artifact: Artifact, rehash: bool) -> Problem | None:
    ref = artifact.ref
    folder = workspace.lake.stored(ref)
    if not folder.is_dir():
        return _about(ref, "missing", f"{ref} has a row but no data.", folder)
    if damage := _find_damage(folder, artifact, rehash):
        return _about(ref, "damaged", f"{ref} is damaged: {damage}", folder)
    return None


def _find_damage(folder: Path | BucketFolder, artifact: Artifact, rehash: bool) -> str:
    """Say how a folder differs from what its row stands for; empty if it does not."""
    try:
        record = read_record(folder)
        trusted = digest_manifest(record.manifest) == artifact.digest
    except LakeError:
        trusted = False
    if not trusted:
        # The row has the digest of all data, so a lost or altered record does not condemn them.
        found = find_manifest(folder)
        return "" if digest_manifest(found) == artifact.digest else "its data have changed."
    try:
        (verify_contents if rehash else verify_sizes)(folder, record)
    except LakeError as error:
        return f"{error.what} ({error.where})"
    return ""


def _stuck_runs(workspace: Workspace) -> Iterator[Problem]:
    for run_id, artifact_id in workspace.catalogue.runs_in(RunState.RUNNING):
        if not is_held(workspace.lake.lock_path(artifact_id)):
            what = "A run counts as running, but its process is gone."
            yield Problem("stuck_run", what, f"run {run_id}", artifact_id, run_id=run_id)


def _stale_recordings(workspace: Workspace, rehash: bool) -> Iterator[Problem]:
    for row in workspace.catalogue.recording_files().itertuples(index=False):
        path = Path(str(row.path))
        if not path.is_file():
            yield Problem("recording_gone", "A raw recording is gone.", str(path))
            continue
        found = path.stat()
        same = (found.st_size, found.st_mtime_ns) == (row.size, row.mtime_ns)
        # A file that was only touched or copied is the same recording.
        if (rehash or not same) and hash_file(path) != row.byte_sha256:
            yield Problem("recording_changed", "A raw recording has changed.", str(path))


# --- mending ------------------------------------------------------------------------------------


def _mend(workspace: Workspace, problem: Problem) -> bool:
    """Mend one problem if its artifact is not being worked on; whether that was done."""
    with (
        storage_errors(workspace.lake.root),
        try_lock(workspace.lake.lock_path(problem.artifact_id)) as held,
    ):
        return held and _MENDERS[problem.code](workspace, problem)


def _remove_leftover(workspace: Workspace, problem: Problem) -> bool:
    path = Path(problem.where)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    return True


def _adopt_or_set_aside(workspace: Workspace, problem: Problem) -> bool:
    folder = workspace.lake.stored(problem.ref)
    gone = workspace.catalogue.find(problem.artifact_id) is not None or not folder.is_dir()
    if not gone and not adopt_folder(workspace.lake, workspace.catalogue, problem.ref):
        _set_aside(workspace, problem.ref)
    return True


def _forget_row(workspace: Workspace, problem: Problem) -> bool:
    artifact = workspace.catalogue.find(problem.artifact_id)
    if artifact is None or _judge_listed(workspace, artifact, rehash=True) is None:
        return True
    # First the row: killed in between, this is a damaged folder without row, which is found again.
    workspace.catalogue.forget(problem.artifact_id)
    if workspace.lake.stored(problem.ref).is_dir():
        _set_aside(workspace, problem.ref)
    return True


def _set_aside(workspace: Workspace, ref: ArtifactRef) -> None:
    """Move a folder to damaged/, beside what was moved there before."""
    stored = workspace.lake.stored(ref)
    if isinstance(stored, BucketFolder):
        shutil.rmtree(workspace.lake.folder(ref), ignore_errors=True)
        stored.move(f"damaged/{ref.kind}/{ref.id}-{uuid4().hex[:8]}", RECORD_NAME)
        return
    target = workspace.lake.damaged / ref.kind
    target.mkdir(parents=True, exist_ok=True)
    taken = len(list(target.glob(f"{ref.id}-*")))
    stored.rename(target / f"{ref.id}-{taken + 1}")


def _end_stuck_run(workspace: Workspace, problem: Problem) -> bool:
    running = {run_id for run_id, _ in workspace.catalogue.runs_in(RunState.RUNNING)}
    # Adopting its folder has completed a run that counted as running before.
    if problem.run_id in running:
        workspace.catalogue.end_run(problem.run_id, RunState.INCOMPLETE, DIED)
    return True


_MENDERS: dict[Code, Callable[[Workspace, Problem], bool]] = {
    "leftover": _remove_leftover,
    "unlisted": _adopt_or_set_aside,
    "unlisted_damaged": _adopt_or_set_aside,
    "missing": _forget_row,
    "damaged": _forget_row,
    "stuck_run": _end_stuck_run,
}
