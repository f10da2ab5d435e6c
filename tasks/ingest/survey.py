"""The first look into a recording that anybody may have written, in a process that may die of it.

Run as a program by guard.py: the limits come in as JSON, and lines of JSON go out that say how far
it is and, last, what it found or why it refused the file. It walks every object, then reads every
byte: what HDF5 cannot bear, it does not bear here. The logical hash is computed on the way, so the
file is read no more often than without a guard. Imports h5py and, for a Zarr store, zarr.
"""

import json
import math
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import h5py

from schemas.errors import RecordingError
from tasks.ingest.damage import first_line, is_machine_error
from tasks.ingest.hashing import Spend, logical_sha256, read_rest
from tasks.ingest.identify import identify

MAX_DEPTH = 100
"""Groups within groups; NWB needs about ten."""

ATTRIBUTES_PER_OBJECT = 100
"""On the average of the objects that a file may have; NWB has about four."""

SAY_EVERY_S = 0.5


@dataclass(frozen=True)
class Limits:
    """What a file may cost or reach; see SafetySettings.

    folders : where external links and data may lead, resolved
    accepted : problems that a user has accepted for this file
    """

    max_objects: int
    max_unpacked_bytes: int
    max_expansion: float
    memory_bytes: int
    folders: tuple[str, ...]
    accepted: tuple[str, ...]


def survey_file(path: Path, limits: Limits, spend: Spend) -> str:
    """Walk every object of a file, then read it in full; return its logical hash.

    Raises
    ------
    RecordingError
        It cannot be read, breaks a limit, or leads out of the folders it may lead to.
    """
    identify(path)
    try:
        with h5py.File(path, "r") as file:
            walk = _Walk(file, path, limits, spend)
            walk.run()
            budget = _Budget(walk, spend)
            logical = logical_sha256(file, budget.spend)
            read_rest(file, budget.spend)
            return logical
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, RecursionError) as error:
        if is_machine_error(error):
            raise
        raise RecordingError(
            f"the file is damaged: {first_line(error)}",
            where=str(path),
            remedy="Copy it again, or write it again from what it was made of.",
            problem="damaged",
        ) from error


class _Walk:
    """Visits every object once, reading none of its values."""

    def __init__(self, file: h5py.File, path: Path, limits: Limits, spend: Spend) -> None:
        self.file = file
        self.path = path
        self.limits = limits
        self.spend = spend
        self.objects = 0
        self.attributes = 0
        self.claimed = 0
        self.largest = (0, "/")

    def run(self) -> None:
        """Visit all objects, then judge what they claim together."""
        seen: set[int] = set()
        waiting: list[tuple[h5py.Group, str, int]] = [(self.file, "", 0)]
        while waiting:
            group, where, depth = waiting.pop()
            if depth > MAX_DEPTH:
                self._refuse("too_deep", f"more than {MAX_DEPTH} groups lie in each other", where)
            self._count(group, len(group))
            for below, child in self._children(group, where):
                self.spend(below, 0)
                address = h5py.h5o.get_info(child.id).addr
                if address in seen:
                    continue
                seen.add(address)
                if isinstance(child, h5py.Group):
                    waiting.append((child, below, depth + 1))
                elif isinstance(child, h5py.Dataset):
                    self._count(child, 0)
                    self._check_dataset(child, below)
        self.check_expansion(self.claimed)

    def check_expansion(self, unpacked: int) -> None:
        """Refuse a file that unpacks to more than it may."""
        limit = max(
            self.limits.max_unpacked_bytes, self.limits.max_expansion * self.path.stat().st_size
        )
        if unpacked > limit:
            size, where = self.largest
            self._refuse(
                "claims_too_much",
                f"the file of {self.path.stat().st_size:,} bytes unpacks to {unpacked:,} bytes or "
                f"more, of which {size:,} in one dataset: it is a decompression bomb, or has "
                "arrays that were made but never written",
                where,
                "Write only the data that were recorded, or raise ingest.safety.max_expansion.",
            )

    def _children(self, group: h5py.Group, where: str) -> Iterator[tuple[str, Any]]:
        for name in group:
            below = f"{where}/{name}"
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                self._check_target(link.filename, below, "an external link leads")
            elif isinstance(link, h5py.HardLink):
                yield below, group[name]

    def _count(self, holder: h5py.Group | h5py.Dataset, children: int) -> None:
        self.objects += children
        self.attributes += len(holder.attrs)
        most = self.limits.max_objects
        for counted, limit, noun in (
            (self.objects, most, "objects"),
            (self.attributes, most * ATTRIBUTES_PER_OBJECT, "attributes"),
        ):
            if counted > limit:
                self._refuse(
                    "too_many_objects",
                    f"the file has more than {limit:,} {noun}",
                    str(holder.name),
                    "Raise ingest.safety.max_objects if they are meant.",
                )

    def _check_dataset(self, dataset: h5py.Dataset, where: str) -> None:
        for name, _, _ in dataset.external or ():
            self._check_target(os.fsdecode(name), where, "its values lie")
        for source in dataset.virtual_sources() if dataset.is_virtual else ():
            if source.file_name != ".":
                self._check_target(source.file_name, where, "its values lie")
        itemsize = dataset.dtype.itemsize
        claimed = math.prod(dataset.shape or (0,)) * itemsize
        self.claimed += claimed
        self.largest = max(self.largest, (claimed, where))
        if math.prod(dataset.chunks or (0,)) * itemsize > self.limits.memory_bytes // 4:
            self._refuse(
                "chunk_too_large",
                f"the dataset is stored in chunks of {dataset.chunks} x {itemsize} bytes, each of "
                "which has to fit into memory",
                where,
                "Write it again in chunks of some MiB, or raise ingest.safety.memory_mib.",
            )

    def _check_target(self, name: str, where: str, what: str) -> None:
        """Refuse a file name that leads out of the folders that it may lead to."""
        target = (self.path.parent / name).resolve()
        if any(target.is_relative_to(folder) for folder in self.limits.folders):
            return
        self._refuse(
            "leads_outside",
            f"{what} to '{name}', out of the recording's folder, and is not followed",
            where,
            "Put that file beside the recording, or name its folder in "
            "ingest.safety.trusted_folders.",
        )

    def _refuse(self, problem: str, what: str, where: str, remedy: str = "") -> None:
        if problem not in self.limits.accepted:
            raise RecordingError(
                f"{what}.",
                where=f"{self.path}:{where or '/'}",
                remedy=remedy or "Write it again without that.",
                problem=problem,
            )


