"""Lazy arrays that are made of others, or computed: nothing is read before they are indexed."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import DTypeLike, NDArray

from tasks.ingest.lazy import Array, Key, LazyArray, lazy_variable, positions, take


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


def float_for(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the float type that holds scaled values of `dtype`; float32 only if it loses none.

    Half precision has no room for a volt in microvolts.
    """
    if dtype.kind == "f":
        return np.promote_types(dtype, np.float32)
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
