"""Two identities of a recording: of the file's bytes, and of what is in it.

The same data written twice never gives the same bytes: objects get new ids, the file the time of
its making. The logical hash covers every group, dataset and attribute by name, type and value,
whatever the chunks and compression, and leaves out only what a second writing changes.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import h5py
import numpy as np

from tasks.ingest.damage import is_machine_error

FRESH_ATTRIBUTES = frozenset({"object_id", ".specloc", "nwb_version"})
FRESH_OBJECTS = frozenset({"/specifications", "/file_create_date", "/identifier"})
"""What is made anew for each file; `identifier` names the file, not the recording."""

BLOCK_BYTES = 8 * 2**20
LARGEST_BLOCK_BYTES = 512 * 2**20
TEXT_BLOCK = 2**17
"""Elements of text or compound data in one block: their size is known only once they are read."""

Spend = Callable[[str, int], None]
"""Told of each object and of each block read: its path and bytes. May raise to stop the reading."""


def logical_sha256(file: h5py.File, spend: Spend | None = None) -> str:
    """Return the hash of a recording's logical content.

    Parameters
    ----------
    file : an open HDF5 file; read in full, in blocks
    spend : told how far the reading is

    Notes
    -----
    Links are hashed as what they point to by path, references as the path they point to, numbers
    in little-endian order of their own type, text as UTF-8.
    """
    digest = hashlib.sha256()
    for line in _lines(file, "", {}, spend or (lambda path, size: None)):
        digest.update(line.encode("utf-8", "backslashreplace") + b"\n")
    return digest.hexdigest()


def read_rest(file: h5py.File, spend: Spend) -> None:
    """Read what the logical hash leaves out, so that nothing in a file is unread."""
    for path in sorted(FRESH_OBJECTS):
        found = file.get(path)
        if isinstance(found, h5py.Group):
            for _ in _lines(found, path, {}, spend):
                pass
        elif isinstance(found, h5py.Dataset):
            _values(found, partial(spend, path))


def _lines(group: h5py.Group, path: str, seen: dict[int, str], spend: Spend) -> Iterator[str]:
    """Yield a line for every object below a group, in the order of their names."""
    yield f"group\x1f{path}\x1f{_attributes(group)}"
    for name in sorted(group):
        below = f"{path}/{name}"
        if below in FRESH_OBJECTS:
            continue
        spend(below, 0)
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            yield f"external\x1f{below}\x1f{link.filename}\x1f{link.path}"
            continue
        child = group.get(name)
        if child is None:
            yield f"broken\x1f{below}"
            continue
        address = h5py.h5o.get_info(child.id).addr
        if address in seen:
            yield f"link\x1f{below}\x1f{seen[address]}"
            continue
        seen[address] = below
        if isinstance(child, h5py.Group):
            yield from _lines(child, below, seen, spend)
        elif isinstance(child, h5py.Dataset):
            values = _values(child, partial(spend, below))
            yield f"dataset\x1f{below}\x1f{_attributes(child)}\x1f{values}"


def _attributes(holder: h5py.Group | h5py.Dataset) -> str:
    # All are read: what reads a file after its hash was taken may rely on that it can be read.
    values = [(name, _plain(holder, holder.attrs[name])) for name in sorted(holder.attrs)]
    return json.dumps([pair for pair in values if pair[0] not in FRESH_ATTRIBUTES])


def _values(dataset: h5py.Dataset, spend: Callable[[int], None]) -> str:
    """Return a hash of a dataset's shape, type and values."""
    digest = hashlib.sha256(f"{dataset.shape}".encode())
    try:
        _digest_values(dataset, digest, spend)
    except OSError as error:
        if is_machine_error(error):
            raise
        # A damaged chunk: the stream is left out, the rest of the recording is still itself.
        return "unreadable"
    return digest.hexdigest()


def _digest_values(
    dataset: h5py.Dataset, digest: "hashlib._Hash", spend: Callable[[int], None]
) -> None:
    if dataset.shape is None:
        return
    if h5py.check_string_dtype(dataset.dtype) or dataset.dtype.kind not in "iufb":
        for block in blocks(dataset, dataset.chunks, TEXT_BLOCK, TEXT_BLOCK):
            # One line an element: blocks follow the chunks, which do not count.
            lines = [json.dumps(_plain(dataset, value)) + "\n" for value in np.ravel(block)]
            text = "".join(lines).encode()
            spend(len(text))
            digest.update(text)
        return
    dtype = dataset.dtype.newbyteorder("<")
    digest.update(str(dtype).encode())
    size = dtype.itemsize
    usual, largest = BLOCK_BYTES // size, LARGEST_BLOCK_BYTES // size
    for block in blocks(dataset, dataset.chunks, usual, largest):
        spend(block.nbytes)
        digest.update(np.ascontiguousarray(block, dtype).data)


def blocks(dataset: Any, chunks: tuple[int, ...] | None, usual: int, largest: int) -> Iterator[Any]:
    """Yield the values of an HDF5 dataset or Zarr array in C order, about `usual` at a time.

    Whole chunks at once, or compressed ones would be unpacked again for each block that they
    reach into; unless that takes more than `largest` elements.
    """
    shape = dataset.shape
    if shape == ():
        yield np.asarray(dataset[()], dataset.dtype)
        return
    rows = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    chunks = chunks or (1,) * len(shape)
    # Axes before this one are walked one index at a time, or a block would be too large.
    axis = next(
        a for a, (row, chunk) in enumerate(zip(rows, chunks, strict=True))
        if row <= usual or row * chunk <= largest
    )  # fmt: skip
    row, chunk = max(rows[axis], 1), chunks[axis]
    step = max(usual // row // chunk, 1) * chunk
    step = step if step * row <= largest else max(usual // row, 1)
    for index in np.ndindex(*shape[:axis]):
        for start in range(0, shape[axis], step):
            yield np.asarray(dataset[(*index, slice(start, start + step))])


def _plain(holder: h5py.Group | h5py.Dataset, value: Any) -> Any:
    """Return an attribute or a block of values as plain JSON values."""
    if isinstance(value, h5py.Reference):
        return f"-> {holder.file[value].name}" if value else "-> nothing"
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, np.void):
        return [_plain(holder, value[name]) for name in value.dtype.names or ()]
    if isinstance(value, np.ndarray):
        return [_plain(holder, part) for part in value]
    if isinstance(value, np.generic):
        return _plain(holder, value.item())
    return repr(value) if isinstance(value, float) else str(value)
