"""Where recordings go that cannot be used: with the reason, and with a way back.

An entry is a row of the catalogue and a folder of the lake with `reason.json`. Files of the landing
folder are moved there; a user's own file elsewhere stays where it is. An entry that was settled,
because the file was released, mended or came again whole, keeps its row and says so.
"""

import getpass
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from schemas.entities import now
from schemas.errors import NotFoundError, RecordingError
from tasks.common.catalogue import Catalogue
from tasks.common.digest import hash_file
from tasks.common.lake import Lake
from tasks.common.remote import is_url
from tasks.ingest.folders import Content, tree_sha256

REASON_NAME = "reason.json"
ACCEPTABLE = frozenset({"leads_outside", "claims_too_much", "too_many_objects"})
"""Problems that a user may accept: the file can be read, but costs or reaches more than usual."""

FLEETING = frozenset({"stalled", "crashed", "failed", "out_of_memory"})
"""What may have been the machine's fault: looked at again when the same bytes come again."""

DAMAGE = FLEETING | {"empty", "not_hdf5", "damaged", "unreadable"}
"""What a file that is still being copied looks like."""

RETRIED = FLEETING | {"chunk_too_large"}
"""What another setting may cure: such a file is simply tried again on release."""

Entry = dict[str, Any]
"""What is known of a file in quarantine, as JSON values: the content of reason.json."""


def quarantine_folder(lake: Lake, byte_sha256: str) -> Path:
    """Return the folder of a file in quarantine."""
    return lake.quarantine / byte_sha256[:16]


def describe_reason(path: str, content: Content, error: RecordingError) -> Entry:
    """Return why a recording cannot be used, as JSON."""
    return {
        "id": content.sha256[:16],
        "path": printable(path),
        "bytes": content.size,
        "byte_sha256": content.sha256,
        "problem": error.problem,
        "what": printable(error.what),
        "where": printable(error.where),
        "remedy": error.remedy,
        "acceptable": error.problem in ACCEPTABLE,
        "when": now().isoformat(timespec="seconds"),
    }


def printable(text: str) -> str:
    """Return text that every terminal, file and database takes: file names may hold anything."""
    plain = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in plain)


def identify_file(file: Path) -> Content:
    """Return what stands for a file, folder or link of this machine in quarantine."""
    sizes = [part.lstat().st_size for part in (file, *file.rglob("*")) if not part.is_dir()]
    return Content(identify_bytes(file), sum(sizes))


def identify_bytes(file: Path) -> str:
    """Return the hash that stands for a file in quarantine; of a link, where it leads."""
    if file.is_symlink():
        return hashlib.sha256(f"link to {str(file.readlink())!a}".encode()).hexdigest()
    return tree_sha256(file) if file.is_dir() else hash_file(file)


def put_in_quarantine(lake: Lake, catalogue: Catalogue, file: Path | None, reason: Entry) -> Path:
    """Write the reason down, and move the file there if it lay in the lake's landing folder.

    A user's own file elsewhere is never moved, and one on another machine (None) is not kept.
    Returns the quarantine folder.
    """
    byte_sha256 = reason["byte_sha256"]
    before = catalogue.quarantine_reason(byte_sha256) or {}
    reason = {**reason, "releases": before.get("releases", [])}
    folder = quarantine_folder(lake, byte_sha256)
    folder.mkdir(parents=True, exist_ok=True)
    write_reason(folder, reason)
    catalogue.add_quarantine(byte_sha256, reason["path"], reason)
    if file is not None and in_landing(lake, file):
        shutil.move(file, folder / file.name)
    return folder


def write_reason(folder: Path, reason: Entry) -> None:
    """Write reason.json, whole or not at all."""
    draft = folder / f".{REASON_NAME}.{os.getpid()}"
    text = json.dumps(reason, indent=2, sort_keys=True) + "\n"
    draft.write_text(text, encoding="utf-8")
    draft.replace(folder / REASON_NAME)


def in_landing(lake: Lake, file: Path) -> bool:
    """Tell whether a file, or a link to one, lies in the landing folder."""
    return (file.parent.resolve() / file.name).is_relative_to(lake.landing.resolve())


def releases_of(catalogue: Catalogue, byte_sha256: str) -> list[Entry]:
    """Return what users have accepted of a file: problem, what, by, when, why."""
    reason = catalogue.quarantine_reason(byte_sha256) or {}
    return list(reason.get("releases", ()))


