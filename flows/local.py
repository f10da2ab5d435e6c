"""Running the chain from the command line, without any server."""

import dataclasses
import time
from pathlib import Path

from flows import console
from flows.chain import Chain, process_recording
from schemas.entities import RunState, StageOutcome
from schemas.errors import NotFoundError
from schemas.settings.pipeline import PipelineSettings, load_settings
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.remote import is_url, public_url
from tasks.common.workspace import Workspace
from tasks.simulate.task import simulate_session


@dataclasses.dataclass(frozen=True)
class SessionResult:
    """How one recording went through the chain."""

    name: str
    outcomes: list[StageOutcome]
    seconds: float
    report: Path | None

    @property
    def succeeded(self) -> bool:
        """No stage failed."""
        return all(outcome.state is not RunState.FAILED for outcome in self.outcomes)


def run_recordings(
    workspace: WorkspaceSettings, paths: list[str], settings_file: Path | None, *, as_json: bool
) -> bool:
    """Process each file and print its table; whether none failed."""
    settings = load_settings(settings_file)
    if missing := [path for path in paths if not is_url(path) and not Path(path).exists()]:
        raise NotFoundError(f"no such file: {', '.join(missing)}.", remedy="Check the path.")
    results = []
    for path in paths:
        with console.show_progress(quiet=as_json):
            result = _process(Chain(workspace), *_address(path), settings)
        results.append(result)
        _print(result, as_json=as_json)
    if as_json:
        console.print_json([_plain(result) for result in results])
    return all(result.succeeded for result in results)


def run_demo(
    workspace: WorkspaceSettings,
    recording: str | None,
    settings_file: Path | None,
    *,
    as_json: bool,
) -> bool:
    """Run the chain on a recording, or on a simulated animal if none is given."""
    if recording is not None:
        return run_recordings(workspace, [recording], settings_file, as_json=as_json)
    settings = load_settings(settings_file)
    with console.show_progress(quiet=as_json):
        chain = Chain(workspace)
        simulated = chain.run("simulate", simulate_session, {}, settings.simulate)
        if simulated.ref is None:
            result = SessionResult("simulated animal", chain.outcomes, simulated.seconds, None)
        else:
            path = Workspace(workspace).lake.local_folder(simulated.ref) / "session.nwb"
            result = _process(chain, str(path), "simulated animal", settings)
    _print(result, as_json=as_json)
    if as_json:
        console.print_json([_plain(result)])
    return result.succeeded


def _address(path: str) -> tuple[str, str]:
    """Return a recording's absolute path or URL, and what to call it on the screen."""
    if is_url(path):
        return path, public_url(path).rstrip("/").rpartition("/")[2]
    # Links are left to ingest, which does not follow all of them.
    return str(Path(path).absolute()), Path(path).name


def _process(chain: Chain, path: str, name: str, settings: PipelineSettings) -> SessionResult:
    start = time.perf_counter()
    report = process_recording(chain, path, settings)
    seconds = time.perf_counter() - start
    page = None
    if report.stage == "report" and report.ref is not None:
        page = Workspace(chain.workspace).lake.local_folder(report.ref) / "report.html"
    return SessionResult(name, chain.outcomes, seconds, page)


def _print(result: SessionResult, *, as_json: bool) -> None:
    if as_json:
        return
    console.print_outcomes(result.name, result.outcomes)
    made = [outcome for outcome in result.outcomes if outcome.ref is not None]
    reused = sum(outcome.reused for outcome in made)
    if reused:
        console.out.print(
            f"{reused} of {len(made)} artifacts existed; nothing was recomputed for them."
        )
    console.out.print(f"{result.seconds:.1f} s in all.")
    if result.report is not None:
        console.out.print(f"Report: {result.report}", soft_wrap=True)


def _plain(result: SessionResult) -> dict[str, object]:
    return {
        "recording": result.name,
        "seconds": result.seconds,
        "report": str(result.report) if result.report else None,
        "stages": [outcome.model_dump(mode="json") for outcome in result.outcomes],
    }
