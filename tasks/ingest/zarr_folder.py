"""NWB in Zarr: what may be read of a folder or bucket that anybody may have written.

Only Zarr v3 as hdmf-zarr 0.14 and later write it. Zarr v2 keeps text and references as pickled
objects, and a pickle is a program; so v2 is refused and nothing here ever unpickles. Imports zarr
and no pynwb: the process that looks first starts with it.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from zarr.abc.store import Store
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import LocalStore

from schemas.errors import RecordingError

METADATA = "zarr.json"
V2_METADATA = (".zgroup", ".zmetadata", ".zarray")
SAFE_CODECS = frozenset({
    "bytes", "blosc", "crc32c", "gzip", "sharding_indexed", "transpose", "vlen-bytes", "vlen-utf8",
    "zstd", "numcodecs.blosc", "numcodecs.delta", "numcodecs.fixedscaleoffset", "numcodecs.gzip",
    "numcodecs.lz4", "numcodecs.shuffle", "numcodecs.zlib", "numcodecs.zstd",
})  # fmt: skip
"""Codecs that turn bytes into numbers and text. Whatever else a file names is not looked up: a
codec is code, and a name may be bound to any installed package."""

Node = Mapping[str, Any]


def identify_zarr(store: Store, where: str) -> str:
    """Return the NWB version of a Zarr store; raises RecordingError as `check_nodes` does."""
    return str(check_nodes(store, where)[""]["attributes"]["nwb_version"])


def check_nodes(store: Store, where: str) -> dict[str, Node]:
    """Return the metadata of every group and array by path, the root at "", once they are safe.

    Raises
    ------
    RecordingError
        Not Zarr, Zarr v2, not NWB, metadata that lack something or are damaged, or a codec that
        is not known to be harmless.
    """
    root = _read_node(store, "")
    if root is None:
        _refuse_v2(store, where)
        raise RecordingError(
            "the folder is no Zarr store: it has no zarr.json.",
            where=where,
            remedy="If it was one, copy it again.",
            problem="not_zarr",
        )
    nodes = _read_nodes(store, where, root)
    for path, node in nodes.items():
        if reason := _objection(node):
            raise RecordingError(
                f"'/{path}' {reason}, which is not read.",
                where=where,
                remedy="Write it again with hdmf-zarr 0.14 or later and its default codecs.",
                problem="zarr_codec",
            )
        if reason := _defect(node):
            raise RecordingError(
                f"'/{path}' {reason}.", where=where, remedy="Copy it again.", problem="damaged"
            )
    if "nwb_version" not in root.get("attributes", {}) or "session_description" not in nodes:
        raise RecordingError(
            "the store is Zarr, but not NWB: it lacks the NWB root.", where=where, problem="not_nwb"
        )
    return nodes


def _read_nodes(store: Store, where: str, root: Node) -> dict[str, Node]:
    """Return all metadata, consolidated ones if the store has them, else by listing the store."""
    section = root.get("consolidated_metadata")
    consolidated = section.get("metadata") if isinstance(section, dict) else None
    if isinstance(consolidated, dict) and all(isinstance(n, dict) for n in consolidated.values()):
        return {"": root, **consolidated}
    if not store.supports_listing:
        raise RecordingError(
            "the store has no consolidated metadata and its server lists no files.",
            where=where,
            remedy="Consolidate it (zarr.consolidate_metadata) or read it from its folder or S3.",
        )
    names = [name for name in list_keys(store) if name.rpartition("/")[2] == METADATA]
    paths = [name.rpartition("/")[0] for name in names]
    return {path: _read_node(store, path) or {} for path in paths}


def list_keys(store: Store) -> list[str]:
    """Return every key of a store, sorted."""

    async def collect() -> list[str]:
        return [key async for key in store.list()]

    return sorted(sync(collect()))


def local_store(path: str) -> LocalStore:
    """Return the store of a folder, never written."""
    return LocalStore(path, read_only=True)


def _refuse_v2(store: Store, where: str) -> None:
    if any(_read(store, name) is not None for name in V2_METADATA):
        raise RecordingError(
            "the store is Zarr v2, whose text and references may be pickled programs; it is "
            "not read.",
            where=where,
            remedy="If you trust who wrote it, convert it with hdmf-zarr's "
            "NWBZarrV2IO.convert_to_v3(source, target).",
            problem="zarr_v2",
        )


def _objection(node: Node) -> str:
    """Say why a node is not read; empty if it may be."""
    if node.get("zarr_format") != 3:
        return f"has Zarr format {node.get('zarr_format')}"
    if node.get("node_type") == "group":
        return ""
    if node.get("storage_transformers"):
        return "has storage transformers"
    unknown = sorted(set(_codec_names(node.get("codecs"))) - SAFE_CODECS)
    return f"is stored with the codec '{unknown[0]}'" if unknown else ""


def _defect(node: Node) -> str:
    """Say what a node lacks to be what it says it is; empty if nothing."""
    if not isinstance(node.get("attributes", {}), dict):
        return "has damaged attributes"
    if node.get("node_type") == "group":
        return ""
    if node.get("node_type") != "array":
        return f"is neither a group nor an array, but '{node.get('node_type')}'"
    shape = node.get("shape")
    if not isinstance(shape, list) or not all(isinstance(n, int) and n >= 0 for n in shape):
        return f"has no shape, but {shape!r}"
    if not _has_regular_chunks(node, len(shape)):
        return f"has no regular chunks, but {node.get('chunk_grid')!r}"
    return "" if "data_type" in node else "has no data type"


def _has_regular_chunks(node: Node, dims: int) -> bool:
    grid = node.get("chunk_grid")
    section = grid.get("configuration") if isinstance(grid, dict) else None
    chunks = section.get("chunk_shape") if isinstance(section, dict) else None
    return (
        isinstance(chunks, list)
        and len(chunks) == dims
        and all(isinstance(n, int) and n > 0 for n in chunks)
    )


def _codec_names(codecs: Any) -> Iterator[str]:
    """Yield the names of codecs, those inside shards included."""
    for codec in codecs if isinstance(codecs, list) else [codecs]:
        if not isinstance(codec, dict):
            yield str(codec)
            continue
        yield str(codec.get("name"))
        configuration = codec.get("configuration") or {}
        for inner in ("codecs", "index_codecs"):
            if inner in configuration:
                yield from _codec_names(configuration[inner])


def _read_node(store: Store, path: str) -> Node | None:
    text = _read(store, f"{path}/{METADATA}".lstrip("/"))
    if text is None:
        return None
    try:
        node = json.loads(text)
    except ValueError:
        node = None
    if not isinstance(node, dict):
        raise RecordingError(
            f"'/{path}' has damaged metadata.", where=str(store), problem="damaged"
        )
    return node


def _read(store: Store, key: str) -> bytes | None:
    found = sync(store.get(key, default_buffer_prototype()))
    return None if found is None else found.to_bytes()
