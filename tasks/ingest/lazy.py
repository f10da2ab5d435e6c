"""Arrays that are read when they are indexed, and not before.

All are xarray BackendArrays: `xr.Variable` slices them lazily, `.chunk()` turns them into dask
arrays, and a pickled one reopens its file by path in another process.
"""

from collections.abc import Hashable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
import zarr
from numpy.typing import ArrayLike, DTypeLike, NDArray
from xarray.backends import BackendArray, CachingFileManager
from xarray.backends.locks import HDF5_LOCK
from xarray.core import indexing
from zarr.storage import LocalStore

from tasks.ingest.damage import damage_told
from tasks.ingest.ranged_file import RangedFile, failing_as_network, open_ranged

Key = tuple[Any, ...]
Array = NDArray[Any]


class LazyArray(BackendArray):
    """Base: says its shape and dtype, and reads any outer selection in `_read`.

    chunk_rows : rows that the file packs together, and unpacks together
    """

    chunk_rows = 1

    support = indexing.IndexingSupport.OUTER

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Array:
        result: Array = indexing.explicit_indexing_adapter(
            key, self.shape, self.support, self._read_any
        )
        return result

    def _read_any(self, key: Key) -> Array:
        """Read with plain integers as axes of length one, then drop those axes."""
        plain = tuple(axis for axis, part in enumerate(key) if isinstance(part, int | np.integer))
        outer = tuple(_outer(part, size) for part, size in zip(key, self.shape, strict=True))
        return self._read(outer).squeeze(axis=plain)

    def _read(self, key: Key) -> Array:
        raise NotImplementedError


class FileArrays:
    """Makes lazy arrays of what NWB objects hold, with one handle for each HDF5 file.

    remote : the file that all HDF5 datasets are in, if it is on another machine
    """

    def __init__(self, remote: RangedFile | None = None) -> None:
        self._remote = remote
        self._managers: dict[str, CachingFileManager[h5py.File]] = {}

    def lazy(self, data: Any) -> LazyArray:
        """Return numeric data of an NWB object, in a file or in memory, as a lazy array."""
        # hdmf wraps what a program is about to write in a DataIO.
        inner = getattr(data, "data", data) if type(data).__name__.endswith("DataIO") else data
        inner = plain_dataset(inner)
        if isinstance(inner, h5py.Dataset):
            return StoredArray(self._manager(inner.file.filename), inner, self._remote)
        if isinstance(inner, zarr.Array):
            return ZarrArray(inner)
        return MemoryArray(np.asarray(inner))

    def _manager(self, filename: str) -> "CachingFileManager[h5py.File]":
        if filename not in self._managers and self._remote is not None:
            self._managers[filename] = CachingFileManager(open_ranged, self._remote, mode="r")
        elif filename not in self._managers:
            path = str(Path(filename).resolve())
            self._managers[filename] = CachingFileManager(h5py.File, path, mode="r")
        return self._managers[filename]

    def close(self) -> None:
        """Close the file handles; arrays made here reopen them when they are read again."""
        for manager in self._managers.values():
            manager.close()


def plain_dataset(data: Any) -> Any:
    """Return the dataset of a compound column that holds numbers only; anything else as it is.

    hdmf wraps it to resolve references and text in it, and then reads it row by row.
    """
    dataset = getattr(data, "dataset", None)
    fields = getattr(getattr(dataset, "dtype", None), "fields", None)
    if isinstance(dataset, h5py.Dataset) and fields is not None:
        return dataset if all(kind.kind in "iufb" for kind, *_ in fields.values()) else data
    return data


class StoredArray(LazyArray):
    """A dataset of an HDF5 file."""

    support = indexing.IndexingSupport.OUTER_1VECTOR

    def __init__(
        self,
        manager: "CachingFileManager[h5py.File]",
        dataset: h5py.Dataset,
        remote: RangedFile | None = None,
    ) -> None:
        super().__init__(dataset.shape, dataset.dtype)
        self.manager = manager
        self.remote = remote
        self.name = str(dataset.name)
        self.chunk_rows = (dataset.chunks or (1,))[0]

    def _read(self, key: Key) -> Array:
        network = (
            nullcontext()
            if self.remote is None
            else failing_as_network(self.remote, self.manager.close)
        )
        with HDF5_LOCK, damage_told(self.name.lstrip("/")), network:
            return np.asarray(self.manager.acquire()[self.name][key])


class ZarrArray(LazyArray):
    """An array of a Zarr store; it opens no file, so there is none to close."""

    def __init__(self, array: "zarr.Array[Any]") -> None:
        super().__init__(array.shape, array.dtype)
        self.array = array
        self.chunk_rows = (array.shards or array.chunks or (1,))[0]

    def _read(self, key: Key) -> Array:
        # Far away what a codec does not understand may be the line's fault.
        near = isinstance(self.array.store, LocalStore)
        with damage_told(self.array.path) if near else nullcontext():
            return np.asarray(self.array.oindex[key] if key else self.array[()])


class MemoryArray(LazyArray):
    """An array that is in memory already."""

    def __init__(self, values: Array) -> None:
        super().__init__(values.shape, values.dtype)
        self.values = values

    def _read(self, key: Key) -> Array:
        return self.values[np.ix_(*positions(key, self.shape))] if key else self.values


def take(array: LazyArray, key: Key) -> Array:
    """Read an outer selection of a lazy array."""
    return np.asarray(array[indexing.OuterIndexer(key)])


def lazy_variable(
    dims: tuple[Hashable, ...], array: LazyArray, attrs: dict[str, Any] | None = None
) -> xr.Variable:
    """Wrap a lazy array so that xarray slices it without reading it."""
    return xr.Variable(dims, indexing.LazilyIndexedArray(array), attrs)


def _outer(part: Any, size: int) -> Any:
    """Return one part of a key as a forward slice with its ends spelled out, or as positions."""
    if isinstance(part, int | np.integer):
        index = int(part) % size
        return slice(index, index + 1, 1)
    if isinstance(part, slice):
        start, stop, step = part.indices(size)
        return slice(start, stop, step) if step > 0 else _axis(part, size)
    return part


def positions(key: Key, shape: tuple[int, ...]) -> list[NDArray[np.int64]]:
    """Return the positions along each axis that an outer key selects."""
    return [_axis(part, size) for part, size in zip(key, shape, strict=True)]


def _axis(part: ArrayLike | slice, size: int) -> NDArray[np.int64]:
    if isinstance(part, slice):
        start, stop, step = part.indices(size)
        return np.arange(start, stop, step, dtype=np.int64)
    return np.atleast_1d(np.asarray(part, dtype=np.int64))
