"""The first look into a Zarr store: what it is, what it claims, and its logical hash."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from schemas.errors import RecordingError
from schemas.settings.safety import SafetySettings
from tasks.ingest.folders import folder_version
from tasks.ingest.zarr_folder import identify_zarr, local_store, read_nodes
from tasks.ingest.zarr_hashing import zarr_logical_sha256


def survey_zarr(folder: Path, settings: SafetySettings, accepted: tuple[str, ...] = ()) -> str:
    """Return the logical hash of a Zarr store, after a look at its metadata.

    Parameters
    ----------
    accepted : problems that a user has accepted for this store

    Raises
    ------
    RecordingError
        It is no NWB in Zarr v3, has a link in it, or claims more than it may.
    """
    store = local_store(str(folder))
    identify_zarr(store, str(folder))
    size = folder_version(folder).size
    nodes = read_nodes(store, str(folder))
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
    return zarr_logical_sha256(store, str(folder))


def _claimed_bytes(node: Mapping[str, Any]) -> int:
    """Return what an array takes unpacked; 8 bytes a value where its type does not say."""
    if node.get("node_type") != "array":
        return 0
    try:
        itemsize = np.dtype(str(node["data_type"])).itemsize
    except TypeError:
        itemsize = 8
    return int(math.prod(node["shape"])) * itemsize
