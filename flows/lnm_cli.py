"""`tectum lnm`: ask a trained model, hand it on, take one over."""

from pathlib import Path
from typing import Annotated

import typer

from flows import console
from flows.options import CatalogueOption, LakeOption, SessionArgument
from schemas.settings.workspace import WorkspaceSettings

lnm = typer.Typer(no_args_is_help=True, help="Ask a trained neural model, publish it, pull one.")


@lnm.command()
def query(
    session: SessionArgument,
    target: Annotated[list[str], typer.Option(help="Column or stream to predict; repeat.")],
    visible: Annotated[
        list[str] | None, typer.Option(help="Column or stream to see; all else by default.")
    ] = None,
    t0: Annotated[float, typer.Option(help="First second of the answer.")] = float("-inf"),
    t1: Annotated[float, typer.Option(help="Last second of the answer.")] = float("inf"),
    seen_until: Annotated[
        float | None, typer.Option(help="See nothing after this second: a forecast.")
    ] = None,
    samples: Annotated[int, typer.Option(help="Courses to draw.")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
    model: Annotated[
        Path | None, typer.Option(help="Folder of a pulled model; else the session's own.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the answer to this Zarr folder.")] = None,
    lake: LakeOption = "lake",
    catalogue: CatalogueOption = "",
) -> None:
    """Predict targets of a session from what is visible."""
    from tasks.common.workspace import Workspace
    from tasks.lnm.query import query as ask
    from tasks.lnm.recording import read_for
    from tasks.lnm.trained import load_model

    workspace = Workspace(WorkspaceSettings(lake=lake, catalogue=catalogue))
    key = workspace.catalogue.find_session(session)
    latest = workspace.catalogue.latest
    folder = model or workspace.lake.local_folder(latest(key, "lnm").ref)
    trained = load_model(folder)
    aligned = workspace.lake.open_tree(latest(key, "aligned").ref)
    recording = read_for(trained.columns, aligned)
    answer = ask(
        trained,
        recording,
        target,
        visible=visible,
        t0=t0,
        t1=t1,
        seen_until=seen_until,
        n_samples=samples,
        seed=seed,
    )
    if out is not None:
        answer.to_zarr(out, mode="w", consolidated=False)
    console.out.print(answer, markup=False)


@lnm.command()
def publish(
    session: SessionArgument,
    folder: Annotated[Path, typer.Argument(help="New folder for the model.")],
    licence: Annotated[str, typer.Option(help="Licence that the card names.")],
    lake: LakeOption = "lake",
    catalogue: CatalogueOption = "",
) -> None:
    """Write a session's model as a folder: weights, JSON and a card with its scores."""
    from tasks.common.workspace import Workspace
    from tasks.lnm.sharing import publish_model

    workspace = Workspace(WorkspaceSettings(lake=lake, catalogue=catalogue))
    ref = workspace.catalogue.latest(workspace.catalogue.find_session(session), "lnm").ref
    tree = workspace.lake.open_tree(ref)
    origin = {
        "artifact": ref.id,
        "session": str(tree.attrs["session_name"]),
        "subject": str(tree.attrs["subject_id"]),
        "split in seconds": str(tree.attrs["split"]),
    }
    scores = tree["scores"].to_dataset().load()
    made = publish_model(workspace.lake.local_folder(ref), folder, scores, origin, licence)
    console.out.print(f"Published to {made}", markup=False)


@lnm.command()
def pull(
    source: Annotated[Path, typer.Argument(help="Folder of a published model.")],
    folder: Annotated[Path, typer.Argument(help="Where to put it.")],
) -> None:
    """Take over a published model, after checking that it loads."""
    from tasks.lnm.sharing import pull_model

    model = pull_model(source, folder)
    console.out.print(
        f"{len(model.columns.names)} columns, windows of {model.window} samples at "
        f"{model.rate_hz:g} Hz",
        markup=False,
    )
