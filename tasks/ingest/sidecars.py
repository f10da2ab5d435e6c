"""Files beside an NWB file that belong to the recording: its videos."""

import re
from pathlib import Path
from typing import Any

from tasks.common.digest import hash_file
from tasks.ingest.folders import allowed_folders

Described = dict[str, Any]
"""What is known of a recording or of a part of it, as JSON values."""


FILM_SUFFIXES = frozenset({
    ".avi", ".h264", ".m4v", ".mj2", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv",
})  # fmt: skip


def is_remote(written: str) -> bool:
    """Tell whether a path is a URL."""
    return re.match(r"^[a-z][a-z0-9+.-]+://", written) is not None


def resolve_sidecar(
    written: str, folder: Path | None, trusted: tuple[str, ...] = ()
) -> Path | None:
    """Return the file that an NWB file in `folder` means by a path, None if it may not be opened.

    A path that another machine wrote in full is also looked for by its name beside the NWB file.
    """
    there = candidates(written, folder)
    return next((path for path in there if _may_be_opened(path, folder, trusted)), None)


def candidates(written: str, folder: Path | None) -> list[Path]:
    """Return the files that a path may mean and that are there, whether or not to be opened."""
    if folder is None:
        return []
    plain = written.replace("\\", "/")
    found: list[Path] = []
    for candidate in (folder / plain, folder / Path(plain).name):
        try:
            if candidate.is_file():
                found.append(candidate.resolve())
        except OSError:
            # A name that no file system holds.
            continue
    return found


def _may_be_opened(path: Path, folder: Path | None, trusted: tuple[str, ...]) -> bool:
    """Tell whether a recording may make us read a file: any path can be written into it.

    Its own folder and the trusted ones are open to it; of the folders beside its own, the films.
    """
    if folder is None:
        return False
    roots = allowed_folders(folder, trusted)
    if any(path.is_relative_to(root) for root in roots):
        return True
    return path.suffix.lower() in FILM_SUFFIXES and path.is_relative_to(roots[0].parent)


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
    written: list[str], folder: Path | None, trusted: tuple[str, ...] = (), *, hashed: bool = True
) -> list[dict[str, Any]]:
    """Return path, size and hash of each sidecar; null where it is not there."""
    described: list[dict[str, Any]] = []
    for name in sorted(set(written)):
        path = None if is_remote(name) else resolve_sidecar(name, folder, trusted)
        described.append(
            {
                "path": name,
                "found": None if path is None else str(path),
                "bytes": None if path is None else path.stat().st_size,
                "sha256": hash_file(path) if path is not None and hashed else None,
            }
        )
    return described


def sidecars_changed(described: Described, file: Path, trusted: tuple[str, ...] = ()) -> bool:
    """Tell, without hashing, whether a recording's videos came, went or changed in size."""
    for sidecar in described["sidecars"]:
        folder = file.resolve().parent
        now = describe_sidecars([sidecar["path"]], folder, trusted, hashed=False)[0]
        if (now["found"] is None) != (sidecar["sha256"] is None):
            return True
        if now["bytes"] != sidecar["bytes"]:
            return True
    return False
