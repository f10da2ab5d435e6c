"""Watches over the first look into a file: it may crash, loop or fill memory, but not in here."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.errors import RecordingError
from schemas.settings.safety import SafetySettings
from tasks.common.progress import report_progress
from tasks.ingest.folders import allowed_folders, folder_version

if TYPE_CHECKING:
    from tasks.ingest.survey import Limits

WRITE_AGAIN = "Copy it again, or write it again from what it was made of."
ONE_THREAD = {
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1", "BLOSC_NTHREADS": "1", "MALLOC_ARENA_MAX": "2",
}  # fmt: skip
"""Each further thread would take from the memory that the process may have."""


class Guard:
    """The process that reads a file first. It may be started before there is a file to read."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._asked: dict[str, Any] | None = None

    def start(self) -> "subprocess.Popen[bytes]":
        """Return the process, started if it was not; it needs a third of a second to be ready."""
        if self._process is None:
            # -P: a module that lies in the working folder, with the recordings, is not imported.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "tasks.ingest.survey"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **ONE_THREAD},
            )
        return self._process

    def begin(
        self, path: Path, settings: SafetySettings, accepted: tuple[str, ...] = ()
    ) -> "subprocess.Popen[bytes]":
        """Return the process, told to read a file: again only if it was told something else."""
        request = {"path": str(path), "limits": asdict(limits_of(path, settings, accepted))}
        if self._asked not in (None, request):
            self.end()
        process = self.start()
        if self._asked is None:
            self._asked = request
            _send(process, request)
        return process

    def end(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None:
            with self._process as process:
                process.kill()
            self._process = self._asked = None


def survey_guarded(
    path: Path,
    settings: SafetySettings,
    accepted: tuple[str, ...] = (),
    guard: Guard | None = None,
) -> str:
    """Return the logical hash, made in a process of its own; outlive whatever that does.

    Parameters
    ----------
    path : an HDF5 file or a Zarr store of this machine
    accepted : problems that a user has accepted for this file
    guard : the process, if it was started before or has begun; it reads one file and ends

    Raises
    ------
    RecordingError
        The file breaks a limit, or broke the process: which, where, and what to do.
    """
    guard = guard or Guard()
    try:
        return _watch(guard.begin(path, settings, accepted), path, settings)
    finally:
        guard.end()


def limits_of(path: Path, settings: SafetySettings, accepted: tuple[str, ...] = ()) -> "Limits":
    """Return what a recording may cost or reach."""
    # Imported where it is needed: h5py takes a fifth of a second, and a known file never gets here.
    from tasks.ingest.survey import Limits

    return Limits(
        max_objects=settings.max_objects,
        max_unpacked_bytes=int(settings.max_unpacked_gib * 2**30),
        max_expansion=settings.max_expansion,
        memory_bytes=settings.memory_mib * 2**20,
        folders=tuple(map(str, allowed_folders(path.resolve().parent, settings.trusted_folders))),
        accepted=accepted,
    )


def _send(process: "subprocess.Popen[bytes]", request: dict[str, Any]) -> None:
    # A process that died before it read anything: _watch tells how.
    with suppress(BrokenPipeError):
        if process.stdin is not None:
            process.stdin.write(json.dumps(request).encode())
            process.stdin.close()


def _watch(process: "subprocess.Popen[bytes]", path: Path, settings: SafetySettings) -> str:
    """Read messages until the last; raise RecordingError if it is not the hash."""
    at, size = "/", 0
    for message in _messages(process, settings.stall_seconds):
        if message is None:
            raise RecordingError(
                f"the {_library(path)} library made no progress for {settings.stall_seconds:g} s.",
                where=f"{path}:{at}",
                remedy=f"{WRITE_AGAIN} If the disk is that slow, raise "
                "ingest.safety.stall_seconds.",
                problem="stalled",
            )
        if "found" in message:
            return str(message["found"])
        if "refused" in message:
            raise RecordingError(**message["refused"])
        if "out_of_memory" in message:
            raise RecordingError(
                f"reading it takes more than {settings.memory_mib} MiB of memory.",
                where=f"{path}:{at}",
                remedy=f"{WRITE_AGAIN} If it is right, raise ingest.safety.memory_mib.",
                problem="out_of_memory",
            )
        if "machine" in message:
            number, reason = message["machine"]
            raise OSError(number, reason, f"{path}:{at}")
        at = message["at"]
        size = size or _size(path)
        report_progress("reading the file", message["read"], size, at)
    raise _died(process.wait(), path, at)


def _size(path: Path) -> int:
    return max(folder_version(path).size if path.is_dir() else path.stat().st_size, 1)


def _died(status: int, path: Path, at: str) -> RecordingError:
    """Return the error of a process that ended without a last message."""
    if status < 0:
        name = signal.Signals(-status).name
        what, problem = f"it crashes the {_library(path)} library ({name}).", "crashed"
    else:
        what, problem = f"the process that reads it first failed (status {status}).", "failed"
    return RecordingError(what, where=f"{path}:{at}", remedy=WRITE_AGAIN, problem=problem)


def _library(path: Path) -> str:
    return "Zarr" if path.is_dir() else "HDF5"


def _messages(
    process: "subprocess.Popen[bytes]", stall_s: float
) -> Iterator[dict[str, Any] | None]:
    """Yield messages as they come; None, once, if none comes for too long."""
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    rest = b""
    while True:
        ready, _, _ = select.select([descriptor], [], [], stall_s)
        if not ready:
            yield None
            return
        received = os.read(descriptor, 2**16)
        if not received:
            return
        *lines, rest = (rest + received).split(b"\n")
        for line in lines:
            yield json.loads(line)
