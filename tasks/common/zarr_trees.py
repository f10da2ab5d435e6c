"""Writing and opening Zarr trees the way the lake keeps them."""

import warnings
from collections.abc import Generator, Hashable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec

from tasks.common.block_order import OneByOne
from tasks.common.zarr_links import find_origin, link_array, mark_origins

CHUNK_SAMPLES = 6_000
CHUNK_COLUMNS = 50
FLOAT_CODEC = BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle")
"""For floats 1.7 times as fast to write and 1.9 to read as Zarr's own zstd, and no larger."""
PIPELINE = "zarr.core.codec_pipeline.FusedCodecPipeline"
KEPT_ENCODING = {"dtype", "scale_factor", "add_offset", "_FillValue", "chunks"}


@contextmanager
def quiet_zarr() -> Generator[None]:
    """Hide that text arrays and consolidated metadata are not yet in the Zarr v3 specification."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have a Zarr V3 specification.*")
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        with zarr.config.set({"codec_pipeline.path": PIPELINE}):
            yield


def write_tree(tree: xr.DataTree, path: Path) -> None:
    """Write a tree as Zarr v3, dask arrays in parallel, metadata consolidated once at the end.

    Variables that come unchanged from a tree of the lake are linked to its files, not written
    again: artifacts never change, so the two may share them.

    Raises
    ------
    ValueError
        A variable that its encoding keeps as integers holds NaN, which would become a number.
    """
    groups = {node.path: node.to_dataset(inherit=False) for node in tree.subtree}
    unchanged = {
        (group, str(name)): origin
        for group, dataset in groups.items()
        for name in dataset.data_vars
        if (origin := find_origin(dataset.variables[name])) is not None
    }
    prepared = {
        group: _prepare(dataset.drop_vars([n for g, n in unchanged if g == group]))
        for group, dataset in groups.items()
    }
    with quiet_zarr(), OneByOne():
        # What it warns of cannot happen: _require_finite.
        warnings.filterwarnings("ignore", message=r".*without any _FillValue to use for NaNs")
        xr.DataTree.from_dict(prepared).to_zarr(path, mode="w", zarr_format=3, consolidated=False)
        for (group, name), origin in unchanged.items():
            link_array(origin, path / group.strip("/") / name, groups[group].variables[name])
        zarr.consolidate_metadata(path, zarr_format=3)


def open_tree(path: Path | str, *, indexes: bool = True) -> xr.DataTree:
    """Open a tree lazily: metadata only, every array a dask array in the store's own chunks.

    Parameters
    ----------
    indexes : an index makes `sel` work and reads the times of every stream: gigabytes for an
        hour of sound. Without it times are lazy as well.
    """
    with quiet_zarr():
        tree = xr.open_datatree(
            path, engine="zarr", chunks={}, consolidated=True, create_default_indexes=indexes
        )
    mark_origins(tree, path)
    return tree


def _prepare(dataset: xr.Dataset) -> xr.Dataset:
    """Give every variable the lake's chunks and drop what another file's encoding left behind.

    The result has no indexes: an index would read the times, gigabytes for an hour of sound.
    """
    prepared = {name: _chunked(variable) for name, variable in dataset.variables.items()}
    coords = {name: prepared.pop(name) for name in dataset.coords}
    return xr.Dataset(prepared, xr.Coordinates(coords, indexes={}), dataset.attrs)


def _chunked(source: xr.Variable) -> xr.Variable:
    """Return a variable in the lake's chunks, with the encoding that it is stored with."""
    variable = source.to_base_variable()
    encoding = {k: v for k, v in variable.encoding.items() if k in KEPT_ENCODING}
    chunks = tuple(encoding.get("chunks") or default_chunks(variable.shape))
    if len(chunks) != variable.ndim:
        chunks = default_chunks(variable.shape)
    if variable.chunks is not None and not _hold_whole(variable.chunks, chunks):
        variable = variable.chunk(dict(zip(variable.dims, chunks, strict=True)))
    if _loses_nan(variable, encoding):
        variable = xr.apply_ufunc(
            _require_finite,
            variable,
            dask="parallelized",
            keep_attrs=True,
            output_dtypes=[variable.dtype],
        )
    variable.encoding = _stored_as(variable, encoding, chunks)
    return variable


def _hold_whole(pieces: tuple[tuple[int, ...], ...], chunks: tuple[int, ...]) -> bool:
    """Tell whether dask's pieces hold whole chunks: each is written at once, by one task."""
    return all(
        size % chunk == 0
        for sizes, chunk in zip(pieces, chunks, strict=True)
        for size in sizes[:-1]
    )


def _stored_as(
    variable: xr.Variable, encoding: dict[Hashable, Any], chunks: tuple[int, ...]
) -> dict[Hashable, Any]:
    """Return the encoding of a variable: its own scale, the lake's chunks and codec."""
    if not variable.ndim:
        return {}
    stored = np.dtype(encoding.get("dtype", variable.dtype))
    codec: dict[Hashable, Any] = {"compressors": FLOAT_CODEC} if stored.kind == "f" else {}
    return {**encoding, "chunks": chunks, **codec}


def _loses_nan(variable: xr.Variable, encoding: dict[Hashable, Any]) -> bool:
    """Whether NaN would become some number: floats kept as integers without a fill value."""
    kept_as_integer = "dtype" in encoding and np.dtype(encoding["dtype"]).kind in "iu"
    return kept_as_integer and variable.dtype.kind == "f" and "_FillValue" not in encoding


def _require_finite(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return `values`; they are finite or this fails while the tree is written."""
    if not np.isfinite(values).all():
        raise ValueError(
            "NaN or infinity in a variable that is stored as integers: give its encoding a "
            "_FillValue, or drop the encoding"
        )
    return values


def default_chunks(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the lake's chunks for an array: about 6,000 samples x 50 columns, 1 to 8 MB."""
    if not shape:
        return ()
    if len(shape) == 1:
        return (min(max(shape[0], 1), CHUNK_SAMPLES * CHUNK_COLUMNS),)
    columns = [min(max(size, 1), CHUNK_COLUMNS) for size in shape[1:]]
    samples = CHUNK_SAMPLES * CHUNK_COLUMNS // int(np.prod(columns))
    return (min(max(shape[0], 1), max(samples, CHUNK_SAMPLES)), *columns)
