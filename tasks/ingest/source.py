"""Where a recording comes from: a file, a Zarr folder, or either of them far away.

Three things are asked of a source: whether it is the same as last time (`version`, which reads no
data), what its bytes are (`byte_sha256`), and a path at which it can be read (`path`).
"""

from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Self

from tasks.common.digest import hash_file
from tasks.ingest.folders import Content, Version, folder_version, is_zarr_folder, tree_sha256


class Source(ABC):
    """A recording before it is opened.

    Attributes
    ----------
    uri : absolute path or URL, as the catalogue and the lineage name it
    folder : where files beside the recording are looked for; None if nowhere
    """

    def __init__(self, uri: str, folder: Path | None) -> None:
        self.uri = uri
        self.folder = folder

    @abstractmethod
    def version(self) -> Version | None:
        """Return what tells that the recording has changed; None if it is not there."""

    @abstractmethod
    def path(self) -> Path:
        """Return a file or folder on this machine that holds the recording."""

    @abstractmethod
    def byte_sha256(self) -> str:
        """Return the hash of the file's bytes, of a Zarr store's the hash over all its files."""

    @property
    def fetched_bytes(self) -> int:
        """Bytes that came over the network so far."""
        return 0

    def seen_far(self) -> Content | None:
        """Return what stands for a recording that was seen on another machine, asking no more."""
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Remove what was made to read the recording."""
        return


class LocalSource(Source):
    """An HDF5 file or a Zarr folder of this machine."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), path.parent)
        self._path = path

    def version(self) -> Version | None:
        """Return what tells that the recording has changed; None if it is not there."""
        if is_zarr_folder(self._path):
            return folder_version(self._path)
        if not self._path.is_file():
            return None
        found = self._path.stat()
        return Version(found.st_size, found.st_mtime_ns)

    def path(self) -> Path:
        """Return the recording itself."""
        return self._path

    @cached_property
    def _byte_sha256(self) -> str:
        return tree_sha256(self._path) if self._path.is_dir() else hash_file(self._path)

    def byte_sha256(self) -> str:
        """Return the hash of the file's bytes, of a Zarr store's the hash over all its files."""
        return self._byte_sha256
