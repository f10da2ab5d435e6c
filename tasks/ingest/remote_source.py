"""A recording on another machine, fetched once for ingest.

Ingest reads every byte several times: its hashes, the checks, the streams. So the whole recording
is copied here first, once, hashed on the way, and removed at the end; what is read then cannot be
cut off half-way. Whether it has changed since last time is told by its length, its ETag and its
date (of a Zarr store those of zarr.json, in which all metadata are consolidated), so a recording
that is as it was is not fetched at all. The ETag is not the identity: of a large S3 object it is a
hash of how it was uploaded, and two servers give two.
"""

import hashlib
import itertools
import logging
import math
import shutil
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Any

from schemas.errors import RecordingError
from schemas.settings.remote import RemoteSettings
from tasks.common.digest import hash_file
from tasks.common.lake import Lake
from tasks.common.locks import hold_lock
from tasks.common.progress import report_progress
from tasks.common.remote import network_errors, open_filesystem, public_url
from tasks.ingest.folders import Content, Version, short_number, tree_sha256
from tasks.ingest.source import Source

log = logging.getLogger("tectum")

PART_BYTES = 8 * 2**20
AT_ONCE = 16
"""Chunks of a Zarr store that are fetched at the same time: most of it is waiting."""
MAX_CHUNKS = 2_000_000
"""Chunks that a store may have whose server lists none, so that each must be asked for: terabytes
of real data, but hours, not for ever, of an array that only claims its size."""


