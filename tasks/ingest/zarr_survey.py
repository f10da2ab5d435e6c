"""The first look into a Zarr store: what it is, what it claims, and its logical hash."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from schemas.errors import RecordingError
from schemas.settings.safety import SafetySettings
from tasks.ingest.folders import folder_version
from tasks.ingest.zarr_folder import Node, check_nodes, local_store
from tasks.ingest.zarr_hashing import zarr_logical_sha256


def survey_zarr(folder: Path, settings: SafetySettings, accepted: tuple[str, ...] = ()) -> str:
    """Return the logical hash of a Zarr store; raises RecordingError as `check_zarr` does."""
    nodes = check_zarr(folder, settings, accepted)
    return zarr_logical_sha256(local_store(str(folder)), nodes)


def check_zarr(
    folder: Path, settings: SafetySettings, accepted: tuple[str, ...] = ()
) -> dict[str, Node]:
    """Look at the metadata of a Zarr store and return them; reads no array.

    Parameters
    ----------
    accepted : problems that a user has accepted for this store

    Raises
    ------
    RecordingError
        It is no NWB in Zarr v3, has a link in it, or claims more than it may.
    """
    nodes = check_nodes(local_store(str(folder)), str(folder))
    size = folder_version(folder).size
    claimed = sum(_claimed_bytes(node) for node in nodes.values())
    limit = max(settings.max_unpacked_gib * 2**30, settings.max_expansion * size)
    if claimed > limit and "claims_too_much" not in accepted:
        raise RecordingError(
            f"the store of {size:,} bytes claims to unpack to {claimed:,} bytes.",
            where=str(folder),
            remedy="Write only the data that were recorded, or raise ingest.safety.max_expansion.",
            problem="claims_too_much",
        )
    if len(nodes) > settings.max_objects and "too_many_objects" not in accepted:
        raise RecordingError(
            f"the store has more than {settings.max_objects:,} objects.",
            where=str(folder),
            remedy="Raise ingest.safety.max_objects if they are meant.",
            problem="too_many_objects",
        )
    return nodes


def _claimed_bytes(node: Node) -> int:
    """Return what an array takes unpacked; 8 bytes a value where its type does not say."""
    if node.get("node_type") != "array":
        return 0
    return int(math.prod(node["shape"])) * _itemsize(node["data_type"])


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
