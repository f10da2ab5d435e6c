"""A lock between processes that the operating system releases when its holder dies."""

import fcntl
import logging
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from schemas.errors import LakeError

log = logging.getLogger("tectum")


@contextmanager
def hold_lock(path: Path) -> Generator[None]:
    """Wait for, and hold, the exclusive lock that `path` stands for.

    The file stays behind: removing it would let two processes hold "the same" lock.

    Raises
    ------
    LakeError
        The lock file cannot be written, or its file system has no locks.
    """
    with _open(path) as handle:
        if not _lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB):
            log.info("waiting for another process that holds %s", path.name)
            _lock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def try_lock(path: Path) -> Generator[bool]:
    """Hold the lock of `path` if nobody does; yields whether it is held now."""
    with _open(path) as handle:
        yield _lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_held(path: Path) -> bool:
    """Whether some process holds the lock of `path` now; writes nothing."""
    if not path.exists():
        return False
    with path.open("r") as handle:
        # Shared: two processes that look at the same time do not take each other for the holder.
        return not _lock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)


def _open(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a")
    except OSError as error:
        raise LakeError(
            f"cannot write ({error.strerror}).",
            where=str(path.parent),
            remedy="Check the permissions and the free space of the lake.",
        ) from error


def _lock(handle: IO[str], how: int) -> bool:
    """Lock an open file; false if another holds it and `how` says not to wait."""
    try:
        fcntl.flock(handle, how)
    except BlockingIOError:
        return False
    except OSError as error:
        # Without locks two processes would make the same artifact into the same place.
        raise LakeError(
            f"the file system has no file locks ({error.strerror}).",
            where=handle.name,
            remedy="Keep the lake on a file system with flock: a local disk, NFS 4, or Lustre "
            "mounted with '-o flock'.",
        ) from error
    return True
