"""Where recordings go that cannot be used."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from schemas.entities import now
from schemas.errors import RecordingError
from tasks.common.lake import Lake

REASON_NAME = "reason.json"


def quarantine_folder(lake: Lake, byte_sha256: str) -> Path:
    """Return the folder of a file in quarantine."""
    return lake.quarantine / byte_sha256[:16]


def describe_reason(file: Path, byte_sha256: str, error: RecordingError) -> dict[str, Any]:
    """Return why a file cannot be used, as JSON."""
    return {
        "path": str(file),
        "bytes": file.stat().st_size,
        "byte_sha256": byte_sha256,
        "what": error.what,
        "where": error.where,
        "remedy": error.remedy,
        "when": now().isoformat(timespec="seconds"),
    }


def put_in_quarantine(lake: Lake, file: Path, reason: dict[str, Any]) -> Path:
    """Write the reason down, and move the file there if it lay in the lake's landing folder.

    A user's own file elsewhere is never moved. Returns the quarantine folder.
    """
    folder = quarantine_folder(lake, reason["byte_sha256"])
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{REASON_NAME}.{os.getpid()}"
    text = json.dumps(reason, indent=2, sort_keys=True) + "\n"
    draft.write_text(text, encoding="utf-8")
    draft.replace(folder / REASON_NAME)
    if file.resolve().is_relative_to(lake.landing.resolve()):
        shutil.move(file, folder / file.name)
    return folder


def release(lake: Lake, byte_sha256: str) -> bool:
    """Remove a quarantine entry whose file can be used after all; a file moved there stays.

    Returns whether there was one.
    """
    folder = quarantine_folder(lake, byte_sha256)
    if not (folder / REASON_NAME).is_file():
        return False
    (folder / REASON_NAME).unlink()
    if not any(folder.iterdir()):
        folder.rmdir()
    return True
