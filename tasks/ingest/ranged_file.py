"""A remote file that h5py reads as if it were here, in blocks that are fetched once."""

import atexit
import gc
import io
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import h5py

from schemas.errors import NetworkError
from schemas.settings.remote import RemoteSettings
from tasks.common.remote import network_errors, open_filesystem, public_url


class RangedFile(io.RawIOBase):
    """The bytes of a URL, fetched where and when they are read.

    Blocks that were used last are kept, so that the many small reads of a file's metadata cost
    few requests; a read of many blocks is one request. Pickled, it is the URL without the blocks.

    Attributes
    ----------
    size : bytes of the whole file
    bytes_read : bytes fetched so far
    failure : the network error that a read met; all that was read since is zeros

    Raises
    ------
    FileNotFoundError
        There is no such file.
    NetworkError
        The server cannot be reached or refuses, also while reading.
    """

    def __init__(self, url: str, settings: RemoteSettings) -> None:
        self.url = url
        self.settings = settings
        self._fs, self._path = open_filesystem(url, settings)
        with network_errors(url):
            found = self._fs.info(self._path)
        if found["size"] is None:
            raise NetworkError("the server does not say how long it is.", where=public_url(url))
        self.size = int(found["size"])
        self.bytes_read = 0
        self.failure: NetworkError | None = None
        self._position = 0
        self._block = settings.block_kib * 1024
        self._kept = max(settings.cache_mib * 1024 // settings.block_kib, 4)
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        # xarray's threads share one file; two of them must not fetch the same block.
        self._lock = threading.RLock()

    def __reduce__(self) -> tuple[Any, ...]:
        return RangedFile, (self.url, self.settings)

    def __repr__(self) -> str:
        return f"RangedFile({public_url(self.url)!r})"

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can be read anywhere."""
        return True

    def tell(self) -> int:
        """Return the position of the next read."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position of the next read."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = start + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from the position on; return how many bytes there were."""
        view = memoryview(buffer).cast("B")
        stop = min(self._position + len(view), self.size)
        length = max(stop - self._position, 0)
        if length:
            view[:length] = self._read_or_zeros(self._position, stop)
        self._position += length
        return length

    def _read_or_zeros(self, start: int, stop: int) -> bytes:
        """Return bytes, or zeros and the reason in `failure`: HDF5 must not see an exception.

        HDF5 calls this from C, also while it closes a file; an exception there leaves it with
        objects that it frees after Python has ended, which is a segfault.
        """
        if self.failure is None:
            try:
                with no_garbage_collection():
                    return self._read(start, stop)
            except NetworkError as error:
                # A new error: the traceback of this one leads to h5py's frames, and would keep
                # the same objects alive.
                self.failure = type(error)(error.what, where=error.where, remedy=error.remedy)
        return bytes(stop - start)

    def _read(self, start: int, stop: int) -> bytes:
        first, last = start // self._block, (stop - 1) // self._block
        with self._lock:
            wanted = range(first, last + 1)
            found = {n: self._blocks[n] for n in wanted if n in self._blocks}
            missing = [n for n in wanted if n not in found]
            if missing:
                # One request from the first missing block to the last: what lies between them
                # and is here already is less than another round trip.
                found |= self._fetch(missing[0], missing[-1] + 1)
            self._keep(found)
        whole = b"".join(found[n] for n in wanted)
        return whole[start - first * self._block : stop - first * self._block]

    def _fetch(self, first: int, stop: int) -> dict[int, bytes]:
        start, end = first * self._block, min(stop * self._block, self.size)
        with network_errors(self.url):
            content = self._fs.cat_file(self._path, start=start, end=end)
        if len(content) != end - start:
            raise NetworkError(
                f"asked for {end - start} bytes, the server sent {len(content)}.",
                where=public_url(self.url),
                remedy="Did the file change meanwhile? Open it again.",
            )
        self.bytes_read += len(content)
        parts = range(0, len(content), self._block)
        return {first + i: content[at : at + self._block] for i, at in enumerate(parts)}

    def _keep(self, blocks: dict[int, bytes]) -> None:
        for number in sorted(blocks)[-self._kept :]:
            self._blocks[number] = blocks[number]
            self._blocks.move_to_end(number)
        while len(self._blocks) > self._kept:
            self._blocks.popitem(last=False)


@contextmanager
def no_garbage_collection() -> Generator[None]:
    """Keep Python from collecting garbage while HDF5 waits for the network.

    The thread that talks to the network might come upon an old HDF5 object and wait, to free it,
    for HDF5's lock, which the reader holds that waits for this thread.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def open_ranged(file: RangedFile, mode: str = "r") -> h5py.File:
    """Open a remote HDF5 file; closing it keeps the blocks that were fetched.

    Raises
    ------
    NetworkError
        The server cannot be reached, or not any more.
    """
    with failing_as_network(file):
        opened = h5py.File(file, mode)
        _OPEN.add(opened)
        return opened


@contextmanager
def failing_as_network(
    file: RangedFile, discard: Callable[[], object] | None = None
) -> Generator[None]:
    """Raise the network error that a remote file met in here, whatever HDF5 made of it.

    discard : called first then, to drop what HDF5 read in between
    """
    try:
        yield
    except Exception:
        if file.failure is None:
            raise
    if file.failure is not None:
        if discard is not None:
            discard()
        failure, file.failure = file.failure, None
        raise failure


_OPEN: "weakref.WeakSet[h5py.File]" = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Close what is open while Python can still be called: HDF5 itself would do it too late."""
    for file in list(_OPEN):
        file.close()
