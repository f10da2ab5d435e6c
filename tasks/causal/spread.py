"""Blocks on Dask workers: what they need by a file, what they found by message."""

import logging
import mmap
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from tasks.common.cluster import Workers

if TYPE_CHECKING:
    from distributed import Future

log = logging.getLogger("tectum")

_BLOCKS_PER_THREAD = 2
"""Blocks asked for at once for each thread of the workers: one to do, one to go on with."""
_ALIGNED = 64
_OPENING = Lock()


class Parcel:
    """An object whose arrays lie in a file, which workers map into memory.

    The rest is a few kilobytes that go with every task. So a task needs nothing that a worker
    could have lost, any worker may take it, and those of one machine share the arrays' memory.
    """

    def __init__(self, content: object, path: Path) -> None:
        from distributed.protocol import serialize

        self.path, self.token = path, uuid4().hex
        # Pickle's frames: first the object without its arrays, then those.
        self.header, (self.bare, *arrays) = serialize(content, serializers=["pickle"])
        self.spans: list[tuple[int, int]] = []
        # A worker that a killed run left behind may still map the file of that name.
        draft = path.with_name(path.name + ".draft")
        with draft.open("wb") as file:
            for array in arrays:
                file.write(bytes(-file.tell() % _ALIGNED))
                start = file.tell()
                self.spans.append((start, file.write(array)))
            file.write(bytes(1))  # an empty file cannot be mapped
        draft.replace(path)

    def __eq__(self, other: object) -> bool:
        """Tell whether both are of one making, however often they were sent."""
        return isinstance(other, Parcel) and self.token == other.token

    def __hash__(self) -> int:
        """Be the same for all that are equal."""
        return hash(self.token)

    def unpack(self) -> Any:
        """Return a new copy of the object; OSError where the file is not seen."""
        from distributed.protocol import deserialize

        with self.path.open("rb") as file:
            # A private map: what is written to stays here, the rest is shared.
            mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
        arrays = [mapped[start : start + size] for start, size in self.spans]
        return deserialize(self.header, [self.bare, *arrays])


def map_on_workers[T](
    workers: Workers, work: Callable[[range], T], parts: Sequence[range], file: Path
) -> Iterator[T]:
    """Yield what `work` makes of each part, in order, each done by some worker.

    A worker that dies costs the parts it had, which others do again. What the workers cannot do
    at all is done here: they do not see `file`, a part is too much for them, they have gone.

    Parameters
    ----------
    work : a function of a module, or a partial one; the same on all workers
    file : where its arrays lie while this runs
    """
    window = max(_BLOCKS_PER_THREAD * workers.threads, 2)
    submit = partial(workers.client.submit, pure=False, resources=dict(workers.needs) or None)
    parcel = Parcel(work, file)
    asked: deque[tuple[range, Future]] = deque()
    try:
        for part in parts:
            asked.append((part, submit(_do, parcel, part)))
            if len(asked) >= window:
                yield _receive(*asked.popleft(), work)
        while asked:
            yield _receive(*asked.popleft(), work)
    finally:
        workers.client.cancel([future for _, future in asked])
        file.unlink(missing_ok=True)
        _make_room(workers)


@lru_cache(maxsize=2)
def _unpack_once(parcel: Parcel) -> Any:
    """Return one and the same object to all tasks of this process: it may lay much out."""
    return parcel.unpack()


def _do(parcel: Parcel, part: range) -> Any:
    with _OPENING:
        work = _unpack_once(parcel)
    return work(part)


def _make_room(workers: Workers) -> None:
    """Let workers forget what they unpacked; nobody waits for it."""
    from distributed import fire_and_forget

    for address in workers.addresses:
        forget = workers.client.submit(
            _unpack_once.cache_clear, workers=[address], allow_other_workers=True, pure=False
        )
        fire_and_forget(forget)


def _receive[T](part: range, future: "Future", work: Callable[[range], T]) -> T:
    from distributed import CancelledError, KilledWorker

    try:
        result: T = future.result()
    except (CancelledError, KilledWorker, OSError) as error:
        log.warning(
            "Dask's workers did not do %s to %s of a cross mapping, so it is done here: %s",
            part.start, part.stop, error,
        )  # fmt: skip
        return work(part)
    return result
