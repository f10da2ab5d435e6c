"""Flows over the landing folder: ingest what is new, and everything that follows from it."""

import os
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State

from flows.chain import Chain, process_streams
from flows.prefect_tasks import call_as_task
from flows.presentation import PrefectProgress, final_state, show_outcomes
from flows.session import DEFAULTS
from schemas.entities import StageOutcome
from schemas.settings.ingest import IngestSettings
from schemas.settings.pipeline import PipelineSettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.environment import workspace_from_environment
from tasks.common.lake import Lake
from tasks.common.progress import progress_to
from tasks.ingest.folders import is_zarr_folder
from tasks.ingest.task import ingest_recording

SUFFIXES = {".nwb"}
STORES = (".nwb", ".nwb.zarr")


@flow(name="ingest-recordings", persist_result=False)
def ingest_recordings(folder: str = "", settings: IngestSettings = DEFAULTS.ingest) -> State:
    """Validate and catalogue every recording of a folder; what cannot be used is quarantined.

    Args:
        folder: Folder on the machine of the worker; empty means the lake's landing folder.
        settings: Settings of reading and checking.
    """
    chain = Chain(workspace_from_environment(), call_as_task)
    for path in find_recordings(_folder(chain.workspace, folder)):
        chain.run(f"ingest {path.name}", ingest_recording, {}, str(path), settings)
    show_outcomes(chain.workspace, chain.outcomes, key="ingest")
    return final_state(chain.outcomes)


@flow(name="nightly", persist_result=False)
def nightly(folder: str = "", settings: PipelineSettings = DEFAULTS) -> State:
    """Take every recording of a folder through every stage; what was done before is not redone.

    Args:
        folder: Folder on the machine of the worker; empty means the lake's landing folder.
        settings: What each stage does; the defaults suit most recordings.
    """
    workspace = workspace_from_environment()
    every: list[StageOutcome] = []
    paths = find_recordings(_folder(workspace, folder))
    get_run_logger().info("%d recording(s) in the folder", len(paths))
    with progress_to(PrefectProgress()):
        for path in paths:
            chain = Chain(workspace, call_as_task)
            ingested = chain.run("ingest", ingest_recording, {}, str(path), settings.ingest)
            if ingested.ref is not None:
                process_streams(chain, ingested, settings)
            show_outcomes(workspace, chain.outcomes, key="nightly")
            every += chain.outcomes
    return final_state(every)


def find_recordings(folder: Path) -> list[Path]:
    """Return the NWB files and Zarr stores of NWB below a folder, oldest first.

    Hidden ones are left out: rsync and others give a file its own name when it is whole. Nothing
    is looked for inside a store.
    """
    found: list[Path] = []
    for root, folders, files in os.walk(folder):
        stores = [name for name in folders if name.endswith(STORES) and not name.startswith(".")]
        found += [path for name in stores if is_zarr_folder(path := Path(root, name))]
        folders[:] = [name for name in folders if name not in stores]
        named = [Path(root, name) for name in files if not name.startswith(".")]
        found += [path for path in named if path.suffix in SUFFIXES and path.is_file()]
    return sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name))


def _folder(workspace: WorkspaceSettings, folder: str) -> Path:
    landing = Lake(workspace.lake).landing
    landing.mkdir(parents=True, exist_ok=True)
    return Path(folder) if folder else landing
