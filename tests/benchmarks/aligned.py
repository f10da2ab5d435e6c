"""A recording taken to the aligned session, as benchmarks of later stages want it."""

from collections.abc import Sequence

from flows.chain import Chain
from schemas.entities import ArtifactRef
from schemas.settings.align import AlignSettings
from schemas.settings.pipeline import PipelineSettings
from tasks.align.task import align_session, synchronise_session
from tasks.common.workspace import Workspace
from tasks.ingest.task import ingest_recording
from tasks.lnm.data.reading import read_recording
from tasks.lnm.data.recording import Recording
from tasks.preprocess.task import preprocess_session


def align_recording(
    chain: Chain, path: str, events: Sequence[str] = (), native: Sequence[str] = ()
) -> Recording:
    """Ingest, clean, synchronise and align a file; what a lake holds already is not made again.

    events : tables of it that are read too
    native : streams, or kinds of them, that are read at their own rate
    """
    settings = PipelineSettings(align=AlignSettings(native=tuple(native)))
    streams = chain.run("ingest", ingest_recording, {}, path, settings.ingest)
    needs = {"ingested streams": streams}
    cleaned = {"cleaned": chain.run("clean", preprocess_session, needs, settings.preprocess)}
    synced = chain.run("sync", synchronise_session, cleaned, settings.align.sync)
    outcome = chain.run("align", align_session, cleaned, settings.align, synced.ref)
    aligned: ArtifactRef | None = outcome.ref
    if aligned is None:
        raise SystemExit(f"{path}: {outcome.reason}")
    return read_recording(Workspace(chain.workspace).lake.open_tree(aligned), events=events)
