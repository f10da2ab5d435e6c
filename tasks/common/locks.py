"""A lock between processes that the operating system releases when its holder dies."""

import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import LakeError


@contextmanager
def hold_lock(path: Path) -> Generator[None]:
    """Wait for, and hold, the exclusive lock that `path` stands for.

    The file stays behind: removing it would let two processes hold "the same" lock.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("a")
    except OSError as error:
        raise LakeError(
            f"cannot write ({error.strerror}).",
            where=str(path.parent),
            remedy="Check the permissions and the free space of the lake.",
        ) from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def is_held(path: Path) -> bool:
    """Whether some process holds the lock of `path` now."""
    if not path.exists():
        return False
    with path.open("r") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
