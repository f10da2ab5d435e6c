"""Finished artifacts in an object store: s3://, gs:// or whatever fsspec knows.

An object store has no rename. So an artifact is uploaded file by file under its final name,
`artifact.json` last: without it there is no artifact, with it there is a complete one. Removing
goes the other way, `artifact.json` first. As on a disk, the catalogue's row is the commit.
"""

import hashlib
import shutil
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from schemas.entities import ArtifactRef
from schemas.errors import LakeError, NetworkError
from schemas.settings.remote import RemoteSettings
from tasks.common.digest import Manifest, file_sizes
from tasks.common.remote import FileSystem, network_errors, open_filesystem, public_url

AT_ONCE = 16
"""Files that go over the network at the same time: most of it is waiting."""


class Bucket:
    """A prefix of an object store that holds artifacts as `artifacts/<kind>/<id>/`."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._opened: tuple[FileSystem, str] | None = None

    def folder(self, ref: ArtifactRef) -> "BucketFolder":
        """Return the folder of an artifact, whether or not it exists."""
        return BucketFolder(self, f"artifacts/{ref.kind}/{ref.id}")

    def names(self) -> set[tuple[str, str]]:
        """Return kind and id of every folder that something is in."""
        found = self.sizes("artifacts")
        parts = {PurePosixPath(name).parts[:2] for name in found}
        return {(kind, id_) for kind, id_ in (p for p in parts if len(p) == 2)}

    @property
    def filesystem(self) -> FileSystem:
        """The driver; opened when it is first used, since a finished stage may not need it."""
        return self._open()[0]

    def path(self, name: str) -> str:
        """Return what the driver calls a file of this bucket."""
        return f"{self._open()[1]}/{name}"

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the bytes of every file below a folder, by path relative to it."""
        root = self.path(folder)
        with self.errors():
            found = self.filesystem.find(root, detail=True)
        return {path[len(root) + 1 :]: int(info["size"]) for path, info in found.items()}

    def read(self, name: str) -> bytes:
        """Return a file's bytes; FileNotFoundError if there is none."""
        with self.errors():
            return bytes(self.filesystem.cat_file(self.path(name)))

    def put(self, source: Path, name: str) -> None:
        """Upload a file that must not be there yet.

        Raises
        ------
        LakeError
            It is there: another maker is at work, who does not share this catalogue's locks.
        """
        # S3 itself refuses then; other drivers have no such condition.
        condition = {"mode": "create"} if self.url.startswith("s3") else {}
        try:
            with self.errors():
                self.filesystem.put_file(str(source), self.path(name), **condition)
        except FileExistsError as error:
            raise LakeError(
                "another process is making the same artifact.",
                where=f"{self.url}/{name}",
                remedy="Machines that share a lake must share its catalogue (TECTUM_CATALOGUE).",
            ) from error

    def remove(self, names: list[str]) -> None:
        """Remove files, in this order."""
        with self.errors():
            for name in names:
                self.filesystem.rm_file(self.path(name))

    @contextmanager
    def errors(self) -> Generator[None]:
        """Turn what the driver raises into one clear error."""
        try:
            with network_errors(self.url):
                yield
        except NetworkError as error:
            if isinstance(error.__cause__, FileExistsError):
                raise error.__cause__ from None
            raise LakeError(error.what, where=error.where, remedy=error.remedy) from error

    def _open(self) -> tuple[FileSystem, str]:
        if self._opened is None:
            # Credentials only: nobody keeps a lake in a bucket that he cannot write.
            filesystem, path = open_filesystem(self.url, RemoteSettings(access="environment"))
            self._opened = filesystem, path.rstrip("/")
        return self._opened


class BucketFolder:
    """The files of one artifact in a bucket."""

    def __init__(self, bucket: Bucket, name: str) -> None:
        self.bucket = bucket
        self.name = name

    def __str__(self) -> str:
        return public_url(f"{self.bucket.url}/{self.name}")

    def is_dir(self) -> bool:
        """Tell whether anything is there."""
        return bool(self.sizes())

    def sizes(self) -> dict[str, int]:
        """Return the bytes of every file, by relative path."""
        return self.bucket.sizes(self.name)

    def read_text(self, name: str) -> str:
        """Return a text file; FileNotFoundError if there is none."""
        return self.bucket.read(f"{self.name}/{name}").decode()

    def manifest(self, leave_out: str = "") -> Manifest:
        """Return size and hash of every file; reads all of them."""
        names = sorted(self.sizes().keys() - {leave_out})
        with ThreadPoolExecutor(AT_ONCE) as pool:
            hashed = pool.map(self._hash, names)
            return dict(zip(names, hashed, strict=True))

    def upload(self, folder: Path, last: str) -> None:
        """Put a local folder here, one file last; what a dead maker left here goes first."""
        self.clear(last)
        sizes = file_sizes(folder)
        del sizes[last]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda name: self._put(folder, name), sizes))
        if self.sizes() != sizes:
            raise LakeError("not every file arrived as it was sent.", where=str(self))
        self._put(folder, last)

    def clear(self, first: str) -> None:
        """Remove all that is here, one file first, without which nothing here counts."""
        names = sorted(self.sizes(), key=lambda name: (name != first, name))
        self.bucket.remove([f"{self.name}/{name}" for name in names])

    def download(self, target: Path) -> None:
        """Copy everything into a new local folder, whole or not at all; nothing if none is here."""
        draft = target.with_name(f"{target.name}.part")
        shutil.rmtree(draft, ignore_errors=True)
        names = self.sizes()
        if not names:
            return
        for name in names:
            place = draft / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(self.bucket.read(f"{self.name}/{name}"))
        draft.rename(target)

    def move(self, name: str, last: str) -> None:
        """Move everything to another folder of the bucket."""
        names = self.sizes()
        with self.bucket.errors():
            for file in names:
                source = self.bucket.path(f"{self.name}/{file}")
                self.bucket.filesystem.copy(source, self.bucket.path(f"{name}/{file}"))
        self.clear(last)

    def _put(self, folder: Path, name: str) -> None:
        self.bucket.put(folder / name, f"{self.name}/{name}")

    def _hash(self, name: str) -> tuple[int, str]:
        content = self.bucket.read(f"{self.name}/{name}")
        return len(content), hashlib.sha256(content).hexdigest()
