"""The disk below the lake: one clear error when it refuses, and data that is there for good."""

import errno
import os
import stat
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import LakeError

REFUSES_ALL_WRITES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
REFUSES_ONE_FILE = frozenset({errno.EACCES, errno.EPERM, errno.EIO})
SYNCING_THREADS = 8


@contextmanager
def storage_errors(root: Path) -> Generator[None]:
    """Turn a full disk, a read-only lake or a failing disk into one clear error.

    What a stage may raise for another reason passes: a raw recording outside the lake that may
    not be read, a broken connection, a missing file.
    """
    try:
        yield
    except OSError as error:
        if not _is_storage_error(error, root):
            raise
        raise LakeError(
            f"cannot write ({error.strerror or error}).",
            where=str(error.filename or root),
            remedy="Free some space or check the permissions of the lake, then run again: "
            "nothing that was finished is lost.",
        ) from error


def _is_storage_error(error: OSError, root: Path) -> bool:
    if error.errno in REFUSES_ALL_WRITES:
        return True
    inside = error.filename is not None and Path(os.fsdecode(error.filename)).is_relative_to(root)
    return inside and error.errno in REFUSES_ONE_FILE


def sync_folder(folder: Path) -> None:
    """Flush every file and folder below (and with) `folder` to the disk.

    Files of more than one name are linked from an artifact, which was flushed when it was made.
    """
    new = [path for path in folder.rglob("*") if not _is_linked(path)]
    # Each flush waits for the disk, which takes many at once.
    with ThreadPoolExecutor(SYNCING_THREADS) as pool:
        list(pool.map(sync_path, [*new, folder]))


def _is_linked(path: Path) -> bool:
    found = path.stat()
    return stat.S_ISREG(found.st_mode) and found.st_nlink > 1


def sync_path(path: Path) -> None:
    """Flush one file, or the list of names in one folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
