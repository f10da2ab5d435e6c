"""The two formats that NWB comes in, HDF5 and Zarr, as pynwb opens them."""

import warnings
from pathlib import Path
from typing import Any, Protocol

import h5py
import pynwb
from hdmf.backends.io import HDMFIO
from hdmf.build import BuildManager, TypeMap
from zarr.abc.store import Store

from tasks.ingest.zarr_folder import SealedNwbZarrIO


class NwbFormat(Protocol):
    """How an NWB file of one format is opened with pynwb."""

    def open(self, manager: BuildManager) -> HDMFIO:
        """Return pynwb's reader of the file; the caller closes it."""

    def load_namespaces(self, type_map: TypeMap) -> None:
        """Add the specifications that the file carries."""


class Hdf5Format:
    """NWB in an HDF5 file: a path, or a file-like object that reads a remote one."""

    def __init__(self, target: Path | Any) -> None:
        self.target = str(target) if isinstance(target, Path) else target

    def open(self, manager: BuildManager) -> HDMFIO:
        """Return pynwb's reader of the file; the caller closes it."""
        if isinstance(self.target, str):
            return pynwb.NWBHDF5IO(self.target, "r", manager=manager)
        return pynwb.NWBHDF5IO(file=h5py.File(self.target, "r"), mode="r", manager=manager)

    def load_namespaces(self, type_map: TypeMap) -> None:
        """Add the specifications that the file carries."""
        if isinstance(self.target, str):
            pynwb.NWBHDF5IO.load_namespaces(type_map, self.target)
            return
        with h5py.File(self.target, "r") as file:
            pynwb.NWBHDF5IO.load_namespaces(type_map, file=file)


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
