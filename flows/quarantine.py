"""The quarantine from the command line: what lies there and why, and the way out."""

from pathlib import Path
from typing import Any

from rich.table import Table

from flows import console
from schemas.entities import StageOutcome
from schemas.settings.pipeline import load_settings
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.workspace import Workspace
from tasks.ingest.quarantine import find_entry, release_file
from tasks.ingest.task import ingest_recording

SHOWN = ("id", "path", "bytes", "when", "problem", "what", "where", "remedy", "acceptable")
SHOWN_IF_ANY = ("settled", "settled_when")


def list_quarantine(settings: WorkspaceSettings, *, as_json: bool, settled: bool) -> None:
    """Print what lies in quarantine, since when and why; with `settled`, also what left it."""
    entries = [
        entry
        for entry in Workspace(settings).catalogue.quarantine_reasons()
        if settled or not entry.get("settled")
    ]
    if as_json:
        console.print_json(entries)
    elif not entries:
        console.out.print("The quarantine is empty.")
    else:
        table = Table("id", "recording", "since", "why", *(["left as"] if settled else []))
        for entry in entries:
            cells = [entry["byte_sha256"][:16], Path(entry["path"]).name, entry.get("when", "")]
            cells += [entry.get("what", ""), *([entry.get("settled", "")] if settled else [])]
            table.add_row(*map(console.plain, cells))
        console.out.print(table)
        console.out.print("'tectum quarantine show ID' says where, and what to do.")


def show_entry(settings: WorkspaceSettings, text: str, *, as_json: bool) -> None:
    """Print all that is known of one recording in quarantine."""
    entry = find_entry(Workspace(settings).catalogue, text)
    if as_json:
        console.print_json(entry)
        return
    lines = [(name, _worded(entry.get(name, ""))) for name in SHOWN]
    lines += [(name, entry[name]) for name in SHOWN_IF_ANY if entry.get(name)]
    for release in entry.get("releases", ()):
        told = f"{release['problem']} accepted by {release['by']} on {release['when']}"
        lines.append(("release", f"{told}: {release['why'] or 'no reason given'}"))
    for name, value in lines:
        # In one piece: paths are there to be copied.
        console.out.print(f"[dim]{name:<12}[/]  {console.plain(value)}", soft_wrap=True)


def release_entry(
    settings: WorkspaceSettings, text: str, why: str, file: Path | None, *, as_json: bool
) -> StageOutcome:
    """Let a recording out of quarantine and ingest it again; print how that went.

    Raises
    ------
    RecordingError
        The file is as it was, and its problem cannot be accepted.
    """
    space = Workspace(settings)
    entry = find_entry(space.catalogue, text)
    path = release_file(space.lake, space.catalogue, entry, why)
    outcome = ingest_recording(settings, path, load_settings(file).ingest)
    if as_json:
        console.print_json({"path": path, "outcome": outcome.model_dump(mode="json")})
        return outcome
    console.print_outcomes(Path(path).name, [outcome])
    if outcome.ref is not None:
        console.out.print(f"Run 'tectum run {path}' for the stages after it.", soft_wrap=True)
    return outcome


def _worded(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
