"""`tectum causal`: what a graph will cost, and taking it elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from flows import console
from flows.options import CatalogueOption, LakeOption, SessionArgument, SettingsOption
from schemas.settings.workspace import WorkspaceSettings

causal = typer.Typer(no_args_is_help=True, help="Plan a causal graph, or export one.")


@causal.command()
def plan(
    session: SessionArgument,
    settings: SettingsOption = None,
    lake: LakeOption = "lake",
    catalogue: CatalogueOption = "",
) -> None:
    """Say what the session's graph will cost on this machine; nothing is started."""
    from schemas.settings.pipeline import load_settings
    from tasks.causal.nodes import count_nodes
    from tasks.causal.plan import describe_plan, plan_cross_map
    from tasks.common.workspace import Workspace

    chosen = load_settings(settings).causal
    aligned = Workspace(WorkspaceSettings(lake=lake, catalogue=catalogue)).open(session, "aligned")
    plan = plan_cross_map(*count_nodes(aligned, chosen), chosen)
    console.out.print(describe_plan(plan), markup=False)


@causal.command()
def export(
    session: SessionArgument,
    target: Annotated[Path, typer.Argument(help="File: .graphml, .parquet or .csv.")],
    lake: LakeOption = "lake",
    catalogue: CatalogueOption = "",
) -> None:
    """Write a session's graph for other tools, and print its hubs and the drivers of behaviour."""
    from tasks.causal import export as exports
    from tasks.common.workspace import Workspace

    tree = (
        Workspace(WorkspaceSettings(lake=lake, catalogue=catalogue)).open(session, "causal").load()
    )
    exports.write_graph(tree, target)
    console.out.print(f"{len(exports.edge_table(tree)):,} edges -> {target}", markup=False)
    drivers = exports.drivers_of_behaviour(tree)
    shown = [name for name in ("effect", "cause", "skill", "lag_s", "label") if name in drivers]
    for title, frame in (
        ("Hubs", exports.find_hubs(tree)),
        (
            "Drivers of behaviour, the strongest three of each",
            drivers.groupby("effect").head(3)[shown],
        ),
        ("Share of pairs that drive, by region", exports.region_by_region(tree).round(3)),
    ):
        told = frame.to_string() if len(frame) else "none"
        console.out.print(f"\n{title}\n{told}", markup=False, soft_wrap=True)
    if undriven := exports.undriven_behaviour(tree):
        console.out.print(f"\nNo neuron was found to drive: {', '.join(undriven)}", markup=False)
