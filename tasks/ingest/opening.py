"""Opening NWB files: what cannot be used raises RecordingError with the reason."""

import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pynwb
import xarray as xr
from hdmf.build import ConstructError

from schemas.entities import Finding, Session
from schemas.errors import RecordingError, TectumError
from schemas.settings.ingest import IngestSettings
from tasks.ingest.damage import first_line, is_machine_error
from tasks.ingest.formats import NwbFormat, Reach, reach
from tasks.ingest.lenient import LenientManager
from tasks.ingest.objects import AssumedEqual, Container, ReadContext
from tasks.ingest.session import read_session, session_attrs
from tasks.ingest.specifications import type_map_of_file
from tasks.ingest.streams import read_streams

KNOWN_EXTENSIONS = ("ndx_pose",)
QUIET = ("Ignoring the following cached namespace", "Ignoring cached namespace")


@dataclass(frozen=True)
class OpenedRecording:
    """A recording that is open for reading.

    Attributes
    ----------
    path : the file; of one on another machine its URL, for messages only
    nwb_version : version of the NWB schema it was written with
    nwbfile : the pynwb object
    session : who was recorded, and when
    streams : lazy tree of all streams, as the file has them
    findings : what was odd on opening; full-length checks find more
    assumed_equal : time axes taken for one; full-length checks compare them
    close_arrays : closes the file behind the streams, which reopens if they are read again
    """

    path: Path
    nwb_version: str
    nwbfile: Container
    session: Session
    streams: xr.DataTree
    findings: tuple[Finding, ...]
    assumed_equal: tuple[AssumedEqual, ...]
    close_arrays: Callable[[], None]


@contextmanager
def read_recording(
    path: str | Path,
    settings: IngestSettings | None = None,
    *,
    raw: bool = False,
    alone: bool = False,
) -> Generator[OpenedRecording]:
    """Open an NWB file and find its streams, reading no samples.

    Parameters
    ----------
    path : an NWB 2 file in HDF5, a folder of NWB in Zarr v3, or the URL of either
    raw : also find imaging movies, stimulus images and waveforms, which the lake does not take

    alone : look for no file beside it: it is a copy of one that lies elsewhere

    Raises
    ------
    RecordingError
        The file cannot be read, is no NWB file, or is one that pynwb cannot make sense of.
    NetworkError
        It is on another machine, which cannot be reached.
    """
    settings = settings or IngestSettings()
    found = reach(str(path), settings.remote)
    context = ReadContext(settings, found.arrays, None if alone else found.folder, raw)
    with found.watch(), open_nwb(found) as (nwbfile, version, heard):
        context.findings.extend(heard)
        session = read_session(nwbfile, context)
        streams = read_streams(nwbfile, context)
        streams.attrs = session_attrs(session, nwbfile)
        try:
            yield OpenedRecording(
                Path(found.name),
                version,
                nwbfile,
                session,
                streams,
                tuple(context.findings),
                tuple(context.assumed_equal),
                context.arrays.close,
            )
        finally:
            context.arrays.close()


@contextmanager
def open_nwb(found: Reach) -> Generator[tuple[Container, str, list[Finding]]]:
    """Open an NWB file with pynwb; yield the NWBFile, its version and pynwb's warnings.

    Extensions are read by the specifications that the file carries, whatever is installed, so
    that a file reads the same everywhere; the installed ones are the second choice.
    """
    version = found.identify()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        io, nwbfile = _read(found.stored, found.name)
    try:
        yield nwbfile, version, [*_as_findings(caught), *io.manager.findings]
    finally:
        io.close()


def _read(stored: NwbFormat, where: str) -> tuple[Any, Container]:
    """Return pynwb's reader and the file it read."""
    failures: list[tuple[str, str]] = []
    for manager in (_manager_of_file, _manager_installed):
        io = None
        try:
            io = stored.open(manager(stored))
            return io, io.read()
        except TectumError:
            # Ours, with a reason of its own: the second manager would not help.
            if io is not None:
                io.close()
            raise
        except Exception as error:  # hdmf raises whatever the broken part of a file leads to
            if io is not None:
                io.close()
            if is_machine_error(error):
                raise
            failures.append(_reason(error))
    reason, place = failures[0]
    raise RecordingError(
        f"pynwb cannot read the file: {reason}",
        where=f"{where}:{place}" if place else where,
        remedy="Validate it with 'pynwb-validate' or NWB Inspector and write it again.",
    )


def _reason(error: Exception) -> tuple[str, str]:
    """Return why an object cannot be read, and its path if that is known.

    hdmf prints the whole object in front of the reason.
    """
    if isinstance(error, ConstructError) and error.args:
        place = str(getattr(error.args[0], "path", "")).removeprefix("root/")
        return first_line(Exception(error.args[-1])), place
    return first_line(error), ""


def _manager_of_file(stored: NwbFormat) -> LenientManager:
    return LenientManager(type_map_of_file(stored))


def _manager_installed(stored: NwbFormat) -> LenientManager:
    """Return a manager that knows the installed extensions first."""
    for extension in KNOWN_EXTENSIONS:
        import_module(extension)
    type_map = pynwb.get_type_map()
    stored.load_namespaces(type_map)
    return LenientManager(type_map)


def _as_findings(caught: list[warnings.WarningMessage]) -> list[Finding]:
    """Keep what pynwb warned of the file itself; not of versions or its own deprecations."""
    texts = dict.fromkeys(
        " ".join(str(warning.message).split())
        for warning in caught
        if not issubclass(
            warning.category, DeprecationWarning | PendingDeprecationWarning | ResourceWarning
        )
    )
    return [
        Finding(code="pynwb_warning", severity="warning", what=text, where="/")
        for text in texts
        if not text.startswith(QUIET)
    ]
