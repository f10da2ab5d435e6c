"""Verdicts on the large neural model on recordings, over seeds.

    python tests/benchmarks/bench_lnm_recordings.py FOLDER RECORDING [SEED ...] [name=value ...]

FOLDER keeps the lake; `name=value` changes a setting of `lnm`, `native=[eye,motion]` that of
`align`. Prints each score beside the baseline that validation chose, with the 95 % interval of how
much better the model is, then the totals.
"""

import sys
import time
from pathlib import Path

import yaml

from flows.chain import Chain
from schemas.settings.lnm import LnmSettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.lnm.data.recording import Recording
from tasks.lnm.evaluation import examine
from tasks.lnm.results import prepare_and_train
from tasks.lnm.scores.scoring import Score
from tasks.lnm.threads import limit_threads
from tests.benchmarks.aligned import align_recording


def judge(recording: Recording, settings: LnmSettings) -> list[Score]:
    """Train on a recording and examine what came of it on its test part."""
    with limit_threads(settings.threads):
        session, model, curves = prepare_and_train(recording, settings)
        print(f"seed {settings.seed}: {curves.latest}; {curves.stopped or 'all steps taken'}")  # noqa: T201
        return examine(model, session, settings).scores


def tell(score: Score) -> str:
    """Return a score as a line of the table."""
    ahead = str(score.horizon) if score.horizon > 0 else ""
    bar, ridge = score.baselines[score.best], score.baselines["ridge"]
    return (
        f"{score.task:9} {score.target:28} {score.metric:15} {ahead:3} {score.model:7.3f}  "
        f"{score.best} {bar:.3f}, ridge {ridge:.3f}  {score.low:+.4f} to {score.high:+.4f} "
        f"{score.verdict}"
    )


def main(folder: Path, path: str, *words: str) -> None:
    """Judge a recording with each of some seeds."""
    values = dict(word.split("=", 1) for word in words if "=" in word)
    changes = {name: yaml.safe_load(value) for name, value in values.items()}
    chain = Chain(WorkspaceSettings(lake=str(folder / "lake")))
    native = changes.pop("native", ())
    recording = align_recording(chain, path, changes.get("events", ()), native)
    for seed in [int(word) for word in words if "=" not in word] or [0]:
        begun, spent = time.time(), time.process_time()
        scores = judge(recording, LnmSettings(seed=seed, generated_s=0.0, **changes))
        print(*map(tell, scores), sep="\n")  # noqa: T201
        verdicts = [score.verdict for score in scores]
        counts = ", ".join(f"{verdicts.count(v)} {v}" for v in ("loss", "tie", "win"))
        seconds = f"{time.time() - begun:.0f} s, {time.process_time() - spent:.0f} s of processors"
        print(f"{Path(path).name}, seed {seed}: {counts}; {seconds}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
