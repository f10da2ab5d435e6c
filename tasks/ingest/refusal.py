"""What happens to a file that ingest refuses: quarantine, or waiting where it is still copied."""

import hashlib
import json
import time
from pathlib import Path

from schemas.entities import RunState, StageOutcome
from schemas.errors import RecordingError
from schemas.settings.ingest import IngestSettings
from tasks.common.fingerprint import code_fingerprint
from tasks.common.workspace import Workspace
from tasks.ingest.folders import allowed_folders, is_zarr_folder
from tasks.ingest.quarantine import (
    DAMAGE,
    FLEETING,
    accepted_problems,
    describe_reason,
    identify_bytes,
    in_landing,
    printable,
    put_in_quarantine,
)


def follow_link(space: Workspace, file: Path, settings: IngestSettings) -> Path:
    """Return where a path leads; a link in the landing folder may not lead out of it.

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
    if not in_landing(space.lake, file):
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
    space: Workspace, file: Path, error: RecordingError, settings: IngestSettings
) -> StageOutcome:
    """Write down why a file cannot be used; what is no file at all only fails."""
    waits = _why_wait(space, file, error, settings)
    if waits:
        return StageOutcome(stage="ingest", state=RunState.WAITING, reason=waits)
    if file.is_file() or file.is_symlink() or is_zarr_folder(file):
        reason = describe_reason(file, identify_bytes(file), error)
        put_in_quarantine(space.lake, space.catalogue, file, {**reason, "asked": _asked(settings)})
    return StageOutcome(stage="ingest", state=RunState.FAILED, reason=f"quarantined: {error}")


def _why_wait(space: Workspace, file: Path, error: RecordingError, settings: IngestSettings) -> str:
    """Say why a file is left where it is for the next run; empty if it is not."""
    if error.problem == "changed":
        return f"{file.name} changed while it was read; the next run takes it."
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
