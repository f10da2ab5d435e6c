"""Opening NWB files: what cannot be used raises RecordingError with the reason."""

import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import h5py
import pynwb
import xarray as xr
from hdmf.build import BuildManager, TypeMap
from hdmf.spec import NamespaceCatalog
from pynwb.spec import NWBDatasetSpec, NWBGroupSpec, NWBNamespace

from schemas.entities import Finding, Session
from schemas.errors import RecordingError
from schemas.settings.ingest import IngestSettings
from tasks.ingest.formats import Hdf5Format, NwbFormat, ZarrFormat
from tasks.ingest.lazy import FileArrays
from tasks.ingest.objects import AssumedEqual, Container, ReadContext
from tasks.ingest.session import read_session, session_attrs
from tasks.ingest.streams import read_streams
from tasks.ingest.zarr_folder import identify_zarr, local_store

BUILT_IN = ("hdmf-common", "hdmf-experimental", "core")
KNOWN_EXTENSIONS = ("ndx_pose",)
QUIET = ("Ignoring the following cached namespace", "Ignoring cached namespace")


@dataclass(frozen=True)
class OpenedRecording:
    """A recording that is open for reading.

    Attributes
    ----------
    path : the file
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
    path: str | Path, settings: IngestSettings | None = None
) -> Generator[OpenedRecording]:
    """Open an NWB file and find its streams, reading no samples.

    Parameters
    ----------
    path : an NWB 2 file in HDF5, or a folder of NWB in Zarr v3

    Raises
    ------
    RecordingError
        The file cannot be read, is no NWB file, or is one that pynwb cannot make sense of.
    """
    file = Path(path)
    context = ReadContext(settings or IngestSettings(), FileArrays(), file.resolve().parent)
    with open_nwb(file) as (nwbfile, version, heard):
        context.findings.extend(heard)
        session = read_session(nwbfile, context)
        streams = read_streams(nwbfile, context)
        streams.attrs = session_attrs(session, nwbfile)
        try:
            yield OpenedRecording(
                file,
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
def open_nwb(path: Path) -> Generator[tuple[Container, str, list[Finding]]]:
    """Open an NWB file with pynwb; yield the NWBFile, its version and pynwb's warnings.

    Extensions are read by the specifications that the file carries, whatever is installed, so
    that a file reads the same everywhere; the installed ones are the second choice.
    """
    stored: NwbFormat
    if path.is_dir():
        store = local_store(str(path))
        version, stored = identify_zarr(store, str(path)), ZarrFormat(store)
    else:
        version, stored = identify(path), Hdf5Format(path)
    heard: list[Finding] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        io, nwbfile = _read(stored, str(path))
    heard.extend(_as_findings(caught))
    try:
        yield nwbfile, version, heard
    finally:
        io.close()


def identify(path: Path) -> str:
    """Return the NWB version of an HDF5 file, told by its root attributes alone.

    Raises
    ------
    RecordingError
        Not there, empty, not HDF5, damaged, not NWB, or NWB 1.
    """
    where = str(path)
    if not path.is_file():
        raise RecordingError("there is no such file.", where=where)
    if path.stat().st_size == 0:
        raise RecordingError("the file is empty.", where=where, remedy="Copy it again.")
    try:
        with h5py.File(path, "r") as file:
            version = file.attrs.get("nwb_version")
            is_v1 = "nwb_version" in file and version is None
            has_root = "session_description" in file
    except OSError as error:
        reason = "is cut short or damaged" if _has_signature(path) else "is not HDF5"
        raise RecordingError(
            f"the file {reason} ({_first_line(error)}).", where=where, remedy="Copy it again."
        ) from error
    if is_v1:
        raise RecordingError(
            "the file is NWB 1, which is not supported.",
            where=where,
            remedy="Convert it to NWB 2, for instance with NeuroConv.",
        )
    if version is None or not has_root:
        raise RecordingError("the file is HDF5, but not NWB: it lacks the NWB root.", where=where)
    text = version.decode() if isinstance(version, bytes) else str(version)
    if text.lstrip("v").startswith(("0", "1")):
        raise RecordingError(
            f"the file is NWB {text}, which is not supported.",
            where=where,
            remedy="Convert it to NWB 2, for instance with NeuroConv.",
        )
    return text


def _read(stored: NwbFormat, where: str) -> tuple[Any, Container]:
    """Return pynwb's reader and the file it read."""
    failures: list[str] = []
    for manager in (_manager_of_file, _manager_installed):
        io = None
        try:
            io = stored.open(manager(stored))
            return io, io.read()
        except RecordingError:
            # Ours, with a reason of its own: the second manager would not help.
            if io is not None:
                io.close()
            raise
        except Exception as error:  # hdmf raises whatever the broken part of a file leads to
            failures.append(_first_line(error))
            if io is not None:
                io.close()
    raise RecordingError(
        f"pynwb cannot read the file: {failures[0]}",
        where=where,
        remedy="Validate it with 'pynwb-validate' or NWB Inspector and write it again.",
    )


def _manager_of_file(stored: NwbFormat) -> BuildManager:
    """Return a manager that knows NWB itself and the extensions as the file specifies them."""
    installed = pynwb.get_type_map()
    catalogue = NamespaceCatalog(NWBGroupSpec, NWBDatasetSpec, NWBNamespace)
    for name in BUILT_IN:
        catalogue.add_namespace(name, installed.namespace_catalog.get_namespace(name))
    type_map = TypeMap(catalogue)
    # The successor that hdmf names, merge, would bring the installed extensions along.
    type_map.copy_mappers(installed)
    stored.load_namespaces(type_map)
    return BuildManager(type_map)


def _manager_installed(stored: NwbFormat) -> BuildManager:
    """Return a manager that knows the installed extensions first."""
    for extension in KNOWN_EXTENSIONS:
        import_module(extension)
    type_map = pynwb.get_type_map()
    stored.load_namespaces(type_map)
    return BuildManager(type_map)


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


def _has_signature(path: Path) -> bool:
    with path.open("rb") as handle:
        return handle.read(8) == b"\x89HDF\r\n\x1a\n"


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:500] if text else type(error).__name__
