"""The lake: one folder of immutable artifacts, a landing folder and a quarantine."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.entities import ArtifactRef
from schemas.errors import NotFoundError
from schemas.settings.workspace import local_side
from tasks.common.bucket import Bucket, BucketFolder
from tasks.common.locks import hold_lock
from tasks.common.remote import is_url

if TYPE_CHECKING:
    import xarray as xr

TREE_NAME = "data.zarr"
RECORD_NAME = "artifact.json"


class Lake:
    """Where artifacts are.

    `artifacts/<kind>/<id>/` holds an artifact, `tmp/` what is being made, `landing/` recordings
    waiting for the nightly ingest, `quarantine/` files that could not be used, `locks/` a lock
    for each artifact being made, `damaged/` artifacts whose bytes are not what was written.

    A lake in a bucket (s3://...) keeps artifacts/ and damaged/ there, and the rest in a folder of
    this machine, `root`; `root`/artifacts then holds copies of what was asked for as files.
    """

    def __init__(self, root: str | Path) -> None:
        text = str(root)
        self.bucket = Bucket(text) if is_url(text) else None
        folder = local_side(text) if self.bucket else Path(text.removeprefix("file://"))
        self.root = folder.expanduser().resolve()

    def __repr__(self) -> str:
        return f"Lake({self.where!r})"

    @property
    def where(self) -> str:
        """The lake's folder or URL, for messages."""
        return self.bucket.url if self.bucket else str(self.root)

    @property
    def landing(self) -> Path:
        """Folder that users drop recordings into."""
        return self.root / "landing"

    @property
    def quarantine(self) -> Path:
        """Folder of recordings that could not be used."""
        return self.root / "quarantine"

    @property
    def damaged(self) -> Path:
        """Folder of artifacts that `tectum doctor` found damaged."""
        return self.root / "damaged"

    @property
    def tmp(self) -> Path:
        """Folder of artifacts being made."""
        return self.root / "tmp"

    @property
    def artifacts(self) -> Path:
        """Folder of all artifacts."""
        return self.root / "artifacts"

    def lock_path(self, name: str) -> Path:
        """Return the lock file of an artifact id, or of another name."""
        return self.root / "locks" / f"{name}.lock"

    def folder(self, ref: ArtifactRef) -> Path:
        """Return the local folder of an artifact, whether or not it exists.

        Of a lake in a bucket, that of its copy: see `local_folder`.
        """
        return self.artifacts / ref.kind / ref.id

    def stored(self, ref: ArtifactRef) -> "Path | BucketFolder":
        """Return where an artifact is kept, whether or not it exists."""
        return self.bucket.folder(ref) if self.bucket else self.folder(ref)

    def local_folder(self, ref: ArtifactRef) -> Path:
        """Return a folder of this machine with an artifact's files, copied out of the bucket."""
        folder = self.folder(ref)
        if self.bucket and not folder.is_dir():
            with hold_lock(self.lock_path(f"copy-{ref.id}")):
                if not folder.is_dir():
                    self.bucket.folder(ref).download(folder)
        return folder

    def open_tree(self, ref: ArtifactRef, *, indexes: bool = True) -> "xr.DataTree":
        """Open an artifact's tree lazily; without indexes the times are lazy as well.

        Raises
        ------
        NotFoundError
            The artifact has no tree in this lake.
        """
        # Imported where it is needed: a finished stage opens nothing, and Zarr takes a second.
        from tasks.common.zarr_trees import open_tree

        return open_tree(self.tree_path(ref), indexes=indexes)

    def tree_path(self, ref: ArtifactRef) -> Path | str:
        """Return the path or URL of an artifact's Zarr store; NotFoundError if it has none."""
        path: Path | str = self.folder(ref) / TREE_NAME
        if self.bucket:
            name = f"artifacts/{ref.kind}/{ref.id}/{TREE_NAME}"
            path, there = f"{self.bucket.url}/{name}", bool(self.bucket.sizes(name))
        else:
            there = Path(path).is_dir()
        if not there:
            raise NotFoundError(
                f"no data of artifact {ref}.",
                where=self.where,
                remedy="Run 'tectum doctor' if the catalogue lists it.",
            )
        return path

    def read_json(self, ref: ArtifactRef, name: str) -> Any:
        """Read a JSON file of an artifact."""
        try:
            return json.loads(read_text(self.stored(ref), name))
        except FileNotFoundError as error:
            raise NotFoundError(f"no file '{name}' in artifact {ref}.", where=self.where) from error

    def containing(self, path: Path) -> ArtifactRef | None:
        """Return the artifact that a path lies in, if it lies in one."""
        resolved = path.resolve()
        if not resolved.is_relative_to(self.artifacts):
            return None
        parts = resolved.relative_to(self.artifacts).parts
        return ref_of(*parts[:2]) if len(parts) > 2 else None

    def folders(self) -> "Mapping[ArtifactRef, Path | BucketFolder]":
        """Return the folder of every artifact, whether or not the catalogue lists it."""
        if self.bucket:
            refs = {ref_of(kind, id_) for kind, id_ in self.bucket.names()}
            return {ref: self.bucket.folder(ref) for ref in refs if ref is not None}
        found = {ref_of(path.parent.name, path.name): path for path in self.artifacts.glob("*/*")}
        return {ref: path for ref, path in found.items() if ref is not None and path.is_dir()}


def read_text(folder: "Path | BucketFolder", name: str) -> str:
    """Return a text file of a folder; FileNotFoundError if there is none."""
    if isinstance(folder, Path):
        return (folder / name).read_text(encoding="utf-8")
    return folder.read_text(name)


def ref_of(kind: str, id_: str) -> ArtifactRef | None:
    """Return the artifact that two names stand for, None if they are not a kind and an id."""
    try:
        return ArtifactRef(kind=kind, id=id_)
    except ValueError:
        return None
