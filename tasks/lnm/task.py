"""The lnm stage: aligned streams in; a trained model, verdicts and generated courses out."""

import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.entities import ArtifactRef, StageOutcome
from schemas.settings.lnm import LnmSettings
from schemas.settings.lnm_question import LnmQuestion
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.draft import Draft
from tasks.common.stage import Request, run_stage
from tasks.common.workspace import Workspace

if TYPE_CHECKING:
    import xarray as xr

    from tasks.lnm.results import Result


def train_lnm(
    workspace: WorkspaceSettings, aligned: ArtifactRef, settings: LnmSettings
) -> StageOutcome:
    """Train the large neural model on one session and judge it beside its baselines."""
    request = Request(kind="lnm", stage="lnm", settings=settings, parents=(aligned,))
    return run_stage(workspace, request, partial(_build, aligned=aligned, settings=settings))


def query_lnm(
    workspace: WorkspaceSettings,
    session: str,
    question: LnmQuestion,
    model: Path | None = None,
    out: Path | None = None,
) -> "xr.Dataset":
    """Ask a model about a session of the lake.

    Parameters
    ----------
    model : folder of a pulled model; None is the newest that was trained on the session
    out : Zarr folder that the answer is written to
    """
    from tasks.lnm.data.reading import open_for
    from tasks.lnm.network.trained import load_model
    from tasks.lnm.queries.questions import ask

    opened = Workspace(workspace)
    latest, key = opened.catalogue.latest, opened.catalogue.find_session(session)
    trained = load_model(model or opened.lake.local_folder(latest(key, "lnm").ref))
    aligned = opened.lake.open_tree(latest(key, "aligned").ref)
    answer = ask(trained, open_for(trained.columns, aligned), question)
    if out is not None:
        answer.to_zarr(out, mode="w", consolidated=False)
    return answer


def _build(draft: Draft, aligned: ArtifactRef, settings: LnmSettings) -> None:
    # Imported where it is needed: torch takes seconds, and a finished stage never gets here.
    from schemas.contracts.lnm import LNM
    from schemas.contracts.streams import ROOT_ATTRS
    from tasks.lnm.data.reading import open_source
    from tasks.lnm.network.trained import save_model
    from tasks.lnm.results import describe_scores, result_tree, train_and_examine
    from tasks.lnm.threads import limit_threads
    from tasks.lnm.training.curve_files import curves_to

    streams = draft.lake.open_tree(aligned)
    source = open_source(streams, events=settings.events)
    # Outside the draft, which a killed run leaves behind: the next one finds them by the id.
    checkpoints = draft.lake.root / "checkpoints" / draft.ref.id
    curves = draft.lake.root / "tensorboard" / draft.ref.id
    with limit_threads(settings.threads), curves_to(curves):
        result = train_and_examine(source, settings, checkpoints)
    tree = result_tree(result, {name: streams.attrs[name] for name in ROOT_ATTRS})
    draft.write_tree(tree, LNM)
    save_model(result.model, draft.path)
    _record(draft, result, settings)
    held_s = len(result.session.recording.time_T) / source.clock.rate_hz
    draft.fact("seconds_held_in_memory", held_s)
    shutil.rmtree(checkpoints, ignore_errors=True)
    draft.key_figure = describe_scores(result.exam.scores)


def _record(draft: Draft, result: "Result", settings: LnmSettings) -> None:
    draft.fact("seed", settings.seed)
    draft.fact("split", result.session.split.ranges(result.session.recording.time_T))
    time_T = result.session.recording.time_T
    draft.fact("used_seconds", [float(time_T[0]), float(time_T[-1])])
    draft.fact("window_samples", result.session.window)
    draft.fact("left_out_columns", result.left_out)
    draft.fact("skipped_tasks", result.exam.skipped)
    verdicts = [score.verdict for score in result.exam.scores]
    lost = verdicts.count("loss")
    draft.metric(
        "losses_to_baselines",
        lost,
        0,
        "pass" if lost == 0 else "warn",
        f"of {len(verdicts)} figures beside the baseline that validation chose",
    )
    draft.metric(
        "best_validation_loss",
        float(min(result.curves.validation_loss)),
        result.curves.validation_loss[0],
        "info",
        "in units of what the linear prediction costs; the bar is the untrained network's",
    )
