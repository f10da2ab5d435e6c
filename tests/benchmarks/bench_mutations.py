"""Ingest files that were damaged at random and count how each ends.

    python tests/benchmarks/bench_mutations.py --count 1000 recording.nwb another.nwb ...

Each mutated file is ingested into a lake of its own by a process of its own, so that a crash is
seen as one. What is accepted is compared with what h5py reads from the same damaged file: a flipped
bit in a sample cannot be told from a sample, but the lake must hold what the file holds. The last
four lines must be 0.
"""

import argparse
import json
import os
import random
import resource
import shutil
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import alembic.command
import dask.array
import h5py
import numpy as np
import pandas as pd

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

KINDS = ("cut", "zeros", "bit", "bits", "structure", "structure", "structure zeros", "swap")
HANG_S = 120.0
SETTINGS = IngestSettings(inspector=False, safety=SafetySettings(stall_seconds=5.0))


def mutate(whole: bytes, rng: random.Random) -> tuple[str, bytes]:
    """Return the name of a random kind of damage, and the damaged bytes."""
    kind = rng.choice(KINDS)
    damaged = bytearray(whole)
    size = len(damaged)
    if kind == "cut":
        del damaged[rng.randrange(1, size) :]
    elif kind == "zeros":
        _zero(damaged, rng.randrange(size), rng.choice((64, 512, 4096)))
    elif kind == "swap":
        one, other = (rng.randrange(size - 512) for _ in range(2))
        damaged[one : one + 512], damaged[other : other + 512] = (
            damaged[other : other + 512],
            damaged[one : one + 512],
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
    return kind, bytes(damaged)


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
    before = path.read_bytes()
    outcome = ingest_recording(workspace, str(path), SETTINGS)
    if path.read_bytes() != before:
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


def differing(path: Path, tree: Any, described: dict[str, Any]) -> str:
    """Return the first stream whose values are not those of the file; empty if there is none."""
    changed = {f["where"] for f in described["findings"] if f["repair"]}
    with h5py.File(path, "r") as file:
        for name, node in tree.children.items():
            source = node.attrs["source"]
            data = file.get(f"{source}/data")
            # The primary variable of events is their times.
            events = node.attrs["stream_kind"] == "events"
            value = node.get("value" if events else node.attrs["primary"])
            if source in changed or not isinstance(data, h5py.Dataset) or value is None:
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
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=120.0, help="stop after so many")
    parser.add_argument("--keep", type=Path, help="folder for files that end as they must not")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    whole = [path.read_bytes() for path in options.recordings]
    endings: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    slowest = peak = 0.0
    folder = Path(tempfile.mkdtemp(prefix="mutations-"))
    last = time.monotonic() + 60 * options.minutes
    for number in range(options.count):
        if time.monotonic() > last:
            break
        kind, damaged = mutate(whole[number % len(whole)], rng)
        path, lake = folder / f"{number}.nwb", folder / f"lake{number}"
        path.write_bytes(damaged)
        result = ingest_apart(path, lake)
        endings[result["ending"]] += 1
        slowest = max(slowest, result["seconds"])
        peak = max(peak, result.get("peak_mib", 0.0))
        if result["ending"] == "quarantined":
            reasons[result["reason"]] += 1
        elif result["ending"].isupper():
            name = options.recordings[number % len(whole)].name
            print(number, kind, name, result, flush=True)  # noqa: T201
            if options.keep:
                shutil.copy(path, options.keep / path.name)
        shutil.rmtree(lake, ignore_errors=True)
        for leftover in (path, lake.with_suffix(".json")):
            leftover.unlink(missing_ok=True)
    shutil.rmtree(folder)
    report(endings, reasons, slowest, peak)


def report(endings: Counter[str], reasons: Counter[str], slowest: float, peak: float) -> None:
    """Print the counts."""
    bad = ("CRASH", "HANG", "UNCAUGHT", "WRONG")
    lines = [f"{endings[name]:6d}  {name}" for name in sorted(endings) if name not in bad]
    lines += [f"        {count:6d}  for '{problem}'" for problem, count in reasons.most_common()]
    lines += [f"{endings[name]:6d}  {name}" for name in bad]
    lines.append(f"slowest {slowest:.1f} s, peak memory {peak:.0f} MiB")
    print("\n".join(lines))  # noqa: T201


if __name__ == "__main__":
    main()
