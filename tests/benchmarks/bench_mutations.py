"""Ingest files that were damaged at random and count how each ends.

    python tests/benchmarks/bench_mutations.py --count 1000 recording.nwb another.nwb.zarr ...
    python tests/benchmarks/bench_mutations.py --count 1000 --as-zarr recording.nwb ...

Each mutated file, or Zarr store with one mutated file in it, is ingested into a lake of its own by
a process of its own, so that a crash is seen as one. What is accepted is compared with what h5py or
zarr reads from the same damaged file: a flipped bit in a sample cannot be told from a sample, but
the lake must hold what the file holds. The last four lines must be 0.
"""

import argparse
import json
import os
import random
import re
import resource
import shutil
import signal
import tempfile
import time
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import alembic.command
import dask.array
import h5py
import numpy as np
import pandas as pd
import zarr

from schemas.entities import RunState
from schemas.settings.ingest import IngestSettings
from schemas.settings.safety import SafetySettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.common import zarr_trees
from tasks.common.workspace import Workspace
from tasks.ingest import opening, recording, repair
from tasks.ingest.task import ingest_recording

LOADED_ONCE = (alembic.command, dask.array, pd, zarr_trees, opening, recording, repair)
"""What ingest imports where it needs it: before the forks, or each process would take seconds."""

MARKS = (b"OHDR", b"TREE", b"HEAP", b"SNOD", b"GCOL", b"FRHP", b"BTHD", b"OCHK", b"FADB")
"""Where HDF5's own structures start: few bytes of a file, but those that its library trusts."""

PLAIN_KINDS = ("cut", "zeros", "bit", "bits", "swap")
KINDS = (*PLAIN_KINDS, "structure", "structure", "structure zeros")
STORE_KINDS = (*PLAIN_KINDS, "lost", "number", "number", "word", "word")
HANG_S = 120.0
SETTINGS = IngestSettings(inspector=False, safety=SafetySettings(stall_seconds=30.0))
"""A busy machine may take seconds to start the process that looks first, which is no stall."""

SAY_EVERY = 50


def damage_copy(recording: Path, path: Path, rng: random.Random) -> str:
    """Copy a recording and damage the copy at random; return the name of the kind of damage."""
    if recording.is_file():
        kind = rng.choice(KINDS)
        path.write_bytes(mutate(kind, recording.read_bytes(), rng))
        return kind
    shutil.copytree(recording, path)
    kind = rng.choice(STORE_KINDS)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    described = [file for file in files if file.name == "zarr.json"]
    text = kind in ("number", "word")
    # Metadata are few of the bytes, but all that says what the rest means.
    file = rng.choice(described if text or rng.random() < 0.5 else files)
    if kind == "lost":
        file.unlink()
    elif text:
        file.write_text(_edit(file.read_text(), kind, rng))
    else:
        file.write_bytes(mutate(kind, file.read_bytes(), rng))
    return f"{kind} in {file.relative_to(path)}"


def _edit(text: str, kind: str, rng: random.Random) -> str:
    """Put another number, or another word, in place of one in a JSON text."""
    found = list(re.finditer(r"-?\d+" if kind == "number" else r'"[^"]*"', text))
    if not found:
        return ""
    one, other = rng.choice(found), rng.choice(found).group()
    if kind == "number":
        other = rng.choice(("0", "-1", "1e99", str(2**63), str(10**15), "null", other))
    return text[: one.start()] + other + text[one.end() :]


def mutate(kind: str, whole: bytes, rng: random.Random) -> bytes:
    """Return the bytes with damage of that kind."""
    if not whole:
        return b"\0"
    damaged = bytearray(whole)
    size = len(damaged)
    if kind == "cut":
        del damaged[rng.randrange(size) :]
    elif kind == "zeros":
        _zero(damaged, rng.randrange(size), rng.choice((64, 512, 4096)))
    elif kind == "swap":
        length = min(512, size // 2)
        one, other = (rng.randrange(size - length + 1) for _ in range(2))
        damaged[one : one + length], damaged[other : other + length] = (
            damaged[other : other + length],
            damaged[one : one + length],
        )
    elif kind.startswith("structure"):
        start = _structure(whole, rng)
        if kind == "structure zeros":
            _zero(damaged, start + rng.randrange(4, 64), rng.choice((4, 16, 64)))
        else:
            damaged[min(start + rng.randrange(256), size - 1)] ^= 1 << rng.randrange(8)
    else:
        for _ in range(1 if kind == "bit" else 16):
            damaged[rng.randrange(size)] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def _structure(whole: bytes, rng: random.Random) -> int:
    """Return the place of one of HDF5's structures."""
    starts: list[int] = []
    mark = rng.choice([mark for mark in MARKS if mark in whole] or [whole[:4]])
    at = whole.find(mark)
    while at >= 0:
        starts.append(at)
        at = whole.find(mark, at + 1)
    return rng.choice(starts)


def _zero(damaged: bytearray, start: int, length: int) -> None:
    stop = min(start + length, len(damaged))
    damaged[start:stop] = bytes(max(stop - start, 0))


def convert(recording: Path, store: Path) -> Path:
    """Return a Zarr store of an HDF5 recording, as hdmf-zarr makes it."""
    from hdmf_zarr import NWBZarrIO
    from pynwb import NWBHDF5IO

    with NWBHDF5IO(recording, "r", load_namespaces=True) as io, NWBZarrIO(str(store), "w") as made:
        made.export(src_io=io, write_args={"link_data": False})
    return store


def ingest_apart(path: Path, lake: Path) -> dict[str, Any]:
    """Ingest a file in a forked process; return its ending, reason, seconds and memory in MiB."""
    start = time.monotonic()
    result = lake.with_suffix(".json")
    process = os.fork()
    if process == 0:
        _ingest_and_exit(path, lake, result)
    status = _wait(process, start)
    seconds = time.monotonic() - start
    if status is None:
        return {"ending": "HANG", "reason": "", "seconds": seconds}
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return {"ending": "CRASH", "reason": name, "seconds": seconds}
    return {**json.loads(result.read_text()), "seconds": seconds}


def _wait(process: int, start: float) -> int | None:
    while time.monotonic() - start < HANG_S:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.005)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return None


