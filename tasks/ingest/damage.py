"""What cannot be read: whose fault it is, the recording's or the machine's, and how it is told."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from schemas.entities import Finding
from schemas.errors import RecordingError, TectumError

MACHINE = frozenset(
    getattr(errno, name)
    for name in (
        "EACCES", "EPERM", "EIO", "EREMOTEIO", "ENXIO", "ENODEV", "ESTALE", "EBADF", "EMFILE",
        "ENFILE", "EPIPE", "ETIMEDOUT", "ECONNREFUSED", "ECONNRESET", "ECONNABORTED", "ENOTCONN",
        "ENETDOWN", "ENETUNREACH", "ENETRESET", "EHOSTDOWN", "EHOSTUNREACH",
    )
    if hasattr(errno, name)
)  # fmt: skip
"""What a disk, a network or a full machine answers, whatever is in the file. Not EINVAL, EFBIG or
ENOENT: a damaged offset leads beyond any file, and a damaged name to none."""

HDF5_NUMBER = re.compile(r"\berrno = (\d+), error message =")


def is_machine_error(error: BaseException | None) -> bool:
    """Tell whether the machine failed and the recording may be good; libraries wrap such errors."""
    while error is not None:
        if isinstance(error, ConnectionError | TimeoutError):
            return True
        if isinstance(error, TectumError) and not isinstance(error, RecordingError):
            return True
        if _number(error) in MACHINE:
            return True
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return False


def _number(error: BaseException) -> int | None:
    """Return the number of the system's error, of which HDF5 sometimes only writes in its text."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = HDF5_NUMBER.search(str(error))
    return int(found.group(1)) if found else None


@contextmanager
def damage_told(where: str) -> Iterator[None]:
    """Raise RecordingError for whatever a library makes of damaged bytes.

    Each codec says in its own way that it cannot unpack something: by an OSError, a RuntimeError, a
    ValueError. What the machine's failures raise passes.

    where : the object that is read
    """
    try:
        yield
    except (RecordingError, MemoryError):
        raise
    except Exception as error:
        if is_machine_error(error):
            raise
        raise RecordingError(
            f"its values are damaged ({type(error).__name__}: {first_line(error)}).",
            where=where,
            remedy="Copy the file again.",
            problem="damaged",
        ) from error


def unreadable(what: str, error: RecordingError, source: str = "") -> Finding:
    """Return the finding of a "stream", or a "column" of one, that its file does not give back.

    source : where it is in the file, if the error does not say
    """
    return Finding(
        code=f"{what}_unreadable",
        severity="error",
        what=error.what,
        where=error.where or source,
        remedy=f"{error.remedy} What else the file holds is read.".lstrip(),
        repair=f"The {what} is left out.",
    )


def first_line(error: BaseException) -> str:
    """Return what an error says, cut to one line of at most 500 characters."""
    text = str(error).strip()
    return text.splitlines()[0][:500] if text else type(error).__name__
