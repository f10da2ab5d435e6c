"""Peak memory of each stage up to the aligned session, against the length of a recording.

    python tests/benchmarks/bench_memory.py 1 2 4 20

writes, for each size in GB, a session of that many samples (384 field potentials at 2.5 kHz on a
drifting clock of their own, 1,000 imaged and 200 sorted neurons, sound at 48 kHz, eye, wheel,
tracked points), takes it through the stages, each in a process of its own, and prints the most
memory that process and its children held at once. All sessions have the same streams; only their
length differs. On disk the file is smaller than it says: its compressed chunks are a few that
repeat. Draws the peaks to memory.svg in the folder TECTUM_BENCH (default: the system's temporary
folder).
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from tests.benchmarks.long_recording import write_recording

STAGES = ("ingest", "preprocess", "sync", "align")
POLL_S = 0.05
BAR_MB = 2_000


def run_stages(lake: str, recording: str, last: str) -> None:
    """Take a recording through the stages up to `last`; those done before are found."""
    from schemas.settings.pipeline import PipelineSettings
    from schemas.settings.workspace import WorkspaceSettings
    from tasks.align.task import align_session, synchronise_session
    from tasks.ingest.task import ingest_recording
    from tasks.preprocess.task import preprocess_session

    workspace, settings = WorkspaceSettings(lake=lake), PipelineSettings()
    streams = ingest_recording(workspace, recording, settings.ingest)
    outcomes = [streams]
    if last != "ingest":
        outcomes.append(preprocess_session(workspace, streams.ref, settings.preprocess))
    if last in ("sync", "align"):
        cleaned = outcomes[-1].ref
        outcomes.append(synchronise_session(workspace, cleaned, settings.align.sync))
        if last == "align":
            clocks = outcomes[-1].ref
            outcomes.append(align_session(workspace, cleaned, settings.align, clocks))
    if outcomes[-1].ref is None:
        raise SystemExit(outcomes[-1].reason)


def measure_stage(stage: str, lake: Path, recording: Path) -> tuple[float, float]:
    """Run a stage in a process of its own; return its peak memory in MB, and its seconds."""
    command = [sys.executable, __file__, "--lake", str(lake), "--until", stage, str(recording)]
    start, peak = time.perf_counter(), 0
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    while process.poll() is None:
        peak = max(peak, _resident(process.pid))
        time.sleep(POLL_S)
    if process.returncode:
        raise RuntimeError(f"{stage} ended with {process.returncode}")
    return peak / 1e6, time.perf_counter() - start


def _resident(pid: int) -> int:
    """Return the memory of a process and of its children, in bytes."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        return sum(member.memory_info().rss for member in family)
    except psutil.NoSuchProcess:
        return 0


def measure_session(gigabytes: float, folder: Path) -> dict[str, float]:
    """Generate a session, run every stage, and return peak MB by stage; nothing is left behind."""
    recording, lake = folder / "session.nwb", folder / "lake"
    seconds = write_recording(recording, gigabytes)
    say(f"{gigabytes:6.2f} GB {seconds:7,.0f} s")
    peaks: dict[str, float] = {}
    try:
        for stage in STAGES:
            peaks[stage], took = measure_stage(stage, lake, recording)
            say(f"  {stage} {peaks[stage]:6,.0f} MB {took:5,.0f} s")
    finally:
        shutil.rmtree(lake, ignore_errors=True)
        recording.unlink()
        say("\n")
    return peaks


def say(text: str) -> None:
    """Write to the terminal at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(0.25, 1.0)])
def test_peak_memory_does_not_grow_with_length(sizes, tmp_path):
    short, long = (measure_session(size, tmp_path) for size in sizes)
    for stage in STAGES:
        assert long[stage] < 1.25 * short[stage], stage
        assert long[stage] < BAR_MB, stage


def draw(peaks: Mapping[float, Mapping[str, float]]) -> Path:
    """Draw the peak of each stage against the size of the recording."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    for stage in STAGES:
        axes.plot([*peaks], [peaks[size][stage] for size in peaks], marker="o", label=stage)
    axes.axhline(BAR_MB, color="grey", lw=0.8, ls="--")
    axes.set(xlabel="samples of the recording [GB]", ylabel="peak memory [MB]", ylim=(0, None))
    axes.legend()
    path = Path(os.environ.get("TECTUM_BENCH", tempfile.gettempdir())) / "memory.svg"
    figure.savefig(path)
    return path


def main() -> None:
    """Measure the sizes given, or (with --until) be the process that is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="+", help="sizes in GB")
    parser.add_argument("--lake")
    parser.add_argument("--until", choices=STAGES)
    parser.add_argument("--folder", help="where to write; a temporary folder if not given")
    chosen = parser.parse_args()
    if chosen.until:
        run_stages(chosen.lake, chosen.what[0], chosen.until)
        return
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        peaks = {float(size): measure_session(float(size), Path(folder)) for size in chosen.what}
    say(f"{draw(peaks)}\n")


if __name__ == "__main__":
    main()
