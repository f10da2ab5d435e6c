"""A lake with its catalogue, and the one way in which artifacts come to be in them."""

import hashlib
import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from schemas.entities import Artifact, ArtifactRef, ProcessRun, RunState, now
from schemas.errors import LakeError, NotFoundError, NothingToDoError
from schemas.settings.base import StageSettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.catalogue import Catalogue
from tasks.common.commit import (
    Origin,
    adopt_folder,
    insert_row,
    publish,
    temporary_draft,
    write_record,
)
from tasks.common.draft import Draft
from tasks.common.environment import describe_environment, hash_environment
from tasks.common.fingerprint import code_fingerprint
from tasks.common.lake import Lake
from tasks.common.locks import hold_lock
from tasks.common.storage import storage_errors

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

log = logging.getLogger("tectum")

Build = Callable[[Draft], None]


@dataclass(frozen=True)
class Request:
    """What an artifact is to be made of; decides its id.

    kind : kind of the artifact
    stage : package below tasks/ whose code makes it
    settings : the stage's settings
    parents : artifacts it is made from, in a fixed order
    session_key : the session it belongs to; None takes the first parent's
    identity : what else decides the result, e.g. the content hash of a raw file
    """

    kind: str
    stage: str
    settings: StageSettings
    parents: tuple[ArtifactRef, ...] = ()
    session_key: str | None = None
    identity: str = ""

    def artifact_id(self) -> str:
        """Return the id: a hash of kind, code fingerprint, ParamSet, parents and identity."""
        parts = [
            self.kind,
            code_fingerprint(self.stage),
            self.settings.param_set(self.stage).hash,
            *(parent.id for parent in self.parents),
            self.identity,
        ]
        return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]

    @property
    def ref(self) -> ArtifactRef:
        """The artifact this request is for."""
        return ArtifactRef(kind=self.kind, id=self.artifact_id())


@dataclass(frozen=True)
class Product:
    """An artifact that was asked for, and whether it was there already."""

    artifact: Artifact
    reused: bool
    seconds: float


