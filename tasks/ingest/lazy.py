"""Arrays that are read when they are indexed, and not before.

All are xarray BackendArrays: `xr.Variable` slices them lazily, `.chunk()` turns them into dask
arrays, and a pickled one reopens its file by path in another process.
"""

from collections.abc import Callable, Hashable, Sequence
from functools import partial
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
        with HDF5_LOCK:
            if self.remote is None:
                return np.asarray(self.manager.acquire()[self.name][key])
            with failing_as_network(self.remote, self.manager.close):
                return np.asarray(self.manager.acquire()[self.name][key])


class ZarrArray(LazyArray):
    """An array of a Zarr store; it opens no file, so there is none to close."""

    def __init__(self, array: "zarr.Array[Any]") -> None:
        super().__init__(array.shape, array.dtype)
        self.array = array
        self.chunk_rows = (array.shards or array.chunks or (1,))[0]

    def _read(self, key: Key) -> Array:
        try:
            return np.asarray(self.array.oindex[key] if key else self.array[()])
        except (OSError, MemoryError):
            raise
        except Exception as error:
            # Each codec says in its own way that a chunk is damaged. Far away it may be the line.
            if not isinstance(self.array.store, LocalStore):
                raise
            reason = f"/{self.array.path} is damaged ({type(error).__name__}: {error})"
            raise OSError(reason) from error


class MemoryArray(LazyArray):
    """An array that is in memory already."""

    def __init__(self, values: Array) -> None:
        super().__init__(values.shape, values.dtype)
        self.values = values

    def _read(self, key: Key) -> Array:
        return self.values[np.ix_(*positions(key, self.shape))] if key else self.values


class RegularAxis(LazyArray):
    """start + index / rate, computed when asked for; counts from `start` if rate is 0."""

    def __init__(self, start: float, rate_hz: float, size: int) -> None:
        super().__init__((size,), np.float64 if rate_hz else np.int64)
        self.start = start
        self.rate_hz = rate_hz

    def _read(self, key: Key) -> Array:
        (position,) = positions(key, self.shape)
        return self.start + position / self.rate_hz if self.rate_hz else position + int(self.start)


class RowOwner(LazyArray):
    """For each element of a ragged column, the row it belongs to."""

    def __init__(self, ends: NDArray[np.int64], size: int) -> None:
        super().__init__((size,), np.int32)
        self.ends = ends

    def _read(self, key: Key) -> Array:
        (position,) = positions(key, self.shape)
        return np.searchsorted(self.ends, position, side="right").astype(np.int32)


class MappedArray(LazyArray):
    """A function applied to each value of another lazy array; it must keep the shape."""

    def __init__(
        self, source: LazyArray, function: Callable[[Array], Array], dtype: DTypeLike
    ) -> None:
        super().__init__(source.shape, dtype)
        self.source = source
        self.function = function

    def _read(self, key: Key) -> Array:
        return self.function(take(self.source, key)).astype(self.dtype, copy=False)


class GainedColumns(LazyArray):
    """Columns of a (time, channel) array, each multiplied by its own gain, plus one offset."""

    def __init__(self, source: LazyArray, gains: NDArray[np.float64], offset: float) -> None:
        super().__init__(source.shape, float_for(source.dtype))
        self.source = source
        self.gains = gains
        self.offset = offset

    def _read(self, key: Key) -> Array:
        _, columns = positions(key, self.shape)
        values = take(self.source, key).astype(np.float64)
        return (values * self.gains[columns] + self.offset).astype(self.dtype)


class Columns(LazyArray):
    """An array of (time, ...) seen as (time, column), the last axis running fastest."""

    def __init__(self, source: LazyArray) -> None:
        columns = int(np.prod(source.shape[1:], dtype=np.int64))
        super().__init__((source.shape[0], columns), source.dtype)
        self.source = source

    def _read(self, key: Key) -> Array:
        rows = take(self.source, (key[0], *(slice(None),) * (len(self.source.shape) - 1)))
        return rows.reshape(len(rows), self.shape[1])[:, key[1]]


class Transposed(LazyArray):
    """A two-dimensional array with its axes exchanged."""

    def __init__(self, source: LazyArray) -> None:
        super().__init__(source.shape[::-1], source.dtype)
        self.source = source

    def _read(self, key: Key) -> Array:
        return take(self.source, key[::-1]).T


class FirstRows(LazyArray):
    """The first rows of another array."""

    def __init__(self, source: LazyArray, size: int) -> None:
        super().__init__((size, *source.shape[1:]), source.dtype)
        self.source = source

    def _read(self, key: Key) -> Array:
        # Slices come with their ends spelled out, so they never reach past the last row kept.
        return take(self.source, key)


class StackedPoints(LazyArray):
    """Points of several (time, space) arrays as (time, space, keypoint, individual)."""

    def __init__(self, points: Sequence[Sequence[LazyArray]]) -> None:
        first = points[0][0]
        dtype = np.result_type(*(array.dtype for row in points for array in row), np.float32)
        super().__init__((*first.shape, len(points), len(points[0])), dtype)
        self.points = points

    def _read(self, key: Key) -> Array:
        *inner, keypoints, individuals = positions(key, self.shape)
        inner_key = key[:-2]
        result = np.empty([len(axis) for axis in (*inner, keypoints, individuals)], self.dtype)
        for k, keypoint in enumerate(keypoints):
            for i, individual in enumerate(individuals):
                result[..., k, i] = take(self.points[keypoint][individual], inner_key)
        return result


def take(array: LazyArray, key: Key) -> Array:
    """Read an outer selection of a lazy array."""
    return np.asarray(array[indexing.OuterIndexer(key)])


def lazy_variable(
    dims: tuple[Hashable, ...], array: LazyArray, attrs: dict[str, Any] | None = None
) -> xr.Variable:
    """Wrap a lazy array so that xarray slices it without reading it."""
    return xr.Variable(dims, indexing.LazilyIndexedArray(array), attrs)


def float_for(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the float type that holds scaled values of `dtype`; float32 only if it loses none."""
    if dtype.kind == "f":
        return dtype
    return np.dtype(np.float32) if dtype.itemsize <= 2 else np.dtype(np.float64)


def scale(array: LazyArray, conversion: float, offset: float) -> tuple[LazyArray, dict[str, Any]]:
    """Return values x conversion + offset, and the encoding that stores integers as they were.

    An array that needs no scaling comes back as it is, integers included.
    """
    if conversion == 1 and offset == 0:
        return array, {}
    scaled = MappedArray(
        array, partial(_affine, factor=conversion, term=offset), float_for(array.dtype)
    )
    if array.dtype.kind not in "iu":
        return scaled, {}
    encoding = {"dtype": array.dtype, "scale_factor": conversion, "add_offset": offset}
    return scaled, encoding


def packed(variable: xr.Variable) -> xr.Variable:
    """Return the integers that a scaled variable of a file is made of, any other as it is.

    `scale_factor` and `add_offset` are then among its attributes, as CF has it.
    """
    array = getattr(variable._data, "array", None)
    if not isinstance(array, MappedArray) or "scale_factor" not in variable.encoding:
        return variable
    scaling = {name: variable.encoding[name] for name in ("scale_factor", "add_offset")}
    return lazy_variable(variable.dims, array.source, {**variable.attrs, **scaling})


def as_float64(array: LazyArray) -> LazyArray:
    """Return the same values as float64."""
    if array.dtype == np.float64:
        return array
    return MappedArray(array, partial(np.asarray, dtype=np.float64), np.float64)


def _affine(values: Array, factor: float, term: float) -> Array:
    return values.astype(np.float64) * factor + term


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
