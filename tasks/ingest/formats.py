"""The two formats that NWB comes in, HDF5 and Zarr, here or on another machine."""

import hashlib
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import h5py
import pynwb
from hdmf.backends.hdf5.h5tools import SPEC_LOC_ATTR
from hdmf.backends.io import HDMFIO
from hdmf.build import BuildManager, TypeMap
from zarr.abc.store import Store
from zarr.storage import FsspecStore

from schemas.errors import RecordingError
from schemas.settings.remote import RemoteSettings
from tasks.common.remote import is_url, local_path, network_errors, open_filesystem, public_url
from tasks.ingest.damage import first_line
from tasks.ingest.identify import identify, nwb_version
from tasks.ingest.lazy import FileArrays
from tasks.ingest.ranged_file import RangedFile, failing_as_network, open_ranged
from tasks.ingest.sealed_zarr import SealedNwbZarrIO
from tasks.ingest.zarr_folder import identify_zarr, local_store

ZARR_SUFFIX = ".zarr"


class NwbFormat(Protocol):
    """How an NWB file of one format is opened with pynwb."""

    def open(self, manager: BuildManager) -> HDMFIO:
        """Return pynwb's reader of the file; the caller closes it."""

    def load_namespaces(self, type_map: TypeMap) -> None:
        """Add the specifications that the file carries."""

    def specifications_sha256(self) -> str | None:
        """Return a hash of these specifications; None where it would cost as much as they do."""


class Hdf5Format:
    """NWB in an HDF5 file, which `opener` opens; `near` if it is on this machine."""

    def __init__(self, opener: Callable[[], h5py.File], *, near: bool = False) -> None:
        self.opener = opener
        self.near = near

    def open(self, manager: BuildManager) -> HDMFIO:
        """Return pynwb's reader of the file; the caller closes it."""
        return pynwb.NWBHDF5IO(file=self.opener(), mode="r", manager=manager)

    def load_namespaces(self, type_map: TypeMap) -> None:
        """Add the specifications that the file carries."""
        with self.opener() as file:
            pynwb.NWBHDF5IO.load_namespaces(type_map, file=file)

    def specifications_sha256(self) -> str | None:
        """Return a hash of these specifications; None where it would cost as much as they do."""
        if not self.near:
            return None
        digest = hashlib.sha256()

        def add(name: str, found: h5py.Group | h5py.Dataset) -> None:
            text = found[()] if isinstance(found, h5py.Dataset) else b""
            digest.update(f"{name}\x1f{text!r}\n".encode())

        with self.opener() as file:
            if SPEC_LOC_ATTR in file.attrs:
                file[file.attrs[SPEC_LOC_ATTR]].visititems(add)
        return digest.hexdigest()


class ZarrFormat:
    """NWB in a Zarr v3 store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def open(self, manager: BuildManager) -> HDMFIO:
        """Return pynwb's reader of the store; the caller closes it."""
        return SealedNwbZarrIO(path=self.store, mode="r", manager=manager)

    def load_namespaces(self, type_map: TypeMap) -> None:
        """Add the specifications that the store carries."""
        with warnings.catch_warnings():
            # A store without specifications is read with the installed ones.
            warnings.filterwarnings("ignore", message="No cached namespaces found")
            SealedNwbZarrIO.load_namespaces(type_map, path=self.store)

    def specifications_sha256(self) -> str | None:
        """Return None: Zarr reads each of its pieces of metadata as a file of its own."""
        return None


@dataclass(frozen=True)
class Reach:
    """A recording that can be reached, and how.

    Attributes
    ----------
    name : its path or URL, without what may be secret
    stored : how pynwb opens it
    arrays : makes lazy arrays of what is in it
    folder : where files beside it are looked for; None if nowhere
    identify : returns the NWB version, or raises RecordingError
    watch : context that raises network errors as such, whatever a library made of them
    """

    name: str
    stored: NwbFormat
    arrays: FileArrays
    folder: Path | None
    identify: Callable[[], str]
    watch: Callable[[], AbstractContextManager[None]]


def reach(name: str, settings: RemoteSettings) -> Reach:
    """Find out what a path or URL names; reads no more than a remote file's length.

    Raises
    ------
    RecordingError
        A URL that names nothing; of a path, only `identify` says so.
    NetworkError
        The server cannot be reached.
    """
    if not is_url(name):
        return _reach_local(local_path(name))
    if name.rstrip("/").endswith(ZARR_SUFFIX):
        return _reach_remote_zarr(name, settings)
    return _reach_remote_hdf5(name, settings)


def _reach_local(path: Path) -> Reach:
    folder, where = path.resolve().parent, str(path)
    if path.is_dir():
        store = local_store(where)
        check = partial(identify_zarr, store, where)
        return Reach(where, ZarrFormat(store), FileArrays(), folder, check, nullcontext)
    stored = Hdf5Format(partial(h5py.File, path, "r"), near=True)
    return Reach(where, stored, FileArrays(), folder, partial(identify, path), nullcontext)


def _reach_remote_hdf5(url: str, settings: RemoteSettings) -> Reach:
    where = public_url(url)
    try:
        file = RangedFile(url, settings)
    except FileNotFoundError as error:
        raise _absent(where) from error

    def check() -> str:
        try:
            with open_ranged(file) as opened:
                return nwb_version(opened, where)
        except OSError as error:
            reason = f"the file is not HDF5, or is damaged ({first_line(error)})."
            raise RecordingError(reason, where=where, problem="not_hdf5") from error

    stored = Hdf5Format(partial(open_ranged, file))
    watch = partial(failing_as_network, file)
    return Reach(where, stored, FileArrays(file), None, check, watch)


def _reach_remote_zarr(url: str, settings: RemoteSettings) -> Reach:
    where = public_url(url)
    store = remote_store(url, settings)

    def check() -> str:
        try:
            with network_errors(url):
                return identify_zarr(store, where)
        except FileNotFoundError as error:
            raise _absent(where) from error

    watch = partial(network_errors, url)
    return Reach(where, ZarrFormat(store), FileArrays(), None, check, watch)


def remote_store(url: str, settings: RemoteSettings) -> Store:
    """Return the Zarr store behind a URL, never written."""
    filesystem, path = open_filesystem(url.rstrip("/"), settings, asynchronous=True)
    return FsspecStore(filesystem, read_only=True, path=path)


def _absent(where: str) -> RecordingError:
    return RecordingError("there is no such file.", where=where, problem="no_file")
