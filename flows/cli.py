"""The `tectum` command."""

import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from flows import console
from flows.causal_cli import causal
from flows.lnm_cli import lnm
from flows.options import (
    CatalogueOption,
    DaskOption,
    JsonOption,
    LakeOption,
    RecordingsArgument,
    SessionArgument,
    SettingsOption,
    VerboseOption,
)
from schemas.errors import TectumError
from schemas.settings.workspace import WorkspaceSettings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="From recordings of brain and behaviour to a causal graph, a model and a virtual animal.",
)

app.add_typer(causal, name="causal")
app.add_typer(lnm, name="lnm")


@app.command()
def run(
    recordings: RecordingsArgument,
    lake: LakeOption = "lake",
    catalogue: CatalogueOption = "",
    settings: SettingsOption = None,
    dask: DaskOption = "threads",
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Take recordings through every stage, from the file to the report."""
    from flows.local import run_recordings

    console.start_logging(verbose=verbose)
    workspace = WorkspaceSettings(lake=lake, catalogue=catalogue, dask=dask)
    done = run_recordings(workspace, recordings, settings, as_json=as_json)
    raise typer.Exit(0 if done else 1)


@app.command()
def demo(
    recording: Annotated[
        str | None, typer.Option(help="A recording of your own in place of a simulated one.")
    ] = None,
    lake: LakeOption = "lake",
    catalogue: CatalogueOption = "",
    settings: SettingsOption = None,
    dask: DaskOption = "threads",
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Simulate an animal (or take a recording) and run the whole chain on it."""
    from flows.local import run_demo

    console.start_logging(verbose=verbose)
    workspace = WorkspaceSettings(lake=lake, catalogue=catalogue, dask=dask)
    done = run_demo(workspace, recording, settings, as_json=as_json)
    raise typer.Exit(0 if done else 1)


@app.command()
def validate(
    recordings: RecordingsArgument,
    settings: SettingsOption = None,
    notes: Annotated[bool, typer.Option("--notes", help="Also print what is only noted.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check recordings in full without ingesting them; exit status 1 if one cannot be used."""
    from flows.validate import validate_files

    usable = validate_files(recordings, settings, notes=notes, as_json=as_json)
    raise typer.Exit(0 if usable else 1)


@app.command()
def sessions(
    versions: Annotated[
        bool, typer.Option("--versions", help="List every version of every recording.")
    ] = False,
    lake: LakeOption = "lake",
    catalogue: CatalogueOption = "",
    as_json: JsonOption = False,
) -> None:
    """List the sessions in the catalogue, each with the verdict on its newest recording."""
    from flows.inspect import why_no_sessions
    from tasks.common.workspace import Workspace

    workspace = Workspace(WorkspaceSettings(lake=lake, catalogue=catalogue))
    known = workspace.catalogue
    frame = known.versions() if versions else known.sessions()
    if not versions and not as_json:
        # The name says subject and session; a terminal has room for little more.
        frame = frame[["name", "start_time", "verdict", "version", "artifacts"]]
    empty = "" if len(frame) else why_no_sessions(workspace)
    console.print_frame(frame, as_json=as_json, empty=empty)


@app.command("open")
def open_(
    session: SessionArgument,
    kind: Annotated[str, typer.Argument(help="Kind of artifact, or 'report'.")] = "aligned",
    lake: LakeOption = "lake",
    catalogue: CatalogueOption = "",
) -> None:
    """Show a session's data as xarray sees it, or open its report in the browser."""
    from tasks.common.workspace import Workspace

    workspace = Workspace(WorkspaceSettings(lake=lake, catalogue=catalogue))
    artifact = workspace.catalogue.latest(workspace.catalogue.find_session(session), kind)
    if kind == "report":
        page = workspace.lake.local_folder(artifact.ref) / "report.html"
        console.out.print(str(page), soft_wrap=True)
        webbrowser.open(page.as_uri())
        return
    name = workspace.catalogue.session_name(str(artifact.session_key))
    console.out.print(workspace.lake.open_tree(artifact.ref), markup=False)
    console.out.print(
        f'\nIn Python:  xr.open_datatree("tectum:{name}/{kind}", engine="tectum")', markup=False
    )


@app.command()
def lineage(
    artifact: Annotated[str, typer.Argument(help="Artifact id or its start.")],
    picture: Annotated[
        Path | None, typer.Option(help="Write the picture to this SVG file.")
    ] = None,
    rocrate: Annotated[Path | None, typer.Option(help="Export as RO-Crate to a folder.")] = None,
    openlineage: Annotated[Path | None, typer.Option(help="Export OpenLineage events.")] = None,
    lake: LakeOption = "lake",
    catalogue: CatalogueOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show what an artifact was made from, down to the raw bytes."""
    from flows.inspect import show_lineage

    workspace = WorkspaceSettings(lake=lake, catalogue=catalogue)
    show_lineage(
        workspace,
        artifact,
        picture=picture,
        rocrate=rocrate,
        openlineage=openlineage,
        as_json=as_json,
    )


@app.command()
def doctor(
    repair: Annotated[bool, typer.Option(help="Remove leftovers and mend the catalogue.")] = False,
    rehash: Annotated[bool, typer.Option(help="Read every byte and compare its hash.")] = False,
    lake: LakeOption = "lake",
    catalogue: CatalogueOption = "",
    as_json: JsonOption = False,
) -> None:
    """Find what a crash or a failing disk left behind, and mend it if asked."""
    from flows.inspect import examine_lake

    workspace = WorkspaceSettings(lake=lake, catalogue=catalogue)
    healthy = examine_lake(workspace, repair=repair, rehash=rehash, as_json=as_json)
    raise typer.Exit(0 if healthy else 1)


quarantine = typer.Typer(
    help="Recordings that could not be used: why, and how to let them out.",
    no_args_is_help=True,
)
app.add_typer(quarantine, name="quarantine")


@quarantine.command("list")
def quarantine_list(
    settled: Annotated[bool, typer.Option("--all", help="Also what has left it.")] = False,
    lake: LakeOption = "lake",
    catalogue: CatalogueOption = "",
    as_json: JsonOption = False,
) -> None:
    """List what lies in quarantine, since when and why."""
    from flows.quarantine import list_quarantine

    workspace = WorkspaceSettings(lake=lake, catalogue=catalogue)
    list_quarantine(workspace, as_json=as_json, settled=settled)


@quarantine.command("show")
def quarantine_show(
    entry: Annotated[str, typer.Argument(help="Id in quarantine, or its start.")],
    lake: LakeOption = "lake",
    catalogue: CatalogueOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show what is wrong with a recording, where, and what to do."""
    from flows.quarantine import show_entry

    show_entry(WorkspaceSettings(lake=lake, catalogue=catalogue), entry, as_json=as_json)


@quarantine.command("release")
def quarantine_release(
    entry: Annotated[str, typer.Argument(help="Id in quarantine, or its start.")],
    reason: Annotated[str, typer.Option(help="Why; kept in the lineage.")] = "",
    lake: LakeOption = "lake",
    catalogue: CatalogueOption = "",
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ingest a recording again: mended, or with its problem accepted."""
    from flows.quarantine import release_entry

    workspace = WorkspaceSettings(lake=lake, catalogue=catalogue)
    outcome = release_entry(workspace, entry, reason, settings, as_json=as_json)
    raise typer.Exit(0 if outcome.ref is not None else 1)


@app.command()
def settings(
    file: Annotated[Path | None, typer.Argument(help="YAML file to check and fill up.")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Print every stage's settings with their defaults and meaning, as YAML."""
    from schemas.settings.explain import explain_settings
    from schemas.settings.pipeline import PipelineSettings, load_settings

    if schema:
        console.print_json(PipelineSettings.model_json_schema())
        return
    values = load_settings(file)
    if as_json:
        console.print_json(values.model_dump(mode="json"))
    else:
        sys.stdout.write(explain_settings(values))


@app.command()
def serve(
    port: Annotated[int, typer.Option(help="Port of the server on 127.0.0.1.")] = 4200,
    lake: LakeOption = "lake",
    catalogue: CatalogueOption = "",
) -> None:
    """Start the Prefect server and page, a worker, and the nightly schedule."""
    from flows.inspect import start_services

    raise typer.Exit(start_services(WorkspaceSettings(lake=lake, catalogue=catalogue), port))


def main() -> None:
    """Run the command; errors of Tectum's own are one message, not a traceback."""
    try:
        app()
    except TectumError as error:
        console.err.print(f"[bold red]Error:[/] {console.plain(str(error))}", soft_wrap=True)
        sys.exit(1)
