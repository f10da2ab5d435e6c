"""`tectum lnm`: train on several sessions, ask a model, adapt it, take it apart, hand it on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows import console
from flows.options import CatalogueOption, LakeOption, SessionArgument, SettingsOption
from schemas.settings.lnm import LnmSettings
from schemas.settings.lnm_question import LnmQuestion, Task
from schemas.settings.pipeline import load_settings
from schemas.settings.workspace import WorkspaceSettings

if TYPE_CHECKING:
    import xarray as xr

    from tasks.common.workspace import Workspace
    from tasks.lnm.data.reading import Source

lnm = typer.Typer(
    no_args_is_help=True, help="Ask a trained neural model, adapt it, publish it, pull one."
)
OutOption = Annotated[Path | None, typer.Option(help="Write the answer to this Zarr folder.")]


@lnm.command()
def query(
    session: SessionArgument,
    task: Annotated[
        Task,
        typer.Option(
            help="impute: targets from what is visible. decode: behaviour from neurons. encode: "
            "neurons from behaviour. forecast: all after --seen-until. generate: --seconds of all. "
            "score: every task between t0 and t1. embed: hidden states. probe: what layers know."
        ),
    ] = "impute",
    target: Annotated[
        list[str] | None, typer.Option(help="Column or stream to predict; repeat.")
    ] = None,
    visible: Annotated[
        list[str] | None,
        typer.Option(
            help="Column or stream to see; all else by default. Of a generated course: what is "
            "given, from --t0 on."
        ),
    ] = None,
    t0: Annotated[float | None, typer.Option(help="First second of the answer.")] = None,
    t1: Annotated[float | None, typer.Option(help="Last second of the answer.")] = None,
    seen_until: Annotated[
        float | None, typer.Option(help="See nothing after this second: a forecast.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="Length of a forecast or generated course.")] = 1.0,
    samples: Annotated[int, typer.Option(help="Courses to draw.")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
    model: Annotated[
        Path | None, typer.Option(help="Folder of a pulled model; else the session's own.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the answer beside what was recorded: an HTML page.")
    ] = None,
    out: OutOption = None,
    lake: LakeOption = "lake",
    catalogue: CatalogueOption = "",
) -> None:
    """Ask a model about a session: predict, score, embed, probe."""
    from tasks.lnm.task import query_lnm
    from tasks.report.answers import write_answer

    question = LnmQuestion(
        task=task,
        targets=tuple(target or ()),
        visible=None if visible is None else tuple(visible),
        t0=t0,
        t1=t1,
        seen_until=seen_until,
        seconds=seconds,
        n_samples=samples,
        seed=seed,
    )
    settings = WorkspaceSettings(lake=lake, catalogue=catalogue)
    answer = query_lnm(settings, session, question, model, out)
    if plot is not None:
        write_answer(settings, session, answer, f"{session}: {task}", plot)
    console.out.print(answer, markup=False)


@lnm.command()
def train(
    sessions: Annotated[list[str], typer.Argument(help="Sessions that share one core.")],
    folder: Annotated[Path, typer.Option(help="A model for each session goes below it.")],
    settings: SettingsOption = None,
    lake: LakeOption = "lake",
    catalogue: CatalogueOption = "",
) -> None:
    """Train one core on several sessions; `query --model FOLDER/SESSION` asks what comes of it."""
    from tasks.lnm.network.trained import save_model
    from tasks.lnm.threads import limit_threads
    from tasks.lnm.training.curve_files import curves_to
    from tasks.lnm.training.session import divide_recording
    from tasks.lnm.training.train import train_models

    workspace, own = _workspace(lake, catalogue), load_settings(settings).lnm
    sources = [_aligned(workspace, name, own) for name in sessions]
    watched = curves_to(folder / "tensorboard")
    with limit_threads(own.threads), console.show_progress(quiet=False), watched:
        prepared = [divide_recording(source, own) for source in sources]
        models, curves = train_models(prepared, own)
    for name, model in zip(sessions, models, strict=True):
        made = folder / name
        made.mkdir(parents=True, exist_ok=True)
        save_model(model, made)
        console.out.print(f"{name}: {made}", markup=False)
    console.out.print(f"{curves.latest} (best at step {curves.best_step})", markup=False)


@lnm.command()
def adapt(
    session: SessionArgument,
    base: Annotated[
        list[str], typer.Option("--from", help="Session to learn from first; repeat for several.")
    ],
    minutes: Annotated[
        list[float] | None, typer.Option(help="Minutes of the new session; repeat. 1, 2 and 4.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Write the curve and its tables as this HTML page.")
    ] = None,
    out: OutOption = None,
    settings: SettingsOption = None,
    lake: LakeOption = "lake",
    catalogue: CatalogueOption = "",
) -> None:
    """Take a model of some sessions to a new one: scores over minutes, beside scratch and ridge."""
    from tasks.lnm.adaptation import few_shot_curve, pretrain
    from tasks.lnm.tables import summarise_curve, write_curve
    from tasks.lnm.threads import limit_threads

    workspace, own = _workspace(lake, catalogue), load_settings(settings).lnm
    known = [_aligned(workspace, name, own) for name in base]
    new = _aligned(workspace, session, own)
    with limit_threads(own.threads), console.show_progress(quiet=False):
        spent = minutes or [1.0, 2.0, 4.0]
        curve = few_shot_curve(new, spent, pretrain(known, spent, own), own)
    if plot is not None:
        write_curve(curve, f"{session}, learnt from {', '.join(base)}", plot)
    _show_scores(curve, "predictor", out)
    console.out.print(summarise_curve(curve), markup=False, soft_wrap=True)


@lnm.command()
def ablate(
    session: SessionArgument,
    out: OutOption = None,
    settings: SettingsOption = None,
    lake: LakeOption = "lake",
    catalogue: CatalogueOption = "",
) -> None:
    """Train on a session, then score it with parts of its input, or of the model, taken away."""
    from tasks.lnm.ablation import ablate as take_apart
    from tasks.lnm.evaluation import examine
    from tasks.lnm.results import prepare_and_train
    from tasks.lnm.threads import limit_threads

    workspace, own = _workspace(lake, catalogue), load_settings(settings).lnm
    source = _aligned(workspace, session, own)
    with limit_threads(own.threads), console.show_progress(quiet=False):
        prepared, model, _ = prepare_and_train(source, own)
        whole = examine(model, prepared, own).scores
        found = take_apart(model, prepared, whole, own)
    _show_scores(found, "variant", out)


@lnm.command()
def publish(
    session: SessionArgument,
    folder: Annotated[Path, typer.Argument(help="New folder for the model.")],
    licence: Annotated[str, typer.Option(help="Licence that the card names.")],
    lake: LakeOption = "lake",
    catalogue: CatalogueOption = "",
) -> None:
    """Write a session's model as a folder: weights, JSON and a card with its scores."""
    from tasks.lnm.queries.sharing import publish_model

    workspace = _workspace(lake, catalogue)
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
    from tasks.lnm.queries.sharing import pull_model

    model = pull_model(source, folder)
    console.out.print(
        f"{len(model.columns.names)} columns, windows of {model.window} samples at "
        f"{model.rate_hz:g} Hz",
        markup=False,
    )


def _show_scores(found: "xr.Dataset", over: str, out: Path | None) -> None:
    from tasks.lnm.tables import tabulate

    if out is not None:
        found.to_zarr(out, mode="w", consolidated=False)
    console.out.print(tabulate(found, over), markup=False, soft_wrap=True)


def _workspace(lake: str, catalogue: str) -> "Workspace":
    from tasks.common.workspace import Workspace

    return Workspace(WorkspaceSettings(lake=lake, catalogue=catalogue))


def _aligned(workspace: "Workspace", session: str, settings: LnmSettings) -> "Source":
    from tasks.lnm.data.reading import open_source

    catalogue = workspace.catalogue
    key = catalogue.find_session(session)
    tree = workspace.lake.open_tree(catalogue.latest(key, "aligned").ref)
    return open_source(tree, catalogue.session(key).subject.species, settings.events)