def accepted_problems(catalogue: Catalogue, byte_sha256: str) -> tuple[str, ...]:
    """Return the problems of a file that a user has accepted on release."""
    return tuple(release["problem"] for release in releases_of(catalogue, byte_sha256))


def settle_entries(lake: Lake, catalogue: Catalogue, byte_sha256: str, path: str) -> None:
    """Settle the entries of a file that can be used after all.

    `byte_sha256` finds the entry of the very file, `path` that of a bad file it has replaced.
    """
    for reason in catalogue.quarantine_reasons():
        same = reason["byte_sha256"] == byte_sha256
        if reason.get("settled") or not (same or reason["path"] == printable(path)):
            continue
        how = ("released" if reason.get("releases") else "usable") if same else "replaced"
        settled = {**reason, "settled": how, "settled_when": now().isoformat(timespec="seconds")}
        catalogue.add_quarantine(settled["byte_sha256"], settled["path"], settled)
        folder = quarantine_folder(lake, settled["byte_sha256"])
        if folder.is_dir():
            write_reason(folder, settled)


def find_entry(catalogue: Catalogue, text: str) -> Entry:
    """Return the one entry whose id starts with `text`, settled or not.

    Raises
    ------
    NotFoundError
        None, or more than one.
    """
    reasons = catalogue.quarantine_reasons()
    fitting = [r for r in reasons if text and r["byte_sha256"].startswith(text)]
    if len(fitting) == 1:
        return fitting[0]
    problem = "several recordings in quarantine fit" if fitting else "nothing in quarantine has id"
    listed = ", ".join(r["byte_sha256"][:16] for r in fitting or reasons) or "none"
    raise NotFoundError(f"{problem} '{text}'.", remedy=f"In quarantine: {listed}.")


def release_file(lake: Lake, catalogue: Catalogue, entry: Entry, why: str) -> str:
    """Let a file out of quarantine, to be ingested again; return its path now, or its URL.

    A file that is as it was is let out if its problem may be accepted, which is written down with
    who, when and why. A file that was mended meanwhile, in quarantine or where it came from, is
    simply tried again, and so is one that time, memory or a setting kept from being read. One
    that came from the landing folder goes back there. Whether one on another machine was mended
    shows when it is fetched again.

    Raises
    ------
    RecordingError
        The file is as it was, and its problem cannot be accepted.
    NotFoundError
        The file is neither in quarantine nor where it was.
    """
    if is_url(entry["path"]):
        if entry["problem"] in ACCEPTABLE:
            _accept(lake, catalogue, entry, why)
        return str(entry["path"])
    kept = quarantine_folder(lake, entry["byte_sha256"]) / Path(entry["path"]).name
    original = Path(entry["path"])
    present = [path for path in (kept, original) if path.exists() or path.is_symlink()]
    if not present:
        raise NotFoundError(
            "the file is neither in quarantine nor where it was.",
            where=f"{kept}, {original}",
            remedy="Put it back in its old place and ingest it again.",
        )
    mended = [path for path in present if identify_bytes(path) != entry["byte_sha256"]]
    file = (mended or present)[0]
    if not mended and entry["problem"] not in RETRIED:
        _accept(lake, catalogue, entry, why)
    if file != kept or original.exists():
        return str(file)
    original.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(kept, original)
    return str(original)


def _accept(lake: Lake, catalogue: Catalogue, entry: Entry, why: str) -> None:
    """Write down that a user accepts the problem of a file."""
    if entry["problem"] not in ACCEPTABLE:
        raise RecordingError(
            f"the file is as it was, and this cannot be accepted: {entry['what']}",
            where=entry["where"],
            remedy=entry["remedy"] or "Mend the file, then release it again.",
            problem=entry["problem"],
        )
    release = {
        "problem": entry["problem"],
        "what": entry["what"],
        "by": getpass.getuser(),
        "when": now().isoformat(timespec="seconds"),
        "why": why,
    }
    entry = {**entry, "releases": [*entry.get("releases", []), release]}
    write_reason(quarantine_folder(lake, entry["byte_sha256"]), entry)
    catalogue.add_quarantine(entry["byte_sha256"], entry["path"], entry)