class Workspace:
    """A lake and its catalogue."""

    def __init__(self, settings: WorkspaceSettings | None = None) -> None:
        self.settings = settings or WorkspaceSettings()
        self.lake = Lake(self.settings.lake)
        self.catalogue = Catalogue(self.settings.catalogue)

    def produce(self, request: Request, build: Build, *, flow_run: str = "") -> Product:
        """Return the artifact asked for, making it if it does not exist.

        Any number of processes may ask for the same artifact at once: one makes it, the others
        wait and get it.

        Raises
        ------
        NothingToDoError
            The stage cannot be fed by these parents; its run ends as Empty. It is not tried
            again until code, settings or parents change.
        NotFoundError
            A parent is not in the catalogue.
        LakeError
            The lake or catalogue cannot be written.
        """
        start = time.perf_counter()
        ref = request.ref
        found = self._existing(ref)
        if found is None and (reason := self.catalogue.empty_reason(ref.id)) is not None:
            # Same code, settings and input: the stage would find the same again.
            raise NothingToDoError(reason)
        if found is None:
            with hold_lock(self.lake.lock_path(ref.id)), self._shared_lock(ref.id):
                found = self._existing(ref) or self._adopt(ref)
                if found is None:
                    artifact = self._make(request, ref, build, flow_run)
                    return Product(artifact, False, time.perf_counter() - start)
        log.info("%s: %s exists; nothing to compute", request.stage, ref)
        return Product(found, True, time.perf_counter() - start)

    def open(self, session: str, kind: str = "aligned") -> "xr.DataTree":
        """Open the newest artifact of a kind of one session, lazily."""
        key = self.catalogue.find_session(session)
        return self.lake.open_tree(self.catalogue.latest(key, kind).ref)

    def open_many(self, sessions: list[str], kind: str = "aligned") -> "xr.DataTree":
        """Open one lazy tree with a branch for each session."""
        import xarray as xr

        return xr.DataTree.from_dict({name: self.open(name, kind) for name in sessions})

    def search(self, **terms: str | None) -> "pd.DataFrame":
        """Search the catalogue's artifacts; see Catalogue.search."""
        return self.catalogue.search(**terms)

    def _shared_lock(self, name: str) -> AbstractContextManager[None]:
        """Hold a lock for all machines, where they share a lake in a bucket by one catalogue."""
        return self.catalogue.hold_lock(name) if self.lake.bucket else nullcontext()

    def _existing(self, ref: ArtifactRef) -> Artifact | None:
        found = self.catalogue.find(ref.id)
        if found is not None and not self.lake.stored(ref).is_dir():
            raise LakeError(
                f"the catalogue lists {ref}, but its folder is gone.",
                where=str(self.lake.stored(ref)),
                remedy="Run 'tectum doctor --repair', then run again to remake it.",
            )
        return found

    def _adopt(self, ref: ArtifactRef) -> Artifact | None:
        if adopt_folder(self.lake, self.catalogue, ref):
            log.info("%s was complete but not in the catalogue; its row is written now", ref)
            return self.catalogue.find(ref.id)
        return None

    def _make(self, request: Request, ref: ArtifactRef, build: Build, flow_run: str) -> Artifact:
        origin = self._describe(request, ref, flow_run)
        self.catalogue.start_run(origin.run, origin.environment)
        log.info("%s: computing %s", request.stage, ref)
        try:
            with temporary_draft(self.lake, ref) as draft, storage_errors(self.lake.root):
                build(draft)
                record = write_record(draft, origin)
                publish(draft, record)
                insert_row(self.catalogue, record)
                return record.artifact
        except NothingToDoError as error:
            self.catalogue.end_run(origin.run.id, RunState.EMPTY, str(error))
            raise
        except BaseException as error:
            self._end_failed(origin.run.id, error)
            raise

    def _describe(self, request: Request, ref: ArtifactRef, flow_run: str) -> Origin:
        """Return all that is known of an artifact before it is made."""
        session_key = self._session_of(request)
        run = ProcessRun(
            id=uuid4().hex,
            stage=request.stage,
            artifact_id=ref.id,
            session_key=session_key,
            started=now(),
            environment_hash=hash_environment(),
            flow_run=flow_run,
        )
        param_set = request.settings.param_set(request.stage)
        artifact = Artifact(
            ref=ref,
            stage=request.stage,
            session_key=session_key,
            uri=f"artifacts/{ref.kind}/{ref.id}",
            digest="",
            bytes=0,
            created=now(),
            fingerprint=code_fingerprint(request.stage),
            param_hash=param_set.hash,
            parents=request.parents,
            run_id=run.id,
        )
        session = None if session_key is None else self.catalogue.session(session_key)
        return Origin(
            artifact=artifact,
            session=session,
            run=run,
            environment=describe_environment(),
            param_set=param_set,
        )

    def _session_of(self, request: Request) -> str | None:
        """Return the session asked for, or that of the first parent which belongs to one."""
        found = {a.ref: a for a in self.catalogue.find_all(ref.id for ref in request.parents)}
        if missing := [str(parent) for parent in request.parents if parent not in found]:
            raise NotFoundError(
                f"the catalogue does not list {', '.join(missing)}, to make {request.kind} from.",
                where=self.catalogue.where,
                remedy="Run the stages before this one first.",
            )
        keys = [request.session_key, *(found[parent].session_key for parent in request.parents)]
        return next((key for key in keys if key is not None), None)

    def _end_failed(self, run_id: str, error: BaseException) -> None:
        """Record the failure if the catalogue still can; the first error is the one to raise."""
        try:
            self.catalogue.end_run(run_id, RunState.FAILED, f"{type(error).__name__}: {error}")
        except LakeError:
            log.warning("the failed run %s could not be recorded", run_id)
