"""From a draft to an artifact: write under tmp/, verify, fsync, rename, insert the row.

The row is the commit. A process may die between any two of these steps: before the rename its
leftovers lie in tmp/ where nothing looks; after it, the folder is complete and carries the record
from which the next request for it, or `tectum doctor`, writes the row.
"""

import json
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from schemas.entities import Artifact, ArtifactRef, QCMetric
from schemas.errors import LakeError
from schemas.settings.base import ParamSet
from tasks.common.catalogue import Catalogue
from tasks.common.digest import Manifest, build_manifest, digest_manifest, manifest_bytes
from tasks.common.draft import Draft
from tasks.common.lake import RECORD_NAME, TREE_NAME, Lake
from tasks.common.zarr_trees import open_tree


class ArtifactRecord(BaseModel):
    """What an artifact knows about itself: the file `artifact.json` in its folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    artifact: Artifact
    facts: dict[str, Any]
    metrics: tuple[QCMetric, ...]
    param_set: ParamSet
    manifest: Manifest


@contextmanager
def storage_errors(where: Path) -> Generator[None]:
    """Turn a full disk or a read-only lake into one clear error."""
    try:
        yield
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise LakeError(
            f"cannot write ({error.strerror or error}).",
            where=str(error.filename or where),
            remedy="Free some space or check the permissions of the lake, then run again: "
            "nothing that was finished is lost.",
        ) from error


@contextmanager
def temporary_draft(lake: Lake, ref: ArtifactRef) -> Generator[Draft]:
    """Yield a draft in a folder of its own, removed if it did not become an artifact."""
    path = lake.tmp / f"{ref.id}-{os.getpid()}"
    with storage_errors(lake.root):
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
    try:
        yield Draft(path, lake, ref)
    finally:
        shutil.rmtree(path, ignore_errors=True)


def write_record(draft: Draft, artifact: Artifact, param_set: ParamSet) -> ArtifactRecord:
    """Hash what the stage wrote and put the record beside it."""
    manifest = build_manifest(draft.path)
    record = ArtifactRecord(
        artifact=artifact.model_copy(
            update={
                "digest": digest_manifest(manifest),
                "bytes": manifest_bytes(manifest),
                "key_figure": draft.key_figure,
            }
        ),
        facts=draft.facts,
        metrics=tuple(draft.metrics),
        param_set=param_set,
        manifest=manifest,
    )
    text = record.model_dump_json(indent=2)
    (draft.path / RECORD_NAME).write_text(text + "\n", encoding="utf-8")
    return record


def publish(draft: Draft, record: ArtifactRecord) -> None:
    """Verify, make durable and rename the draft to its final place."""
    verify_folder(draft.path, record)
    sync_folder(draft.path)
    final = draft.lake.folder(draft.ref)
    final.parent.mkdir(parents=True, exist_ok=True)
    if final.exists():
        # Damaged, or adopt_folder would have taken it: its row is absent, so nobody uses it.
        shutil.rmtree(final)
    draft.path.rename(final)
    _sync_path(final.parent)


def insert_row(catalogue: Catalogue, record: ArtifactRecord) -> None:
    """Insert the row that makes the artifact exist."""
    catalogue.commit_artifact(record.artifact, record.facts, record.metrics, record.param_set)


def adopt_folder(lake: Lake, catalogue: Catalogue, ref: ArtifactRef) -> bool:
    """Insert the row of a complete folder whose maker died just before doing so."""
    folder = lake.folder(ref)
    if not (folder / RECORD_NAME).is_file():
        return False
    try:
        record = read_record(folder)
        verify_folder(folder, record)
        verify_contents(folder, record)
    except LakeError:
        return False
    insert_row(catalogue, record)
    return True


def read_record(folder: Path) -> ArtifactRecord:
    """Read an artifact's own record."""
    path = folder / RECORD_NAME
    try:
        return ArtifactRecord.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise LakeError("the artifact's record cannot be read.", where=str(path)) from error


def verify_folder(folder: Path, record: ArtifactRecord) -> None:
    """Check that every file of the record is there in full and that the tree opens."""
    for name, (size, _) in record.manifest.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != size:
            raise LakeError(f"a file is missing or not {size} bytes long.", where=str(path))
    if (folder / TREE_NAME).is_dir():
        open_tree(folder / TREE_NAME).close()


def verify_contents(folder: Path, record: ArtifactRecord) -> None:
    """Re-hash every file and compare with the record."""
    found = build_manifest(folder, leave_out=RECORD_NAME)
    if found != record.manifest:
        changed = sorted(
            name
            for name in found.keys() | record.manifest.keys()
            if found.get(name) != record.manifest.get(name)
        )
        raise LakeError(
            f"{len(changed)} file(s) are not what was written, first '{changed[0]}'.",
            where=str(folder),
            remedy="Run 'tectum doctor --repair' and then the flow again to remake it.",
        )


def sync_folder(folder: Path) -> None:
    """Flush every file and folder below (and with) `folder` to the disk."""
    for path in [*folder.rglob("*"), folder]:
        _sync_path(path)


def _sync_path(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
