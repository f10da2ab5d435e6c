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
    sizes = file_sizes(folder)
    sizes.pop(leave_out, None)

    def hash_one(name: str) -> str:
        found = known.get(file_id(folder / name)) if known else None
        return found or hash_file(folder / name)

    # Hashing and reading release the interpreter, so threads help.
    with ThreadPoolExecutor(HASHING_THREADS) as pool:
        hashes = pool.map(hash_one, sizes)
        return {name: (size, one) for (name, size), one in zip(sizes.items(), hashes, strict=True)}


def file_id(path: Path) -> FileId:
    """Return what hard links to one file have in common."""
    found = path.stat()
    return found.st_dev, found.st_ino


def file_sizes(folder: Path) -> dict[str, int]:
    """Return the bytes of every file below `folder`, by relative path, sorted by path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def digest_manifest(manifest: Manifest) -> str:
    """Return one hash that stands for a whole folder."""
    lines = (f"{name}\x1f{size}\x1f{digest}\n" for name, (size, digest) in sorted(manifest.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def manifest_bytes(manifest: Manifest) -> int:
    """Return the number of bytes that a manifest's files take."""
    return sum(size for size, _ in manifest.values())
