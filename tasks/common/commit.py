"""From a draft to an artifact: write under tmp/, verify, fsync, rename, insert the row.

The row is the commit. A process may die between any two of these steps: before the rename its
leftovers lie in tmp/ where nothing looks; after it, the folder is complete and carries the record
from which the next request for it, or `tectum doctor`, writes the row.
"""

import json
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import BaseModel, ConfigDict

from schemas.entities import Artifact, ArtifactRef, ProcessRun, QCMetric, Session
from schemas.errors import LakeError
from schemas.settings.base import ParamSet
from tasks.common.bucket import BucketFolder
from tasks.common.catalogue import Catalogue
from tasks.common.digest import (
    FileId,
    Manifest,
    build_manifest,
    digest_manifest,
    file_id,
    file_sizes,
    find_files,
    manifest_bytes,
)
from tasks.common.draft import Draft
from tasks.common.lake import RECORD_NAME, TREE_NAME, Lake, read_text
from tasks.common.storage import storage_errors, sync_folder, sync_path


class Origin(BaseModel):
    """What is known of an artifact before it is made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    artifact: Artifact
    session: Session | None
    run: ProcessRun
    environment: dict[str, Any]
    param_set: ParamSet


class ArtifactRecord(Origin):
    """What an artifact knows about itself: the file `artifact.json` in its folder.

    It is all that the catalogue needs, so that a lost catalogue can be written again.
    """

    facts: dict[str, Any]
    metrics: tuple[QCMetric, ...]
    manifest: Manifest


@contextmanager
def temporary_draft(lake: Lake, ref: ArtifactRef) -> Generator[Draft]:
    """Yield a draft in a folder of its own, removed if it did not become an artifact.

    The caller holds the artifact's lock, so what earlier makers left behind is removed first.
    """
    path = lake.tmp / f"{ref.id}-{uuid4().hex[:8]}"
    with storage_errors(lake.root):
        for leftover in lake.tmp.glob(f"{ref.id}-*"):
            shutil.rmtree(leftover)
        path.mkdir(parents=True)
    try:
        yield Draft(path, lake, ref)
    finally:
        shutil.rmtree(path, ignore_errors=True)


def write_record(draft: Draft, origin: Origin) -> ArtifactRecord:
    """Hash what the stage wrote and put the record beside it."""
    manifest = build_manifest(draft.path, known=_linked_hashes(draft, origin.artifact.parents))
    known = {
        "digest": digest_manifest(manifest),
        "bytes": manifest_bytes(manifest),
        "key_figure": draft.key_figure,
    }
    record = ArtifactRecord(
        artifact=origin.artifact.model_copy(update=known),
        session=origin.session,
        run=origin.run,
        environment=origin.environment,
        param_set=origin.param_set,
        facts=draft.facts,
        metrics=tuple(draft.metrics),
        manifest=manifest,
    )
    text = record.model_dump_json(indent=2)
    (draft.path / RECORD_NAME).write_text(text + "\n", encoding="utf-8")
    return record


def _linked_hashes(draft: Draft, parents: tuple[ArtifactRef, ...]) -> dict[FileId, str]:
    """Return the hashes of the parents' files that the draft links to, as their records have them.

    Hashed anew, a file that was damaged since would count as whole in the new artifact.
    """
    linked = {file_id(one) for one in find_files(draft.path).values() if one.st_nlink > 1}
    if not linked:
        return {}
    folders = [folder for ref in parents if (folder := draft.lake.folder(ref)).is_dir()]
    return {
        one: record.manifest[name][1]
        for folder, record in zip(folders, map(read_record, folders), strict=True)
        for name, found in find_files(folder).items()
        if (one := file_id(found)) in linked and name in record.manifest
    }


def publish(draft: Draft, record: ArtifactRecord) -> None:
    """Verify, make durable and rename the draft to its final place."""
    verify_folder(draft.path, record)
    if draft.lake.bucket:
        draft.lake.bucket.folder(draft.ref).upload(draft.path, last=RECORD_NAME)
        return
    sync_folder(draft.path)
    final = draft.lake.folder(draft.ref)
    final.parent.mkdir(parents=True, exist_ok=True)
    aside = draft.path.with_name(f"{draft.path.name}-damaged")
    if final.exists():
        # Damaged, or adopt_folder would have taken it: its row is absent, so nobody uses it.
        final.rename(aside)
    draft.path.rename(final)
    for parent in (final.parent, draft.lake.artifacts):
        sync_path(parent)
    shutil.rmtree(aside, ignore_errors=True)


def insert_row(catalogue: Catalogue, record: ArtifactRecord) -> None:
    """Insert the row that makes the artifact exist."""
    catalogue.commit_artifact(record.artifact, record.facts, record.metrics, record.param_set)


def adopt_folder(lake: Lake, catalogue: Catalogue, ref: ArtifactRef) -> bool:
    """Insert the row of a complete folder whose maker died just before doing so.

    The caller holds the artifact's lock. Session, run and environment come back with it, if the
    catalogue does not know them.
    """
    folder = lake.stored(ref)
    if not folder.is_dir():
        return False
    try:
        record = check_folder(folder)
    except LakeError:
        return False
    if record.artifact.ref != ref:
        return False
    if record.session is not None:
        catalogue.add_session(record.session)
    catalogue.start_run(record.run, record.environment)
    insert_row(catalogue, record)
    return True


def check_folder(folder: Path | BucketFolder) -> ArtifactRecord:
    """Return an artifact's own record, after comparing every byte with it.

    Raises
    ------
    LakeError
        The record cannot be read, or a file is missing, added or changed.
    """
    record = read_record(folder)
    verify_contents(folder, record)
    return record


def read_record(folder: Path | BucketFolder) -> ArtifactRecord:
    """Read an artifact's own record."""
    try:
        return ArtifactRecord.model_validate(json.loads(read_text(folder, RECORD_NAME)))
    except (OSError, ValueError) as error:
        where = f"{folder}/{RECORD_NAME}"
        raise LakeError("the artifact's record cannot be read.", where=where) from error


def verify_folder(folder: Path, record: ArtifactRecord) -> None:
    """Check that every file just written is there in full and that the tree opens."""
    verify_sizes(folder, record)
    if (folder / TREE_NAME).is_dir():
        from tasks.common.zarr_trees import open_tree

        open_tree(folder / TREE_NAME, indexes=False).close()


def verify_sizes(folder: Path | BucketFolder, record: ArtifactRecord) -> None:
    """Check that every file of the record is there in full, without reading it."""
    found = folder.sizes() if isinstance(folder, BucketFolder) else file_sizes(folder)
    for name, (size, _) in record.manifest.items():
        if found.get(name) != size:
            what = f"a file is missing or not {size} bytes long."
            raise LakeError(what, where=f"{folder}/{name}")


def find_manifest(folder: Path | BucketFolder) -> Manifest:
    """Return size and hash of every file of an artifact but its record; reads all of them."""
    if isinstance(folder, BucketFolder):
        return folder.manifest(RECORD_NAME)
    return build_manifest(folder, leave_out=RECORD_NAME)


def verify_contents(folder: Path | BucketFolder, record: ArtifactRecord) -> None:
    """Re-hash every file and compare with the record."""
    try:
        found = find_manifest(folder)
    except OSError as error:
        raise LakeError(f"a file cannot be read ({error}).", where=str(folder)) from error
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
