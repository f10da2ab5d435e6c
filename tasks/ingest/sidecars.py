"""Files beside an NWB file that belong to the recording: its videos."""

import re
from pathlib import Path
from typing import Any

from tasks.common.digest import hash_file

Described = dict[str, Any]
"""What is known of a recording or of a part of it, as JSON values."""


def is_remote(written: str) -> bool:
    """Tell whether a path is a URL."""
    return re.match(r"^[a-z][a-z0-9+.-]+://", written) is not None


def resolve_sidecar(written: str, folder: Path | None) -> Path | None:
    """Return the file that an NWB file in `folder` means by a path, None if it is not there.

    A path that another machine wrote in full is also looked for by its name beside the NWB file.
    """
    if folder is None:
        return None
    plain = written.replace("\\", "/")
    for candidate in (folder / plain, folder / Path(plain).name):
        if candidate.is_file():
            return candidate.resolve()
    return None


def expected_path(written: str, folder: Path | None) -> str:
    """Return where a file that is not there should be; a URL stays what it is."""
    return written if is_remote(written) or folder is None else str(folder / written)


def count_frames(path: Path) -> int:
    """Return the number of frames a video's header states, 0 if it states none or is damaged."""
    import av  # here, since most recordings have no video

    try:
        with av.open(str(path)) as container:
            return int(container.streams.video[0].frames) if container.streams.video else 0
    except (av.error.FFmpegError, OSError, ValueError):
        return 0


def describe_sidecars(
    written: list[str], folder: Path, *, hashed: bool = True
) -> list[dict[str, Any]]:
    """Return path, size and hash of each sidecar; null where it is not there."""
    described: list[dict[str, Any]] = []
    for name in sorted(set(written)):
        path = None if is_remote(name) else resolve_sidecar(name, folder)
        described.append(
            {
                "path": name,
                "found": None if path is None else str(path),
                "bytes": None if path is None else path.stat().st_size,
                "sha256": hash_file(path) if path is not None and hashed else None,
            }
        )
    return described


def sidecars_changed(described: Described, file: Path) -> bool:
    """Tell, without hashing, whether a recording's videos came, went or changed in size."""
    for sidecar in described["sidecars"]:
        now = describe_sidecars([sidecar["path"]], file.resolve().parent, hashed=False)[0]
        if (now["found"] is None) != (sidecar["sha256"] is None):
            return True
        if now["bytes"] != sidecar["bytes"]:
            return True
    return False
