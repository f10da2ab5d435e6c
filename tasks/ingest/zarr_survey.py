"""The first look into a Zarr store: what it is, what it claims, and its logical hash."""

import math
from pathlib import Path
from typing import Any, Literal

import numpy as np

from schemas.errors import RecordingError
from tasks.ingest.folders import folder_version
from tasks.ingest.hashing import Spend
from tasks.ingest.survey import Limits
from tasks.ingest.zarr_folder import Node, check_nodes, local_store
from tasks.ingest.zarr_hashing import zarr_logical_sha256


def survey_zarr(folder: Path, limits: Limits, spend: Spend) -> str:
    """Look at the metadata of a Zarr store, then read it in full; return its logical hash.

    Raises
    ------
    RecordingError
        It is no NWB in Zarr v3, has a link in it, or claims more than it may.
    MemoryError
        A chunk unpacks to more than there is.
    """
    nodes = check_nodes(local_store(str(folder)), str(folder))
    _check_claims(folder, nodes, limits)
    return zarr_logical_sha256(local_store(str(folder)), nodes, spend)


def _check_claims(folder: Path, nodes: dict[str, Node], limits: Limits) -> None:
    size = folder_version(folder).size
    claimed = sum(_claimed_bytes(node, "shape") for node in nodes.values())
    largest = max(nodes, key=lambda path: _claimed_bytes(nodes[path], "chunk"))
    refusals = (
        (
            "claims_too_much",
            claimed > max(limits.max_unpacked_bytes, limits.max_expansion * size),
            f"the store of {size:,} bytes claims to unpack to {claimed:,} bytes",
            "Write only the data that were recorded, or raise ingest.safety.max_expansion.",
        ),
        (
            "too_many_objects",
            len(nodes) > limits.max_objects,
            f"the store has more than {limits.max_objects:,} objects",
            "Raise ingest.safety.max_objects if they are meant.",
        ),
        (
            "chunk_too_large",
            _claimed_bytes(nodes[largest], "chunk") > limits.memory_bytes // 4,
            f"'/{largest}' is stored in chunks of {_claimed_bytes(nodes[largest], 'chunk'):,} "
            "bytes, each of which has to fit into memory",
            "Write it again in chunks of some MiB, or raise ingest.safety.memory_mib.",
        ),
    )
    for problem, broken, what, remedy in refusals:
        if broken and problem not in limits.accepted:
            raise RecordingError(f"{what}.", where=str(folder), remedy=remedy, problem=problem)


def _claimed_bytes(node: Node, part: Literal["shape", "chunk"]) -> int:
    """Return what an array or a chunk takes unpacked; 8 bytes where its type does not say."""
    if node.get("node_type") != "array":
        return 0
    size = node["shape"] if part == "shape" else node["chunk_grid"]["configuration"]["chunk_shape"]
    return int(math.prod(size)) * _itemsize(node["data_type"])


def _itemsize(data_type: Any) -> int:
    """Return the bytes of one value; of a table's row those of its fields together."""
    configuration = data_type.get("configuration") if isinstance(data_type, dict) else None
    fields = configuration.get("fields") if isinstance(configuration, dict) else None
    if isinstance(fields, list):
        types = [f.get("data_type") if isinstance(f, dict) else f for f in fields]
        return sum(map(_itemsize, types))
    try:
        return np.dtype(str(data_type)).itemsize
    except (TypeError, ValueError):
        return 8
