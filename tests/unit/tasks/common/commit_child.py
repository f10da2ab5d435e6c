"""A warm process that forks children which make artifacts and are killed on the way.

Not a test: test_kill.py starts it and tells it what to do, one JSON line a command; a fork of a
warm process costs milliseconds where a fresh interpreter costs seconds. It never makes an artifact
itself, so it has one thread when it forks.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

import dask.array  # noqa: F401 - children would each import it
import numpy as np
import psycopg  # noqa: F401 - likewise
import sqlalchemy.dialects.postgresql.psycopg  # noqa: F401 - likewise
import xarray as xr

from schemas.contracts.contract import TreeContract
from schemas.settings.base import StageSettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.common import commit, digest, draft, run_rows, storage, workspace, zarr_trees
from tasks.common.artifact_rows import ArtifactRows
from tasks.common.environment import hash_environment
from tasks.common.fingerprint import code_fingerprint
from tasks.common.workspace import Request, Workspace

TOOL = sys.monitoring.DEBUGGER_ID
ANYTHING = TreeContract("anything")


class NumberSettings(StageSettings):
    number: int = 0


def build(draft: draft.Draft, number: int) -> None:
    """Write a small tree and a JSON file, both of which hold the number."""
    numbers = xr.Dataset({"value": (("time", "unit"), np.full((40, 3), number))})
    draft.write_tree(xr.DataTree.from_dict({"/a": numbers, "/b": numbers}), ANYTHING)
    draft.write_json("number.json", {"number": number})
    draft.metric("number", number)


def make(settings: WorkspaceSettings, number: int, stage: str = "align") -> bool:
    """Make the artifact of a number; whether it was there already."""
    request = Request("aligned", stage, NumberSettings(number=number))
    return Workspace(settings).produce(request, lambda d: build(d, number)).reused


def protocol_code() -> list[CodeType]:
    """Return the code objects of everything between the request and the row."""
    modules = (commit, digest, draft, storage, zarr_trees, workspace, run_rows)
    found: list[CodeType] = []
    for owner in (*modules, workspace.Workspace, draft.Draft, ArtifactRows, run_rows.RunRows):
        for value in vars(owner).values():
            function = getattr(value, "__wrapped__", value)
            if isinstance(function, FunctionType) and function.__module__.startswith("tasks."):
                found += [function.__code__, *_inner(function.__code__)]
    return list(dict.fromkeys(found))


def _inner(code: CodeType) -> list[CodeType]:
    return [c for c in code.co_consts if isinstance(c, CodeType)]


def count_lines(on_line: Callable[[], None]) -> None:
    """Call `on_line` before each line of the protocol, in this process."""
    sys.monitoring.use_tool_id(TOOL, "kill")
    sys.monitoring.register_callback(TOOL, sys.monitoring.events.LINE, lambda *_: on_line())
    for code in protocol_code():
        sys.monitoring.set_local_events(TOOL, code, sys.monitoring.events.LINE)


def die_at(line: int) -> None:
    """Arrange for this process to be killed before it runs the protocol's line of that number."""
    seen = 0

    def on_line() -> None:
        nonlocal seen
        seen += 1
        if seen == line:
            os.kill(os.getpid(), signal.SIGKILL)

    count_lines(on_line)


def fork(action: Callable[[], Any]) -> int:
    """Run `action` in a child; return the child's process id."""
    child = os.fork()
    if child:
        return child
    try:
        action()
    except BaseException as error:
        os.write(2, f"child: {type(error).__name__}: {error}\n".encode())
        os._exit(1)
    os._exit(0)


def wait(child: int) -> int:
    """Return how a child ended: 0, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def measure(settings: WorkspaceSettings, number: int) -> dict[str, float]:
    """Return how many lines and seconds one artifact takes."""
    receiver, sender = os.pipe()

    def action() -> None:
        seen = 0

        def on_line() -> None:
            nonlocal seen
            seen += 1

        count_lines(on_line)
        start = time.perf_counter()
        make(settings, number)
        os.write(sender, json.dumps([seen, time.perf_counter() - start]).encode())

    status = wait(fork(action))
    lines, seconds = json.loads(os.read(receiver, 1000))
    os.close(receiver)
    os.close(sender)
    return {"status": status, "lines": lines, "seconds": seconds}


def kill_at_line(settings: WorkspaceSettings, number: int, line: int) -> dict[str, float]:
    """Make an artifact in a child that dies before a line of the protocol."""

    def action() -> None:
        die_at(line)
        make(settings, number)

    return {"status": wait(fork(action))}


def kill_after(settings: WorkspaceSettings, number: int, seconds: float) -> dict[str, float]:
    """Make an artifact in a child that is killed after some time."""
    child = fork(lambda: make(settings, number))
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return {"status": wait(child)}


def race(settings: WorkspaceSettings, number: int, processes: int) -> dict[str, Any]:
    """Let several children ask for the same artifact at once; return how often it was made."""
    receiver, sender = os.pipe()
    gate_out, gate_in = os.pipe()

    def action() -> None:
        os.close(gate_in)
        os.read(gate_out, 1)  # returns when the parent closes the gate: all start together
        os.write(sender, b"r" if make(settings, number) else b"m")

    children = [fork(action) for _ in range(processes)]
    os.close(gate_in)
    statuses = [wait(child) for child in children]
    os.close(sender)
    os.close(gate_out)
    answers = os.read(receiver, 1000).decode()
    os.close(receiver)
    return {"statuses": statuses, "made": answers.count("m"), "reused": answers.count("r")}


def warm_up() -> None:
    """Load here what every child would load; nothing that starts a thread."""
    xr.backends.list_engines()
    hash_environment()
    code_fingerprint("align")


def main() -> None:
    """Obey commands from stdin, answer on stdout."""
    warm_up()
    settings = WorkspaceSettings(lake=sys.argv[1], catalogue=sys.argv[2])
    actions: dict[str, Callable[..., dict[str, Any]]] = {
        "measure": measure,
        "kill_at_line": kill_at_line,
        "kill_after": kill_after,
        "race": race,
    }
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(actions[name](settings, *arguments)), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
