"""The lake against a dict: whatever is done to it, it holds what was committed, and no more.

hypothesis makes artifacts, lets makers fail or die at each step of the commit, damages and removes
data, and calls the doctor; after each step the lake must agree with a plain dict.
"""

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from schemas.entities import ArtifactRef
from schemas.errors import LakeError, NothingToDoError
from schemas.settings.base import StageSettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.common import workspace as workspace_module
from tasks.common.doctor import examine, repair_problems
from tasks.common.draft import Draft
from tasks.common.workspace import Request, Workspace

NUMBERS = st.integers(0, 5)


class Died(BaseException):
    """Stands for SIGKILL: nothing after it runs but `finally` blocks, which the test undoes."""


class NumberSettings(StageSettings):
    """Settings of a made-up stage."""

    number: int = 0


def request(number: int) -> Request:
    """Return the request for the artifact of a number."""
    return Request("aligned", "align", NumberSettings(number=number))


class LakeMachine(RuleBasedStateMachine):
    """Drives a lake and a dict side by side."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self.workspace = workspace
        self.model: dict[ArtifactRef, int] = {}
        """What is committed and undamaged: ref -> number."""
        self.unlisted: dict[ArtifactRef, int] = {}
        """What is complete but has no row."""
        self.broken: set[ArtifactRef] = set()
        """What has a row but damaged or no data."""
        self.empty: set[ArtifactRef] = set()
        self.leftovers: set[ArtifactRef] = set()

    def build(self, number: int) -> Callable[[Draft], None]:
        def write(draft: Draft) -> None:
            draft.write_json("number.json", number)

        return write

    @rule(number=NUMBERS)
    def make(self, number: int) -> None:
        ref = request(number).ref
        if ref in self.empty:
            with pytest.raises(NothingToDoError):
                self.workspace.produce(request(number), self.build(number))
            return
        if ref in self.broken:
            if not self.workspace.lake.folder(ref).is_dir():
                with pytest.raises(LakeError, match="folder is gone"):
                    self.workspace.produce(request(number), self.build(number))
            return
        product = self.workspace.produce(request(number), self.build(number))
        assert product.reused == (ref in self.model or ref in self.unlisted)
        if not product.reused:
            self.leftovers.discard(ref)
        self.unlisted.pop(ref, None)
        self.model[ref] = number

    @rule(number=NUMBERS, error=st.sampled_from([RuntimeError, OSError, KeyboardInterrupt]))
    def fail(self, number: int, error: type[BaseException]) -> None:
        def build(draft: Draft) -> None:
            draft.write_json("number.json", number)
            raise error("on purpose")

        if self.is_new(number):
            with pytest.raises(error):
                self.workspace.produce(request(number), build)
            self.leftovers.discard(request(number).ref)

    @rule(number=NUMBERS)
    def find_nothing_to_do(self, number: int) -> None:
        def build(draft: Draft) -> None:
            raise NothingToDoError("too short.")

        if self.is_new(number) and number == 0:
            with pytest.raises(NothingToDoError):
                self.workspace.produce(request(number), build)
            self.empty.add(request(number).ref)
            self.leftovers.discard(request(number).ref)

    @rule(number=NUMBERS, step=st.sampled_from(["write_record", "publish", "insert_row"]))
    def die(self, number: int, step: str) -> None:
        """Let the maker die before a step; what `finally` cleans up is put back."""
        if not self.is_new(number):
            return
        ref = request(number).ref
        saved = self.workspace.lake.root / "saved"

        def dying(*arguments: Any) -> None:
            if step != "insert_row":
                shutil.copytree(arguments[0].path, saved)
            raise Died

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(workspace_module, step, dying)
            with pytest.raises(Died):
                self.workspace.produce(request(number), self.build(number))
        self.leftovers.discard(ref)
        if step == "insert_row":
            self.unlisted[ref] = number
        else:
            saved.rename(self.workspace.lake.tmp / f"{ref.id}-saved")
            self.leftovers.add(ref)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), how=st.sampled_from(["damage", "remove"]))
    def harm(self, data: st.DataObject, how: str) -> None:
        ref = data.draw(st.sampled_from(sorted(self.model, key=str)))
        folder = self.workspace.lake.folder(ref)
        if how == "damage":
            (folder / "number.json").write_text("-1")
        else:
            shutil.rmtree(folder)
        del self.model[ref]
        self.broken.add(ref)

    @rule()
    def call_the_doctor(self) -> None:
        problems = examine(self.workspace, rehash=True)
        assert repair_problems(self.workspace, problems) == problems
        assert examine(self.workspace, rehash=True) == []
        self.model |= self.unlisted
        self.unlisted.clear()
        self.broken.clear()
        self.leftovers.clear()

    @rule()
    def lose_the_process(self) -> None:
        """Go on with another process: nothing is kept but the lake and the catalogue."""
        self.workspace.catalogue.close()
        self.workspace = Workspace(self.workspace.settings)

    @invariant()
    def the_rows_are_what_was_committed(self) -> None:
        listed = {artifact.ref for artifact in self.workspace.catalogue.artifacts()}
        assert listed == self.model.keys() | self.broken

    @invariant()
    def what_was_committed_can_be_read(self) -> None:
        for ref, number in self.model.items():
            assert self.workspace.lake.read_json(ref, "number.json") == number

    @invariant()
    def the_doctor_sees_exactly_what_is_wrong(self) -> None:
        found = examine(self.workspace, rehash=True)
        wrong = {problem.ref for problem in found if problem.kind}
        assert wrong == self.broken | self.unlisted.keys()
        left = {problem.artifact_id for problem in found if problem.code == "leftover"}
        assert left == {ref.id for ref in self.leftovers}
        assert {p.code for p in found} <= {"leftover", "unlisted", "missing", "damaged"}

    def is_new(self, number: int) -> bool:
        ref = request(number).ref
        return not any(
            ref in known for known in (self.model, self.unlisted, self.broken, self.empty)
        )

    def teardown(self) -> None:
        self.workspace.catalogue.close()


@pytest.mark.slow
def test_the_lake_is_a_dict_whatever_happens(new_catalogue, tmp_path: Path, backend: str) -> None:
    counter = itertools.count()

    def machine() -> LakeMachine:
        lake = str(tmp_path / f"lake{next(counter)}")
        return LakeMachine(Workspace(WorkspaceSettings(lake=lake, catalogue=new_catalogue())))

    how = settings(
        max_examples=30 if backend == "sqlite" else 12,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=how)
