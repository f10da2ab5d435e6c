"""What a file is, told by its first bytes and root attributes; imports h5py and nothing heavier."""

from pathlib import Path

import h5py

from schemas.errors import RecordingError
from tasks.ingest.damage import first_line, is_machine_error

CONVERT = "Convert it to NWB 2, for instance with NeuroConv."


def identify(path: Path) -> str:
    """Return the NWB version of a file, told by its root attributes alone.

    Raises
    ------
    RecordingError
        Not there, empty, not HDF5, damaged, not NWB, or NWB 1.
    """
    where = str(path)
    if not path.is_file():
        raise RecordingError("there is no such file.", where=where, problem="no_file")
    if path.stat().st_size == 0:
        raise RecordingError(
            "the file is empty.", where=where, remedy="Copy it again.", problem="empty"
        )
    try:
        with h5py.File(path, "r") as file:
            return nwb_version(file, where)
    except (OSError, RuntimeError, ValueError) as error:
        if is_machine_error(error):
            raise
        damaged = has_signature(path)
        reason = "is cut short or damaged" if damaged else "is not HDF5"
        raise RecordingError(
            f"the file {reason} ({first_line(error)}).",
            where=where,
            remedy="Copy it again.",
            problem="damaged" if damaged else "not_hdf5",
        ) from error


def nwb_version(file: h5py.File, where: str) -> str:
    """Return the NWB version of an open file; RecordingError if it is not NWB 2."""
    version = file.attrs.get("nwb_version")
    if "nwb_version" in file and version is None:
        raise RecordingError(
            "the file is NWB 1, which is not supported.",
            where=where,
            remedy=CONVERT,
            problem="nwb_1",
        )
    if version is None or "session_description" not in file:
        raise RecordingError(
            "the file is HDF5, but not NWB: it lacks the NWB root.",
            where=where,
            remedy="Give the NWB file itself, or convert this one with NeuroConv.",
            problem="not_nwb",
        )
    text = _text(version)
    if text.lstrip("v").startswith(("0", "1")):
        raise RecordingError(
            f"the file is NWB {text}, which is not supported.",
            where=where,
            remedy=CONVERT,
            problem="nwb_1",
        )
    return text


def has_signature(path: Path) -> bool:
    """Tell whether a file starts as HDF5 files do."""
    with path.open("rb") as handle:
        return handle.read(8) == b"\x89HDF\r\n\x1a\n"


def _text(version: object) -> str:
    return version.decode(errors="replace") if isinstance(version, bytes) else str(version)
