"""Two identities of a recording: of the file's bytes, and of what is in it.

The same data written twice never gives the same bytes: objects get new ids, the file the time of
its making. The logical hash covers every group, dataset and attribute by name, type and value,
whatever the chunks and compression, and leaves out only what a second writing changes.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

FRESH_ATTRIBUTES = frozenset({"object_id", ".specloc", "nwb_version"})
FRESH_OBJECTS = frozenset({"/specifications", "/file_create_date", "/identifier"})
"""What is made anew for each file; `identifier` names the file, not the recording."""

BLOCK_BYTES = 32 * 2**20


def logical_sha256(file: h5py.File) -> str:
    """Return the hash of a recording's logical content.

    Parameters
    ----------
    file : an open HDF5 file; read in full, in blocks

    Notes
    -----
    Links are hashed as what they point to by path, references as the path they point to, numbers
    in little-endian order of their own type, text as UTF-8.
    """
    digest = hashlib.sha256()
    for line in _lines(file, "", {}):
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def _lines(group: h5py.Group, path: str, seen: dict[int, str]) -> Iterator[str]:
    """Yield a line for every object below a group, in the order of their names."""
    yield f"group\x1f{path}\x1f{_attributes(group)}"
    for name in sorted(group):
        below = f"{path}/{name}"
        if below in FRESH_OBJECTS:
            continue
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
            yield from _lines(child, below, seen)
        elif isinstance(child, h5py.Dataset):
            yield f"dataset\x1f{below}\x1f{_attributes(child)}\x1f{_values(child)}"


def _attributes(holder: h5py.Group | h5py.Dataset) -> str:
    names = sorted(set(holder.attrs) - FRESH_ATTRIBUTES)
    return json.dumps([(name, _plain(holder, holder.attrs[name])) for name in names])


def _values(dataset: h5py.Dataset) -> str:
    """Return a hash of a dataset's shape, type and values."""
    digest = hashlib.sha256(f"{dataset.shape}".encode())
    try:
        _digest_values(dataset, digest)
    except OSError:
        # A damaged chunk: the stream is left out, the rest of the recording is still itself.
        return "unreadable"
    return digest.hexdigest()


def _digest_values(dataset: h5py.Dataset, digest: "hashlib._Hash") -> None:
    if h5py.check_string_dtype(dataset.dtype) or dataset.dtype.kind not in "iufb":
        for block in _blocks(dataset):
            digest.update(json.dumps(_plain(dataset, block)).encode())
        return
    dtype = dataset.dtype.newbyteorder("<")
    digest.update(str(dtype).encode())
    for block in _blocks(dataset):
        digest.update(np.ascontiguousarray(block, dtype).tobytes())


def _blocks(dataset: h5py.Dataset) -> Iterator[Any]:
    if dataset.shape in ((), None):
        yield dataset[()] if dataset.shape == () else None
        return
    row = max(int(np.prod(dataset.shape[1:], dtype=np.int64)) * dataset.dtype.itemsize, 1)
    # Whole chunks, or compressed ones would be unpacked twice.
    chunk = dataset.chunks[0] if dataset.chunks else 1
    step = max(BLOCK_BYTES // row // chunk, 1) * chunk
    for start in range(0, dataset.shape[0], step):
        yield dataset[start : start + step]


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