def _ingest_and_exit(path: Path, lake: Path, result: Path) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        ending, reason = _ingest(path, WorkspaceSettings(lake=str(lake)))
    except BaseException as error:  # whatever it is, it is what this looks for
        ending, reason = "UNCAUGHT", f"{type(error).__name__}: {error}"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result.write_text(json.dumps({"ending": ending, "reason": reason, "peak_mib": peak}))
    os._exit(0)


def _ingest(path: Path, workspace: WorkspaceSettings) -> tuple[str, str]:
    before = contents(path)
    outcome = ingest_recording(workspace, str(path), SETTINGS)
    if contents(path) != before:
        return "WRONG", "the raw file was changed"
    if outcome.state is RunState.FAILED:
        quarantined = Workspace(workspace).catalogue.quarantine_reasons()
        problem = quarantined[0]["problem"] if len(quarantined) == 1 else "LOST"
        return ("quarantined" if len(quarantined) == 1 else "WRONG"), problem
    if outcome.ref is None:
        return "accepted, but no stream left", outcome.reason
    space = Workspace(workspace)
    (parent,) = space.catalogue.get(f"streams/{outcome.ref.id}").parents
    described = space.lake.read_json(parent, "recording.json")
    wrong = differing(path, space.lake.open_tree(outcome.ref), described)
    if wrong:
        return "WRONG", wrong
    serious = any(finding["severity"] != "info" for finding in described["findings"])
    return described["verdict"] + (", with findings" if serious else ""), ""


def contents(path: Path) -> dict[str, bytes]:
    """Return every byte of a recording."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return {str(file): file.read_bytes() for file in files}


def differing(path: Path, tree: Any, described: dict[str, Any]) -> str:
    """Return the first stream whose values are not those of the file; empty if there is none."""
    changed = {f["where"] for f in described["findings"] if f["repair"]}
    opened = (
        h5py.File(path, "r") if path.is_file() else nullcontext(zarr.open_group(path, mode="r"))
    )
    with opened as file:
        for name, node in tree.children.items():
            source = node.attrs["source"]
            data = file.get(f"{source}/data")
            # The primary variable of events is their times.
            events = node.attrs["stream_kind"] == "events"
            value = node.get("value" if events else node.attrs["primary"])
            if (
                source in changed
                or not isinstance(data, h5py.Dataset | zarr.Array)
                or value is None
            ):
                continue
            if data.shape[:1] != value.shape[:1] or data.size != value.size:
                continue
            if "channel_conversion" in file[source] or data.dtype.kind not in "iuf":
                continue
            scale, offset = (data.attrs.get(k, d) for k, d in (("conversion", 1), ("offset", 0)))
            expected = data[()].reshape(value.shape) * float(scale) + float(offset)
            if not np.allclose(value.values, expected, rtol=1e-5, atol=0, equal_nan=True):
                return name
    return ""


def main() -> None:
    """Mutate, ingest, count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recordings", nargs="+", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--as-zarr", action="store_true", help="convert the recordings first")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=120.0, help="stop after so many")
    parser.add_argument("--keep", type=Path, help="folder for files that end as they must not")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    endings: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    slowest = largest = (0.0, "none")
    folder = Path(tempfile.mkdtemp(prefix="mutations-"))
    recordings = options.recordings
    if options.as_zarr:
        recordings = [convert(one, folder / f"{one.stem}.zarr") for one in recordings]
    last = time.monotonic() + 60 * options.minutes
    for number in range(options.count):
        if time.monotonic() > last:
            break
        recording = recordings[number % len(recordings)]
        path, lake = folder / f"{number}.nwb", folder / f"lake{number}"
        kind = damage_copy(recording, path, rng)
        result = ingest_apart(path, lake)
        endings[result["ending"]] += 1
        what = f"{number}: {kind} of {recording.name}"
        slowest = max(slowest, (result["seconds"], what))
        largest = max(largest, (result.get("peak_mib", 0.0), what))
        if result["ending"] == "quarantined":
            reasons[result["reason"]] += 1
        elif result["ending"].isupper():
            print(what, result, flush=True)  # noqa: T201
            if options.keep:
                shutil.move(path, options.keep)
        if (number + 1) % SAY_EVERY == 0:
            print(f"{number + 1} done: {dict(endings)}", flush=True)  # noqa: T201
        for leftover in (path, lake):
            shutil.rmtree(leftover, ignore_errors=True)
        for leftover in (path, lake.with_suffix(".json")):
            leftover.unlink(missing_ok=True)
    shutil.rmtree(folder)
    report(endings, reasons)
    print(f"slowest {slowest[0]:.1f} s ({slowest[1]})")  # noqa: T201
    print(f"peak memory {largest[0]:.0f} MiB ({largest[1]})")  # noqa: T201


def report(endings: Counter[str], reasons: Counter[str]) -> None:
    """Print the counts."""
    bad = ("CRASH", "HANG", "UNCAUGHT", "WRONG")
    lines = [f"{endings[name]:6d}  {name}" for name in sorted(endings) if name not in bad]
    lines += [f"        {count:6d}  for '{problem}'" for problem, count in reasons.most_common()]
    lines += [f"{endings[name]:6d}  {name}" for name in bad]
    print("\n".join(lines))  # noqa: T201


if __name__ == "__main__":
    main()
