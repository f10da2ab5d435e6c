"""`tectum validate`: what is odd about recordings, before anything is ingested."""

from pathlib import Path

from rich.table import Column, Table

from flows import console
from schemas.settings.pipeline import load_settings
from tasks.ingest.validate import QUARANTINED, Validation, validate_recording

STYLES = {"error": "bold red", "warning": "yellow", "info": "dim"}


def validate_files(files: list[str], settings: Path | None, *, notes: bool, as_json: bool) -> bool:
    """Print each file's verdict and findings; whether none would be quarantined."""
    ingest = load_settings(settings).ingest
    with console.show_progress(quiet=as_json):
        done = [validate_recording(file, ingest) for file in files]
    if as_json:
        console.print_json([one.model_dump(mode="json") for one in done])
    else:
        console.out.print(_summary(done))
        for one in done:
            _print_findings(one, notes=notes)
    return all(one.verdict != QUARANTINED for one in done)


def _summary(done: list[Validation]) -> Table:
    told = (Column("verdict", max_width=11), Column("streams", max_width=12))
    file = Column("file", overflow="fold", min_width=19)
    table = Table(file, *told, "errors", "warnings", "notes")
    for one in done:
        style = "bold red" if one.verdict == QUARANTINED else "green"
        counts = [str(one.count(severity)) for severity in ("error", "warning", "info")]
        name = console.plain(Path(one.path).name)
        table.add_row(name, f"[{style}]{one.verdict}[/]", one.kinds or "none", *counts)
    return table


def _print_findings(one: Validation, *, notes: bool) -> None:
    """Print what, where and what to do; notes only where they are asked for."""
    shown = [finding for finding in one.findings if notes or finding.severity != "info"]
    if not shown:
        return
    console.out.print(f"\n[bold]{console.plain(one.path)}[/]", soft_wrap=True)
    for finding in shown:
        console.out.print(
            f"  [{STYLES[finding.severity]}]{finding.severity}[/] [cyan]{finding.code}[/] "
            f"{console.plain(finding.place())}\n    {console.plain(finding.what)}"
        )
        for text in (finding.repair, finding.remedy):
            if text:
                console.out.print(f"    [dim]{console.plain(text)}[/]")
