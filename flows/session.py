"""Flows over one session: the whole chain, or one analysis of it."""

from contextlib import suppress
from pathlib import Path

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.chain import Chain, Task, process_recording, report_session
from flows.prefect_tasks import call_as_task
from flows.presentation import PrefectProgress, final_state, show_outcomes
from schemas.entities import RunState, StageOutcome
from schemas.errors import NotFoundError
from schemas.settings.base import StageSettings
from schemas.settings.causal import CausalSettings
from schemas.settings.lnm import LnmSettings
from schemas.settings.lnm_question import LnmQuestion
from schemas.settings.pipeline import PipelineSettings
from schemas.settings.twin import TwinSettings
from tasks.causal.task import extract_causal_graph
from tasks.common.environment import workspace_from_environment
from tasks.common.progress import progress_to
from tasks.common.workspace import Workspace
from tasks.lnm.task import query_lnm, train_lnm
from tasks.twin.task import animate_twin

DEFAULTS = PipelineSettings()
SCORES = LnmQuestion(task="score")
ON_AXIS = {"aligned streams": "aligned"}


@flow(name="process-session", flow_run_name="process {recording}", persist_result=False)
def process_session(recording: str, settings: PipelineSettings = DEFAULTS) -> State:
    """Take one recording through every stage, from the NWB file to the report.

    Args:
        recording: Path of an NWB file on the machine of the worker.
        settings: What each stage does; the defaults suit most recordings.
    """
    chain = _chain()
    with progress_to(PrefectProgress()):
        process_recording(chain, recording, settings)
    return _finish(chain)


@flow(name="extract-causal-graph", flow_run_name="causal graph of {session}", persist_result=False)
def extract_graph(session: str, settings: CausalSettings = DEFAULTS.causal) -> State:
    """Find which neurons drive which, and which drive behaviour.

    Args:
        session: Name of a session in the catalogue, as 'tectum sessions' lists it.
        settings: Settings of the cross mapping.
    """
    return _analyse(session, "causal", extract_causal_graph, ON_AXIS, settings)


@flow(name="train-lnm", flow_run_name="LNM of {session}", persist_result=False)
def train_model(session: str, settings: LnmSettings = DEFAULTS.lnm) -> State:
    """Train the large neural model on a session and judge it against baselines.

    Args:
        session: Name of a session in the catalogue, as 'tectum sessions' lists it.
        settings: Settings of the model, its training and its evaluation.
    """
    return _analyse(session, "lnm", train_lnm, ON_AXIS, settings)


@flow(
    name="query-lnm",
    flow_run_name="LNM of {session} asked to {question.task}",
    persist_result=False,
)
def query_model(
    session: str, question: LnmQuestion = SCORES, out: str = "", plot: str = ""
) -> State:
    """Ask the newest model of a session; the answer is shown, and written where it is wanted.

    Args:
        session: Name of a session in the catalogue, as 'tectum sessions' lists it.
        question: What is asked, and of which time.
        out: New Zarr folder on the machine of the worker for the answer; empty for none.
        plot: HTML page there that draws it beside what was recorded; empty for none.
    """
    folder, workspace = Path(out) if out else None, workspace_from_environment()
    answer = query_lnm(workspace, session, question, out=folder)
    if plot:
        # Imported where it is needed: plotly takes a second.
        from tasks.report.answers import write_answer

        write_answer(workspace, session, answer, f"{session}: {question.task}", Path(plot))
    create_markdown_artifact(f"```\n{answer}\n```", key="lnm-answer", description=question.task)
    return Completed(message=f"{question.task}: {dict(answer.sizes)}")


@flow(name="animate-twin", flow_run_name="twin of {session}", persist_result=False)
def animate(session: str, settings: TwinSettings = DEFAULTS.twin) -> State:
    """Let the virtual animal of a session behave, and compare it with the real one.

    Args:
        session: Name of a session in the catalogue, as 'tectum sessions' lists it.
        settings: Settings of the generative network and of the comparison.
    """
    needs = {**ON_AXIS, "the causal graph": "causal"}
    return _analyse(session, "twin", animate_twin, needs, settings)


@flow(name="write-report", flow_run_name="report of {session}", persist_result=False)
def write_session_report(session: str, settings: PipelineSettings = DEFAULTS) -> State:
    """Write the page of a session from the newest artifact of each kind.

    Args:
        session: Name of a session in the catalogue, as 'tectum sessions' lists it.
        settings: Only the report's part is used.
    """
    chain = _chain()
    for kind in ("streams", "preprocessed", "sync", "aligned", "causal", "twin", "lnm"):
        with suppress(NotFoundError):
            chain.outcomes.append(_made(session, kind))
    report_session(chain, settings)
    return _finish(chain)


def _analyse(
    session: str, stage: str, task: Task, needs: dict[str, str], settings: StageSettings
) -> State:
    """Run one stage on the newest artifacts of a session; `needs` says which kinds."""
    chain = _chain()
    made = {name: _made(session, kind) for name, kind in needs.items()}
    with progress_to(PrefectProgress()):
        chain.run(stage, task, made, settings)
    return _finish(chain)


def _chain() -> Chain:
    return Chain(workspace_from_environment(), call_as_task)


def _finish(chain: Chain) -> State:
    show_outcomes(chain.workspace, chain.outcomes)
    return final_state(chain.outcomes)


def _made(session: str, kind: str) -> StageOutcome:
    """Return the newest artifact of a kind as the outcome of a stage that ran before."""
    catalogue = Workspace(workspace_from_environment()).catalogue
    artifact = catalogue.latest(catalogue.find_session(session), kind)
    return StageOutcome(
        stage=artifact.stage,
        state=RunState.COMPLETE,
        ref=artifact.ref,
        reused=True,
        key_figure=artifact.key_figure,
    )
