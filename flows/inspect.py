"""Looking into a lake from the command line: lineage, health; and starting its services."""

import os
import subprocess
import sys
from pathlib import Path

from flows import console
from schemas.errors import NotFoundError
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.doctor import examine, repair_problems
from tasks.common.lineage import trace_lineage
from tasks.common.lineage_export import export_openlineage, export_rocrate
from tasks.common.lineage_picture import draw_lineage
from tasks.common.workspace import Workspace

SERVE = Path(__file__).resolve().parents[1] / "deployments" / "serve.py"


def show_lineage(
    settings: WorkspaceSettings,
    text: str,
    *,
    picture: Path | None,
    rocrate: Path | None,
    openlineage: Path | None,
    as_json: bool,
) -> None:
    """Print an artifact's lineage as a tree and write the exports that are asked for."""
    workspace = Workspace(settings)
    ref = workspace.catalogue.get(text).ref
    graph = trace_lineage(workspace.catalogue, ref)
    if picture is not None:
        picture.write_text(draw_lineage(graph).svg, encoding="utf-8")
    if rocrate is not None:
        export_rocrate(workspace, ref, rocrate)
    if openlineage is not None:
        export_openlineage(workspace, ref, openlineage)
    if as_json:
        console.print_json(graph.to_plain())
    else:
        console.out.print(graph.to_tree())


def examine_lake(settings: WorkspaceSettings, *, repair: bool, rehash: bool, as_json: bool) -> bool:
    """Print what is wrong with a lake, mend it if asked; whether it is (now) healthy."""
    workspace = Workspace(settings)
    problems = examine(workspace, rehash=rehash)
    mended = repair_problems(workspace, problems) if repair else []
    if as_json:
        console.print_json(
            {"problems": [str(p) for p in problems], "mended": [str(p) for p in mended]}
        )
    elif not problems:
        console.out.print("The lake is healthy.")
    else:
        for problem in problems:
            console.out.print(("mended: " if problem in mended else "found: ") + str(problem))
        if not repair:
            console.out.print("Run 'tectum doctor --repair' to mend what can be mended.")
    return len(problems) == len(mended)


def why_no_sessions(workspace: Workspace) -> str:
    """Say what to do where the catalogue lists no session: a lake may be full all the same."""
    if count := len(workspace.lake.folders()):
        return (
            f"This catalogue lists none of the {count:,} artifacts in {workspace.lake.where}. "
            "'tectum doctor --repair' writes their rows; or set TECTUM_CATALOGUE to the catalogue "
            "that they are in."
        )
    return "No sessions yet. Start with 'tectum run FILE.nwb'."


def start_services(settings: WorkspaceSettings, port: int) -> int:
    """Run deployments/serve.py until it is interrupted; return its exit status."""
    if not SERVE.is_file():
        raise NotFoundError(
            "the deployments folder is not beside the flows.",
            where=str(SERVE.parent),
            remedy="Run 'tectum serve' from a checkout of Tectum.",
        )
    environment = {
        **os.environ,
        "TECTUM_LAKE": settings.lake,
        "TECTUM_CATALOGUE": settings.catalogue,
    }
    command = [sys.executable, str(SERVE), "--port", str(port)]
    return subprocess.run(command, env=environment, check=False).returncode
