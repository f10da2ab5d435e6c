"""Zarr folders as one thing: what tells that one has changed, and the hash of all its bytes."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import RecordingError
from tasks.common.digest import build_manifest, digest_manifest

MARKS = ("zarr.json", ".zgroup", ".zmetadata", ".zarray")
SUFFIXES = (".nwb", ".zarr")


@dataclass(frozen=True)
class Version:
    """What tells, without reading it, that a recording is as it was.

    size : bytes
    stamp : time of the last change in ns, or a hash of what stands for it
    """

    size: int
    stamp: int


@dataclass(frozen=True)
class Content:
    """What a recording holds, whatever it is called: the hash that stands for it, and its bytes."""

    sha256: str
    size: int


def allowed_folders(folder: Path, trusted: tuple[str, ...]) -> tuple[Path, ...]:
    """Return where a recording in `folder` may lead: that folder itself and the trusted ones."""
    return tuple(one.expanduser().resolve() for one in (folder, *map(Path, trusted)))


def is_zarr_folder(path: Path) -> bool:
    """Tell whether a folder is a Zarr store of any version, or called one and lost its root."""
    if not path.is_dir():
        return False
    called = path.suffix in SUFFIXES and any(path.glob("*/zarr.json"))
    return called or any((path / mark).is_file() for mark in MARKS)


def folder_version(folder: Path) -> Version:
    """Return the version of a folder: the size of all files, and a hash of their sizes and times.

    Raises
    ------
    RecordingError
        Something in it is a symbolic link, which may lead anywhere.
    """
    digest = hashlib.sha256()
    total = 0
    for path in sorted(walk_files(folder)):
        found = path.stat()
        total += found.st_size
        name = path.relative_to(folder).as_posix()
        digest.update(f"{name}\x1f{found.st_size}\x1f{found.st_mtime_ns}\n".encode())
    return Version(total, short_number(digest.hexdigest()))


def walk_files(folder: Path) -> list[Path]:
    """Return every file below a folder; RecordingError at a symbolic link."""
    found: list[Path] = []
    for root, folders, files in os.walk(folder):
        paths = [Path(root) / name for name in [*folders, *files]]
        if links := [path for path in paths if path.is_symlink()]:
            raise RecordingError(
                "a symbolic link lies in the Zarr store, which is not followed.",
                where=str(links[0]),
                remedy="Put the file itself in its place.",
                problem="leads_outside",
            )
        found += [Path(root) / name for name in files]
    return found


def tree_sha256(folder: Path) -> str:
    """Return one hash of the names and bytes of all files below a folder."""
    return digest_manifest(build_manifest(folder))


def short_number(hexadecimal: str) -> int:
    """Return the start of a hash as a number that every database holds."""
    return int(hexadecimal[:15], 16)
