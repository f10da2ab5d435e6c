"""Versions of a recording: another file of the same session that holds something else.

A session's recordings are counted by their content. The same content read again, by newer code or
with other settings, is the same version. Each names the one before it, which stays in the lake.
"""

from dataclasses import dataclass

from schemas.entities import ArtifactRef, Finding
from tasks.common.catalogue import Catalogue
from tasks.common.lake import Lake
from tasks.ingest.sidecars import Described


@dataclass(frozen=True)
class RecordingVersion:
    """Which version of its session a recording is.

    number : from 1, in the order in which they came
    replaces : the recording before it; None for the first
    """

    number: int
    replaces: ArtifactRef | None


def settle_version(catalogue: Catalogue, session_key: str, identity: str) -> RecordingVersion:
    """Return the version of a recording; its caller holds the session's lock.

    Parameters
    ----------
    identity : hash of the recording's content
    """
    latest: dict[int, ArtifactRef] = {}
    known: dict[str, int] = {}
    for recording in catalogue.recordings_of(session_key):
        latest[recording.version] = recording.ref
        known[recording.identity] = recording.version
    number = known.get(identity, max(latest, default=0) + 1)
    earlier = [version for version in latest if version < number]
    return RecordingVersion(number, latest[max(earlier)] if earlier else None)


def describe_change(lake: Lake, version: RecordingVersion, described: Described) -> list[Described]:
    """Return a finding on what a version has changed, by streams; none for the first version."""
    if version.replaces is None:
        return []
    before = lake.read_json(version.replaces, "recording.json")["streams"]
    after = described["streams"]
    common = sorted(after.keys() & before.keys())
    parts = {
        "new": sorted(after.keys() - before.keys()),
        "gone": sorted(before.keys() - after.keys()),
        "of another size or span": [name for name in common if after[name] != before[name]],
    }
    told = "; ".join(f"{what}: {', '.join(names)}" for what, names in parts.items() if names)
    finding = Finding(
        code="new_version",
        severity="info" if common or not before else "warning",
        what=f"Version {version.number} of this session, in place of {version.replaces}. "
        + (f"Streams {told}." if told else "The same streams, with other values or texts."),
        where="/",
        remedy=""
        if common or not before
        else "The two share no stream: if they are parts of one session, give each a session_id "
        "of its own.",
    )
    return [finding.model_dump()]


def describe_release(release: Described) -> Described:
    """Return a finding on a problem that a user has accepted."""
    why = f": {release['why']}" if release["why"] else ""
    return Finding(
        code="released",
        severity="warning",
        what=f"Let out of quarantine by {release['by']} on {release['when']}{why}. "
        f"Accepted: {release['what']}",
        where="/",
    ).model_dump()
