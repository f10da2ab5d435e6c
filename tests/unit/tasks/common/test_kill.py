"""A process killed anywhere in a commit leaves no broken and no lost artifact, no row without data.

Children of a warm process make artifacts and are killed: half of them before a random line of the
protocol, from the request to the row, half of them after a random time, wherever that is.
"""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.entities import ArtifactRef, RunState
from schemas.settings.base import StageSettings
from tasks.common.commit import check_folder
from tasks.common.digest import digest_manifest
from tasks.common.doctor import examine, repair_problems
from tasks.common.fingerprint import code_fingerprint
from tasks.common.workspace import Request, Workspace

CHILD = Path(__file__).with_name("commit_child.py")
KILLS = {"sqlite": 200, "postgresql": 60}
SIGKILL = -9


class NumberSettings(StageSettings):
    """The settings of commit_child.py."""

    number: int = 0


class Warm:
    """The process of commit_child.py."""

    def __init__(self, lake: str, catalogue: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(CHILD), lake, catalogue],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # One thread: a process that forks must not have more.
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )

    def __call__(self, *command: Any) -> dict[str, Any]:
        """Send a command and return the answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


@pytest.fixture
def warm(bench) -> Iterator[Warm]:
    """Return the warm process on the bench's lake."""
    settings = bench.workspace.settings
    # Both processes compute ids of the code as it is now.
    code_fingerprint("align")
    found = Warm(settings.lake, settings.catalogue)
    with found.process:
        yield found
        assert found.process.stdin is not None
        found.process.stdin.close()


def check_lake(workspace: Workspace, good: set[ArtifactRef]) -> set[str]:
    """Assert that every row has its data, and every folder is complete; return the listed ids.

    good : folders that were read before and are not read again
    """
    rows = {artifact.ref: artifact for artifact in workspace.catalogue.artifacts()}
    folders = workspace.lake.folders()
    assert rows.keys() <= folders.keys(), "a row without data"
    for ref in folders.keys() - good:
        record = check_folder(folders[ref])
        assert ref not in rows or digest_manifest(record.manifest) == rows[ref].digest
        good.add(ref)
    return {ref.id for ref in rows}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kills_at_200_random_points_break_and_lose_nothing(bench, warm: Warm, backend) -> None:
    workspace = bench.workspace
    chance = random.Random(20261123)
    cold, usual = warm("measure", 10_000), warm("measure", 10_001)
    assert cold["status"] == usual["status"] == 0
    good: set[ArtifactRef] = set()
    listed = check_lake(workspace, good)
    killed = {"line": 0, "time": 0}
    for number in range(KILLS[backend]):
        if number % 2:
            answer = warm("kill_at_line", number, chance.randint(1, usual["lines"]))
            killed["line"] += answer["status"] == SIGKILL
        else:
            answer = warm("kill_after", number, chance.uniform(0, 1.1 * usual["seconds"]))
            died = answer["status"] == SIGKILL
            killed["time"] += died
            # The pace of a shared machine changes: follow it, so that most die on the way.
            usual["seconds"] *= 1.02 if died else 0.9
        now_listed = check_lake(workspace, good)
        assert listed <= now_listed, "a committed artifact was lost"
        listed = now_listed
    assert killed["line"] == KILLS[backend] // 2
    assert killed["time"] > KILLS[backend] // 4
    assert_recovers(workspace, warm, chance.sample(range(KILLS[backend]), 10))


def assert_recovers(workspace: Workspace, warm: Warm, again: list[int]) -> None:
    """Assert that asking again gives each artifact, and that the doctor mends all the rest."""
    for number in again:
        request = Request("aligned", "align", NumberSettings(number=number))
        assert warm("race", number, 1)["statuses"] == [0]
        found = workspace.lake.open_tree(request.ref)
        assert (found["a/value"] == number).all()
        assert workspace.lake.read_json(request.ref, "number.json") == {"number": number}
        assert not list(workspace.lake.tmp.glob(f"{request.ref.id}-*")), "leftovers of this one"
    problems = examine(workspace, rehash=True)
    assert {problem.code for problem in problems} <= {"leftover", "unlisted", "stuck_run"}
    assert repair_problems(workspace, problems) == problems
    assert examine(workspace, rehash=True) == []
    check_lake(workspace, set())
    assert workspace.catalogue.runs_in(RunState.RUNNING) == []
    assert not list(workspace.lake.tmp.iterdir())


def test_eight_processes_that_want_one_artifact_make_it_once(bench, warm: Warm) -> None:
    for number in range(2):
        answer = warm("race", number, 8)
        assert answer["statuses"] == [0] * 8
        assert (answer["made"], answer["reused"]) == (1, 7)
    assert len(check_lake(bench.workspace, set())) == 2
    states = [bench.workspace.catalogue.runs_in(state) for state in RunState]
    assert sum(map(len, states)) == 2, "one run each"
