"""Content hashes of files and folders."""

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

Manifest = dict[str, tuple[int, str]]
"""Relative path -> (bytes, SHA-256)."""

FileId = tuple[int, int]
"""Device and number of a file, whatever its name."""

HASHING_THREADS = min(os.cpu_count() or 1, 8)


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, read in blocks."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def build_manifest(
    folder: Path, *, leave_out: str = "", known: Mapping[FileId, str] | None = None
) -> Manifest:
    """Return size and hash of every file below `folder`, sorted by path.

    leave_out : relative path of one file that does not count
    known : hashes of files that are known already, and not read
    """
    found = find_files(folder)
    found.pop(leave_out, None)

    def hash_one(name: str) -> str:
        known_hash = known.get(file_id(found[name])) if known else None
        return known_hash or hash_file(folder / name)

    # Hashing and reading release the interpreter, so threads help.
    with ThreadPoolExecutor(HASHING_THREADS) as pool:
        hashes = pool.map(hash_one, found)
        return {
            name: (one.st_size, digest)
            for (name, one), digest in zip(found.items(), hashes, strict=True)
        }


def find_files(folder: Path) -> dict[str, os.stat_result]:
    """Return what the system says of every file below `folder`, by relative path, sorted by it."""
    found: dict[str, os.stat_result] = {}
    waiting = [""]
    while waiting:
        below = waiting.pop()
        with os.scandir(folder / below) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{below}{entry.name}/")
                elif entry.is_file():
                    # A stat of the file itself, or where a link leads.
                    found[f"{below}{entry.name}"] = entry.stat()
    return dict(sorted(found.items()))


def file_id(found: os.stat_result) -> FileId:
    """Return what hard links to one file have in common."""
    return found.st_dev, found.st_ino


def file_sizes(folder: Path) -> dict[str, int]:
    """Return the bytes of every file below `folder`, by relative path, sorted by path."""
    return {name: found.st_size for name, found in find_files(folder).items()}


def digest_manifest(manifest: Manifest) -> str:
    """Return one hash that stands for a whole folder."""
    lines = (f"{name}\x1f{size}\x1f{digest}\n" for name, (size, digest) in sorted(manifest.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def manifest_bytes(manifest: Manifest) -> int:
    """Return the number of bytes that a manifest's files take."""
    return sum(size for size, _ in manifest.values())
