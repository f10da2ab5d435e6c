"""The ingest stage at its edge: a recording identified, checked, and its streams written."""

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.entities import ArtifactRef, StageOutcome
from schemas.errors import NothingToDoError, RecordingError
from schemas.settings.ingest import IngestSettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.draft import Draft
from tasks.common.locks import hold_lock
from tasks.common.remote import is_url, local_path, public_url
from tasks.common.stage import Request, settle_artifact
from tasks.common.workspace import Workspace
from tasks.ingest.folders import Version
from tasks.ingest.quarantine import Entry, accepted_problems, releases_of, settle_entries
from tasks.ingest.reader import Reader
from tasks.ingest.refusal import await_copy, follow_link, refuse, refuse_again
from tasks.ingest.sidecars import Described, sidecars_changed
from tasks.ingest.source import LocalSource, Source
from tasks.ingest.versions import (
    RecordingVersion,
    describe_change,
    describe_release,
    settle_version,
)

if TYPE_CHECKING:
    from tasks.ingest.opening import OpenedRecording

RECORD = "recording.json"


def ingest_recording(
    workspace: WorkspaceSettings, path: str, settings: IngestSettings
) -> StageOutcome:
    """Validate and catalogue one NWB file and write its streams; or put it in quarantine."""
    start = time.perf_counter()
    space = Workspace(workspace)
    # Until it has been followed, a link stands for itself.
    file = Path(public_url(path)) if is_url(path) else local_path(path)
    source: Source | None = None
    try:
        with find_source(space, path, settings) as source, Reader(source, settings) as reader:
            file = Path(source.uri) if source.folder else file
            # Taken before anything is read: what changes after it is noticed.
            version = source.version()
            recording = _known_recording(space, reader, version, settings)
            recording = recording or _new_recording(space, reader, version, settings)
            request = Request("streams", "ingest", settings, parents=(recording,))
            build = partial(_write_streams, reader=reader, recording=recording, settings=settings)
            outcome = settle_artifact(space, request, build)
    except RecordingError as error:
        outcome = refuse(space, file, error, settings, source)
    return outcome.model_copy(update={"seconds": time.perf_counter() - start})


def find_source(space: Workspace, path: str, settings: IngestSettings) -> Source:
    """Return what a path or URL names; RecordingError if a link leads where it may not."""
    if is_url(path):
        from tasks.ingest.remote_source import RemoteSource

        return RemoteSource(path, settings.remote, space.lake)
    file = local_path(path)
    target = follow_link(space, file, settings)
    await_copy(space, file, settings)
    return LocalSource(target)


def _known_recording(
    space: Workspace, reader: Reader, version: Version | None, settings: IngestSettings
) -> ArtifactRef | None:
    """Return the recording that this file, or one of the same bytes, was ingested as."""
    if version is None:
        return None
    source = reader.source
    known = space.catalogue.find_recording_file(source.uri, version.size, version.stamp)
    if not known:
        reader.get_ready()
    byte_sha256 = "" if known else source.byte_sha256()
    known = known or space.catalogue.find_recording_bytes(byte_sha256)
    ref = ArtifactRef(kind="recording", id=known) if known else None
    if ref is None or space.catalogue.find(ref.id) is None:
        return None
    described: Described = space.lake.read_json(ref, RECORD)
    request = _recording_request(space, source, described["identity"], settings)
    if request.ref != ref or _films_changed(described, source, settings):
        # The code, the settings or a video has changed since: read it again.
        return None
    if byte_sha256:
        _remember(space, source, version, byte_sha256, ref)
    return ref


def _films_changed(described: Described, source: Source, settings: IngestSettings) -> bool:
    """Tell whether videos came, went or changed; far away none is looked for."""
    if source.folder is None:
        return False
    return sidecars_changed(described, source.path(), settings.safety.trusted_folders)


