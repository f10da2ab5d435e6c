"""The cost of the large neural model over units, each number of them in a process of its own.

    python tests/benchmarks/bench_lnm_units.py [UNITS ...] [steps=200] [samples=4000]

Of so many samples of each number of units (10, 100, 1,000, 10,000 and 100,000 if none is given):
seconds of preparation (baselines, skip, traits), milliseconds of a training step, and the memory
held at most up to then. With `steps` the whole stage follows: so many steps of training, gates,
noise, the examination, the model saved, loaded, and asked to decode, to impute a unit, and to
forecast all.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from schemas.settings.lnm import LnmSettings
from schemas.settings.split import SplitSettings
from tasks.lnm.evaluation import examine
from tasks.lnm.network.ensemble import Ensemble
from tasks.lnm.network.trained import load_model, save_model
from tasks.lnm.queries.spans import query_source
from tasks.lnm.results import describe_scores
from tasks.lnm.threads import limit_threads
from tasks.lnm.training.batches import draw_ahead
from tasks.lnm.training.evidence import gather_evidence
from tasks.lnm.training.gating import choose_shares
from tasks.lnm.training.machine import Machine
from tasks.lnm.training.optimise import take_step
from tasks.lnm.training.schedule import make_optimiser
from tasks.lnm.training.session import Session, divide_recording
from tasks.lnm.training.train import build_network, join_skip, mix_network, train_networks
from tests.benchmarks.bench_lnm import WINDOW, make_recording

TIMED = 6
"""Steps of which the median is told, the first left out."""


def time_step(session: Session, settings: LnmSettings) -> float:
    """Return the seconds of a step, its batch drawn beside it."""
    network, machine, costs = build_network(session, settings), Machine(), session.costs
    optimiser = make_optimiser(network, settings)
    state = np.random.default_rng(0).bit_generator.state
    ends = [time.perf_counter()]
    for batch, _, draw_next in draw_ahead([session], settings, state, range(1, TIMED + 2)):
        take_step(network, optimiser, batch, costs, machine, draw_next)
        ends.append(time.perf_counter())
    return float(np.median(np.diff(ends)[1:]))


def take_whole(session: Session, settings: LnmSettings) -> None:
    """Take a prepared session through the rest of the stage, and tell what each part took."""
    begun, spent = time.perf_counter(), time.process_time()

    def tell(what: str) -> None:
        nonlocal begun, spent
        wall, cpu = time.perf_counter() - begun, time.process_time() - spent
        took = f"{wall:.1f} s ({cpu:.1f} s of a processor), {peak_gib():.1f} GiB at most"
        print(f"  {what}: {took}", flush=True)  # noqa: T201
        begun, spent = time.perf_counter(), time.process_time()

    network = build_network(session, settings)
    curves = train_networks([network], [session], settings, settings.steps or 1)
    tell(f"{settings.steps} steps of training, {curves.latest}")
    model = join_skip(Ensemble([network]), session, settings)
    evidence = gather_evidence(model, session, session.runs(1))
    tell("gates")
    minutes = (session.part_T == 1).sum() / session.recording.rate_hz / 60
    model = mix_network(model, session, choose_shares(evidence, minutes))
    tell("noise")
    tell(f"examined, {describe_scores(examine(model, session, settings).scores)}")
    with tempfile.TemporaryDirectory() as name:
        save_model(model, Path(name))
        size_mb = sum(f.stat().st_size for f in Path(name).rglob("*") if f.is_file()) / 1e6
        tell(f"saved, {size_mb:.0f} MB")
        again = load_model(Path(name))
        tell("loaded")
    source, ends = session.recording, {"t0": 100.0, "t1": 110.0}
    for task, targets in (("decode", ["a", "b"]), ("impute", [model.columns.names[0]])):
        query_source(again, source, targets, **ends)
        tell(f"asked to {task} 10 s")
    query_source(again, source, model.columns.names, visible=(), seen_until=150.0, t1=153.0)
    tell("asked to forecast all 3 s ahead")


def peak_gib() -> float:
    """Return the memory this process held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main(units: int, steps: int = 0, samples: int = 4000) -> None:
    """Tell what so many units cost."""
    settings = LnmSettings(split=SplitSettings(guard_s=1.0), window=WINDOW, steps=steps or 1)
    recording = make_recording(units, samples)
    with limit_threads(settings.threads):
        begun, spent = time.perf_counter(), time.process_time()
        session = divide_recording(recording, settings)
        del recording
        wall, cpu = time.perf_counter() - begun, time.process_time() - spent
        print(  # noqa: T201
            f"{units} units: prepared in {wall:.1f} s ({cpu:.1f} s of a processor), "
            f"{peak_gib():.1f} GiB at most",
            flush=True,
        )
        step_ms = 1e3 * time_step(session, settings)
        print(f"  a step: {step_ms:.0f} ms, {peak_gib():.1f} GiB at most", flush=True)  # noqa: T201
        if steps:
            take_whole(session, settings)


if __name__ == "__main__":
    told = {n: int(v) for n, v in (word.split("=") for word in sys.argv[1:] if "=" in word)}
    wanted = [int(word) for word in sys.argv[1:] if "=" not in word]
    torch.set_num_threads(1)
    if len(wanted) == 1:
        main(wanted[0], **told)
    for number in wanted if len(wanted) > 1 else [] if wanted else [10, 100, 1000, 10_000, 100_000]:
        own = [str(number), *(f"{n}={v}" for n, v in told.items())]
        subprocess.run([sys.executable, __file__, *own], check=True)
