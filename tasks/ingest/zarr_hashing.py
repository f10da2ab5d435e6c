"""The logical hash of a recording in Zarr.

It covers the same as that of HDF5: every group, array and attribute by name, type and value,
whatever the chunks and codecs. The two formats spell links, references and text differently, so
the same recording in HDF5 and in Zarr counts as two.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import zarr
from zarr.abc.store import Store

from tasks.ingest.damage import is_machine_error
from tasks.ingest.hashing import (
    BLOCK_BYTES,
    FRESH_ATTRIBUTES,
    FRESH_OBJECTS,
    LARGEST_BLOCK_BYTES,
    TEXT_BLOCK,
    Spend,
    blocks,
)
from tasks.ingest.zarr_folder import Node

LAYOUT_ATTRIBUTES = frozenset({"_ARRAY_DIMENSIONS"})
"""Names of dimensions, which hdmf-zarr derives from the specification and not from the data."""


def zarr_logical_sha256(store: Store, nodes: Mapping[str, Node], spend: Spend | None = None) -> str:
    """Return the hash of a recording's logical content; reads every array in blocks.

    nodes : the metadata of the store, as check_nodes returns them
    spend : told how far the reading is
    """
    spend = spend or (lambda path, size: None)
    root = zarr.open_group(store, mode="r")
    digest = hashlib.sha256()
    for path, node in sorted(nodes.items()):
        # All are read: what reads a store after its hash was taken may rely on that it can be read.
        values = _values(root, path, spend) if node["node_type"] == "array" else ""
        if any(f"/{path}/".startswith(f"{fresh}/") for fresh in FRESH_OBJECTS):
            continue
        attributes = json.dumps(_kept(node.get("attributes", {})), sort_keys=True)
        line = "\x1f".join([node["node_type"], path, attributes, values])
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def _kept(attributes: dict[str, Any]) -> dict[str, Any]:
    left = FRESH_ATTRIBUTES | LAYOUT_ATTRIBUTES
    return {name: value for name, value in attributes.items() if name not in left}


def _values(root: zarr.Group, path: str, spend: Spend) -> str:
    """Return a hash of an array's shape, type and values."""
    array = root[path]
    if not isinstance(array, zarr.Array):
        return "unreadable"
    digest = hashlib.sha256(f"{array.shape}\x1f{array.dtype}".encode())
    size, chunks = array.dtype.itemsize, array.shards or array.chunks
    numbers = array.dtype.kind in "iufb"
    usual = BLOCK_BYTES // size if numbers else TEXT_BLOCK
    largest = LARGEST_BLOCK_BYTES // size if numbers else TEXT_BLOCK
    try:
        for block in blocks(array, chunks, usual, largest):
            spend(f"/{path}", block.nbytes)
            if numbers:
                little = np.ascontiguousarray(block, block.dtype.newbyteorder("<"))
                digest.update(little.tobytes())
            else:
                # One line an element: blocks follow the chunks, which do not count.
                lines = [json.dumps(one, default=str) + "\n" for one in np.ravel(block).tolist()]
                digest.update("".join(lines).encode())
    except MemoryError:
        raise
    except Exception as error:  # a codec says what is wrong with a chunk in its own way
        if is_machine_error(error):
            raise
        # A damaged chunk: the stream is left out, the rest of the recording is still itself.
        return "unreadable"
    return digest.hexdigest()