def _new_recording(
    space: Workspace, reader: Reader, before: Version | None, settings: IngestSettings
) -> ArtifactRef:
    """Read a file in full, and make (or find) the recording that it is."""
    from tasks.ingest.recording import identify_content

    source = reader.source
    byte_sha256 = source.byte_sha256() if before is not None else ""
    refuse_again(space, byte_sha256, settings)
    accepted = accepted_problems(space.catalogue, byte_sha256)
    logical_sha256 = reader.survey(accepted)
    opened = reader.opened
    content = identify_content(opened, logical_sha256, source.folder, settings)
    session_key = space.catalogue.add_session(opened.session)
    # Two files of one session at once would both be its next version.
    with hold_lock(space.lake.lock_path(f"session-{session_key}")):
        version = settle_version(space.catalogue, session_key, content["identity"])
        request = _recording_request(space, source, content["identity"], settings, session_key)
        build = partial(
            _write_recording,
            opened=opened,
            content={
                **content,
                "path": source.uri,
                # Far away the size of a store is not told before it is fetched.
                "bytes": source.fetched_bytes or (before.size if before is not None else 0),
                "byte_sha256": byte_sha256,
                "fetched_bytes": source.fetched_bytes,
            },
            version=version,
            settings=settings,
            session_name=space.catalogue.session_name(session_key),
            releases=releases_of(space.catalogue, byte_sha256),
        )
        space.produce(request, build)
    if before is None or source.version() != before:
        raise RecordingError(
            "the file changed while it was read.", where=source.uri, problem="changed"
        )
    _remember(space, source, before, byte_sha256, request.ref)
    settle_entries(space.lake, space.catalogue, byte_sha256, source.uri)
    return request.ref


def _write_recording(
    draft: Draft,
    opened: "OpenedRecording",
    content: Described,
    version: RecordingVersion,
    settings: IngestSettings,
    session_name: str,
    releases: list[Entry],
) -> None:
    """Check a recording in full and write down what it is: recording.json and facts."""
    from tasks.ingest.recording import describe_recording, judge, key_figure, order_findings

    described = describe_recording(opened, content, settings)
    # The catalogue's name is unique; the session's own may not be.
    described["session"]["name"] = session_name
    more = [*describe_change(draft.lake, version, described), *map(describe_release, releases)]
    described["findings"] = order_findings([*described["findings"], *more])
    described["verdict"] = judge(described["unreadable"], described["findings"])
    described["version"] = version.number
    described["replaces"] = None if version.replaces is None else version.replaces.id
    described["releases"] = releases
    draft.write_json(RECORD, described)
    for name in ("path", "identity", "verdict", "version", "replaces", "releases"):
        draft.fact(name, described[name])
    for severity in ("error", "warning", "info"):
        count = sum(f["severity"] == severity for f in described["findings"])
        draft.metric(f"findings_{severity}", float(count))
    draft.key_figure = key_figure(described)


def _recording_request(
    space: Workspace,
    source: Source,
    identity: str,
    settings: IngestSettings,
    session_key: str | None = None,
) -> Request:
    """Return the request of a recording; a simulated one has its simulation as parent."""
    origin = space.lake.containing(Path(source.uri)) if source.folder else None
    parents = (origin,) if origin is not None else ()
    return Request(
        "recording", "ingest", settings, parents, session_key=session_key, identity=identity
    )


def _remember(
    space: Workspace, source: Source, version: Version, byte_sha256: str, ref: ArtifactRef
) -> None:
    space.catalogue.add_recording_file(source.uri, version.size, version.stamp, byte_sha256, ref.id)


def _write_streams(
    draft: Draft, reader: Reader, recording: ArtifactRef, settings: IngestSettings
) -> None:
    from schemas.contracts.streams import STREAMS
    from tasks.ingest.check import without_unreadable
    from tasks.ingest.recording import key_figure
    from tasks.ingest.repair import pack_integers, repair_streams

    described: Described = draft.lake.read_json(recording, RECORD)
    streams = without_unreadable(reader.opened.streams, described["unreadable"])
    if not streams.children:
        raise NothingToDoError(
            "the recording holds no stream that can be read.",
            where=reader.source.uri,
            remedy="Its findings say what it holds instead.",
        )
    repaired = repair_streams(pack_integers(streams), settings.block_mib)
    repaired.attrs["session_name"] = described["session"]["name"]
    draft.write_tree(repaired, STREAMS)
    draft.fact("byte_sha256", described["byte_sha256"])
    draft.fact("logical_sha256", described["logical_sha256"])
    draft.key_figure = key_figure(described)
