"""What happens to a file that ingest refuses: quarantine, or waiting where it is still copied."""

import hashlib
import json
import os
import time
from pathlib import Path

from schemas.entities import RunState, StageOutcome
from schemas.errors import RecordingError
from schemas.settings.ingest import IngestSettings
from tasks.common.fingerprint import code_fingerprint
from tasks.common.workspace import Workspace
from tasks.ingest.folders import allowed_folders, is_zarr_folder, walk_files
from tasks.ingest.quarantine import (
    DAMAGE,
    FLEETING,
    accepted_problems,
    describe_reason,
    identify_bytes,
    identify_file,
    in_landing,
    printable,
    put_in_quarantine,
)
from tasks.ingest.source import Source


def follow_link(space: Workspace, file: Path, settings: IngestSettings) -> Path:
    """Return where a path leads; no link in the landing folder may lead out of it.

    Elsewhere the user named the file, and may name it by a link.

    Raises
    ------
    RecordingError
        It leads out of the landing folder, or its name cannot be written down.
    """
    target = file.resolve()
    if str(file) != printable(str(file)):
        raise RecordingError(
            "the file's name holds characters that cannot be written down.",
            where=printable(str(file)),
            remedy="Rename it.",
            problem="bad_name",
        )
    # By its name, too: the folder that it lies in may be a link itself.
    name, landing = (os.path.normpath(p.absolute()) for p in (file, space.lake.landing))
    named = Path(name).is_relative_to(landing)
    if not named and not in_landing(space.lake, file):
        return target
    folders = allowed_folders(space.lake.landing, settings.safety.trusted_folders)
    if any(target.is_relative_to(folder) for folder in folders):
        return target
    if "leads_outside" in accepted_problems(space.catalogue, identify_bytes(file)):
        return target
    raise RecordingError(
        f"a symbolic link leads out of the landing folder, to '{target}', and is not followed.",
        where=str(file),
        remedy="Put the file itself there, or name its folder in ingest.safety.trusted_folders.",
        problem="leads_outside",
    )


def await_copy(space: Workspace, file: Path, settings: IngestSettings) -> None:
    """Leave a Zarr store of the landing folder that is still growing for the next run.

    A file that is not all there is damaged; a store without some chunks reads as zeros.

    Raises
    ------
    RecordingError
        Something in it changed a moment ago.
    """
    if not (in_landing(space.lake, file) and is_zarr_folder(file)):
        return
    # Not st_mtime: what copies files keeps that of the original.
    age_s = time.time() - max(part.stat().st_ctime for part in (file, *walk_files(file)))
    if age_s < settings.safety.settling_seconds:
        raise RecordingError(
            f"the store changed {max(age_s, 0):.0f} s ago and may still be being copied.",
            where=str(file),
            problem="copying",
        )


def refuse_again(space: Workspace, byte_sha256: str, settings: IngestSettings) -> None:
    """Refuse bytes at once that this very code refused before, with these very settings."""
    reason = space.catalogue.quarantine_reason(byte_sha256) or {}
    if reason.get("settled") or reason.get("asked") != _asked(settings):
        return
    if reason["problem"] in {*FLEETING, *(r["problem"] for r in reason["releases"])}:
        return
    raise RecordingError(
        reason["what"],
        where=reason["where"],
        remedy=reason["remedy"],
        problem=reason["problem"],
    )


def refuse(
    space: Workspace,
    file: Path,
    error: RecordingError,
    settings: IngestSettings,
    source: Source | None = None,
) -> StageOutcome:
    """Write down why a recording cannot be used; what is no recording at all only fails.

    source : what the recording came from, if that is known
    """
    waits = _why_wait(space, file, error, settings)
    if waits:
        return StageOutcome(stage="ingest", state=RunState.WAITING, reason=waits)
    asked = {"asked": _asked(settings)}
    far = None if source is None else source.seen_far()
    if source is not None and far is not None:
        reason = describe_reason(source.uri, far, error)
        put_in_quarantine(space.lake, space.catalogue, None, {**reason, **asked})
    elif file.is_file() or file.is_symlink() or is_zarr_folder(file):
        reason = describe_reason(str(file), identify_file(file), error)
        put_in_quarantine(space.lake, space.catalogue, file, {**reason, **asked})
    return StageOutcome(stage="ingest", state=RunState.FAILED, reason=f"quarantined: {error}")


def _why_wait(space: Workspace, file: Path, error: RecordingError, settings: IngestSettings) -> str:
    """Say why a file is left where it is for the next run; empty if it is not."""
    if error.problem == "changed":
        return f"{file.name} changed while it was read; the next run takes it."
    if error.problem == "copying":
        return f"{file.name}: {error.what} The next run takes it."
    if error.problem not in DAMAGE or not in_landing(space.lake, file) or not file.is_file():
        return ""
    age_s = time.time() - file.stat().st_mtime
    if age_s >= settings.safety.settling_seconds:
        return ""
    return (
        f"{file.name} cannot be read ({error.what.rstrip('.')}), but changed {max(age_s, 0):.0f} s "
        "ago and may still be being copied; the next run takes it."
    )


def _asked(settings: IngestSettings) -> str:
    """Return a hash of the code and of all settings that a refusal may depend on."""
    text = json.dumps(settings.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(f"{code_fingerprint('ingest')}{text}".encode()).hexdigest()[:16]