class RemoteSource(Source):
    """An HDF5 file or a Zarr store behind a URL.

    Raises, in all it does
    ----------------------
    NetworkError
        The server cannot be reached, refuses, or breaks off.
    """

    def __init__(self, url: str, settings: RemoteSettings, lake: Lake) -> None:
        super().__init__(public_url(url).rstrip("/"), None)
        self._url = url.rstrip("/")
        self._settings = settings
        self._lake = lake
        self._fs, self._root = open_filesystem(self._url, settings)
        self._is_zarr = self.uri.endswith(".zarr")
        self._fetched: tuple[Path, str] | None = None
        self._seen: Version | None = None
        self._bytes = 0
        self._stack = ExitStack()

    @property
    def fetched_bytes(self) -> int:
        """Bytes of the recording that came over the network so far."""
        return self._bytes

    def version(self) -> Version | None:
        """Return length and a hash of ETag and date; a stamp of -1 where the server tells none."""
        path = f"{self._root}/zarr.json" if self._is_zarr else self._root
        try:
            with network_errors(self._url):
                found: dict[str, Any] = self._fs.info(path)
        except FileNotFoundError:
            return None
        marks = [str(found.get(name, "")) for name in ("ETag", "Last-Modified", "LastModified")]
        stamp = short_number(hashlib.sha256("\x1f".join(marks).encode()).hexdigest())
        self._seen = Version(int(found["size"] or 0), stamp if any(marks) else -1)
        return self._seen

    def seen_far(self) -> Content | None:
        """Return hash and size of what was fetched, or what stands for them if it was only seen."""
        if self._fetched is not None:
            return Content(self._fetched[1], self._bytes)
        if self._seen is None:
            return None
        text = f"{self.uri}\x1f{self._seen.size}\x1f{self._seen.stamp}"
        return Content(hashlib.sha256(text.encode()).hexdigest(), self._seen.size)

    def path(self) -> Path:
        """Return the copy of the recording, made when it is first asked for."""
        return self._fetch()[0]

    def byte_sha256(self) -> str:
        """Return the hash of the file's bytes, of a Zarr store's the hash over all its files."""
        return self._fetch()[1]

    def __exit__(self, *_: object) -> None:
        """Remove the copy."""
        self._stack.close()

    def _fetch(self) -> tuple[Path, str]:
        if self._fetched is None:
            before = self.version()
            if before is None:
                raise RecordingError("there is no such file.", where=self.uri, problem="no_file")
            # A name that the doctor takes for a leftover once nobody holds its lock.
            key = hashlib.sha256(self.uri.encode()).hexdigest()[:32]
            self._stack.enter_context(hold_lock(self._lake.lock_path(key)))
            folder = self._lake.tmp / f"{key}-source"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
            target = folder / PurePosixPath(self.uri).name
            digest = self._copy_store(target) if self._is_zarr else self._copy_file(target, before)
            if self.version() != before:
                raise RecordingError(
                    "the file changed while it was read.", where=self.uri, problem="changed"
                )
            log.info("%s: %d bytes fetched", self.uri, self._bytes)
            self._fetched = target, digest
        return self._fetched

    def _copy_file(self, target: Path, version: Version) -> str:
        """Copy a file, in parts if the server gives any; return the hash of its bytes."""
        from tasks.common.http_files import WholeFilesOnlyError

        try:
            return self._copy_parts(target, version)
        except WholeFilesOnlyError:
            with network_errors(self._url):
                self._fs.fetch_whole(
                    self._root,
                    target,
                    lambda got: report_progress(f"fetching {target.name}", got, version.size),
                )
            self._bytes = target.stat().st_size
            return hash_file(target)

    def _copy_parts(self, target: Path, version: Version) -> str:
        self._require_nwb()
        digest = hashlib.sha256()
        with target.open("wb") as handle, network_errors(self._url):
            for start in range(0, version.size, PART_BYTES):
                stop = min(start + PART_BYTES, version.size)
                part = self._fs.cat_file(self._root, start=start, end=stop)
                handle.write(part)
                digest.update(part)
                self._bytes += len(part)
                report_progress(f"fetching {target.name}", stop, version.size)
        return digest.hexdigest()

    def _copy_store(self, target: Path) -> str:
        """Copy every file of a Zarr store; return the hash over all of them."""
        target.mkdir()
        with ThreadPoolExecutor(AT_ONCE) as pool, network_errors(self._url):
            for keys in itertools.batched(self._keys(), AT_ONCE):
                for key, content in zip(keys, pool.map(self._read_key, keys), strict=True):
                    if content is not None:
                        place = _inside(target, key)
                        place.parent.mkdir(parents=True, exist_ok=True)
                        place.write_bytes(content)
                        self._bytes += len(content)
        return tree_sha256(target)

    def _require_nwb(self) -> None:
        """Look at the first bytes before all others are fetched."""
        from tasks.ingest.formats import reach

        reach(self._url, self._settings).identify()

    def _keys(self) -> Iterable[str]:
        """Return every file of a store: as listed, or as its metadata imply where none lists."""
        from tasks.ingest.formats import remote_store
        from tasks.ingest.zarr_folder import check_nodes, list_keys

        store = remote_store(self._url, self._settings)
        nodes = check_nodes(store, self.uri)
        if not self._url.startswith(("http://", "https://")):
            return list_keys(store)
        if (chunks := sum(map(math.prod, map(_chunk_counts, nodes.values())))) > MAX_CHUNKS:
            raise RecordingError(
                f"its arrays claim {chunks:,} chunks, more than the {MAX_CHUNKS:,} that are asked "
                "for one by one.",
                where=self.uri,
                remedy="Copy the store here, or read it from where its files are listed (S3).",
                problem="claims_too_much",
            )
        return _implied_keys(nodes)

    def _read_key(self, key: str) -> bytes | None:
        """Return one file of a store; None for a chunk that was never written."""
        try:
            return bytes(self._fs.cat_file(f"{self._root}/{key}"))
        except FileNotFoundError:
            return None


def _implied_keys(nodes: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield the keys of all metadata and of all chunks that arrays of these shapes have."""
    for path, node in nodes.items():
        yield f"{path}/zarr.json".lstrip("/")
        if node.get("node_type") != "array":
            continue
        encoding = node.get("chunk_key_encoding", {})
        old = encoding.get("name") == "v2"
        separator = encoding.get("configuration", {}).get("separator", "." if old else "/")
        for index in itertools.product(*map(range, _chunk_counts(node))):
            parts = [*([] if old else ["c"]), *map(str, index)]
            yield f"{path}/{separator.join(parts) or '0'}"


def _chunk_counts(node: Mapping[str, Any]) -> list[int]:
    """Return how many chunks an array has along each dimension; a group has none."""
    if node.get("node_type") != "array":
        return [0]
    steps = node["chunk_grid"]["configuration"]["chunk_shape"]
    return [-(-size // step) for size, step in zip(node["shape"], steps, strict=True)]


def _inside(folder: Path, key: str) -> Path:
    """Return where a key goes; RecordingError if that is not inside the folder."""
    parts = PurePosixPath(key).parts
    if not parts or ".." in parts or key.startswith("/"):
        raise RecordingError(
            f"the store names a file '{key}' outside itself.", where=str(folder), problem="damaged"
        )
    return folder.joinpath(*parts)
