"""The lake: one folder of immutable artifacts, a landing folder and a quarantine."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.entities import ArtifactRef
from schemas.errors import LakeError, NotFoundError

if TYPE_CHECKING:
    import xarray as xr

TREE_NAME = "data.zarr"
RECORD_NAME = "artifact.json"


class Lake:
    """Where artifacts are.

    `artifacts/<kind>/<id>/` holds an artifact, `tmp/` what is being made, `landing/` recordings
    waiting for the nightly ingest, `quarantine/` files that could not be used, `locks/` a lock
    for each artifact being made, `damaged/` artifacts whose bytes are not what was written.
    """

    def __init__(self, root: str | Path) -> None:
        text = str(root)
        if "://" in text and not text.startswith("file://"):
            raise LakeError(
                f"lakes on '{text.split('://')[0]}' are not supported yet.",
                where=text,
                remedy="Give a folder on a local or network file system.",
            )
        self.root = Path(text.removeprefix("file://")).expanduser().resolve()

    def __repr__(self) -> str:
        return f"Lake({str(self.root)!r})"

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
        """Return the folder of an artifact, whether or not it exists."""
        return self.artifacts / ref.kind / ref.id

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

    def tree_path(self, ref: ArtifactRef) -> Path:
        """Return the Zarr store of an artifact; NotFoundError if it has none."""
        path = self.folder(ref) / TREE_NAME
        if not path.is_dir():
            raise NotFoundError(
                f"no data of artifact {ref}.",
                where=str(self.root),
                remedy="Run 'tectum doctor' if the catalogue lists it.",
            )
        return path

    def read_json(self, ref: ArtifactRef, name: str) -> Any:
        """Read a JSON file of an artifact."""
        path = self.folder(ref) / name
        if not path.is_file():
            raise NotFoundError(f"no file '{name}' in artifact {ref}.", where=str(self.root))
        return json.loads(path.read_text(encoding="utf-8"))

    def containing(self, path: Path) -> ArtifactRef | None:
        """Return the artifact that a path lies in, if it lies in one."""
        resolved = path.resolve()
        if not resolved.is_relative_to(self.artifacts):
            return None
        parts = resolved.relative_to(self.artifacts).parts
        return ref_of(*parts[:2]) if len(parts) > 2 else None

    def folders(self) -> dict[ArtifactRef, Path]:
        """Return the folder of every artifact, whether or not the catalogue lists it."""
        found = {ref_of(path.parent.name, path.name): path for path in self.artifacts.glob("*/*")}
        return {ref: path for ref, path in found.items() if ref is not None and path.is_dir()}


def ref_of(kind: str, id_: str) -> ArtifactRef | None:
    """Return the artifact that two names stand for, None if they are not a kind and an id."""
    try:
        return ArtifactRef(kind=kind, id=id_)
    except ValueError:
        return None