class _Budget:
    """Counts what is really read: text and shared pieces may unpack to more than they claim."""

    def __init__(self, walk: _Walk, spend: Spend) -> None:
        self._walk = walk
        self._told = spend
        self._read = 0

    def spend(self, path: str, size: int) -> None:
        """Count `size` bytes of an object."""
        self._read += size
        if self._read > self._walk.claimed:
            self._walk.largest = max(self._walk.largest, (size, path))
            self._walk.check_expansion(self._read)
        self._told(path, size)


class _Speaker:
    """Writes lines of JSON, those on progress not too often."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._said = 0.0
        self._read = 0

    def spend(self, path: str, size: int) -> None:
        """Say where the reading is, if that was not said a moment ago."""
        self._read += size
        if time.monotonic() - self._said > SAY_EVERY_S:
            self._said = time.monotonic()
            self.say({"at": path, "read": self._read})

    def say(self, message: dict[str, Any]) -> None:
        """Write one message."""
        self._out.write(json.dumps(message) + "\n")
        self._out.flush()


def _confine(memory_bytes: int) -> None:
    """Let this process take so much memory, write no file and leave no core dump."""
    limits = {"RLIMIT_AS": memory_bytes, "RLIMIT_FSIZE": 0, "RLIMIT_CORE": 0}
    for name, value in limits.items():
        _, hard = resource.getrlimit(getattr(resource, name))
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(getattr(resource, name), (value, value))


def _survey_of(path: Path) -> Callable[[Path, Limits, Spend], str]:
    if not path.is_dir():
        return survey_file
    from tasks.ingest.zarr_survey import survey_zarr

    return survey_zarr


def main() -> None:
    """Survey the recording that standard input names."""
    # HDF5 and its filters may write to standard output; the messages have a pipe of their own.
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    request = json.load(sys.stdin)
    limits = Limits(**request["limits"])
    speaker, path = _Speaker(out), Path(request["path"])
    look = _survey_of(path)
    _confine(limits.memory_bytes)
    try:
        speaker.say({"found": look(path, limits, speaker.spend)})
    except RecordingError as error:
        parts = ("what", "where", "remedy", "problem")
        speaker.say({"refused": {part: getattr(error, part) for part in parts}})
    except MemoryError:
        speaker.say({"out_of_memory": True})
    except OSError as error:
        if not is_machine_error(error):
            raise
        speaker.say({"machine": [error.errno, first_line(error)]})


if __name__ == "__main__":
    main()
