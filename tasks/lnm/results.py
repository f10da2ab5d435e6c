"""The whole stage as one pure function, and its result as a tree."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr

from schemas.settings.lnm import LnmSettings
from tasks.lnm.ablation import ablate
from tasks.lnm.baselines.rivals import BASELINES
from tasks.lnm.data.reading import Source
from tasks.lnm.data.recording import Recording
from tasks.lnm.evaluation import Exam, examine
from tasks.lnm.linear.wide import MOST_JUDGED
from tasks.lnm.network.trained import TrainedModel
from tasks.lnm.queries.generation import generate
from tasks.lnm.scores.quality import UNKNOWN
from tasks.lnm.scores.scoring import Score
from tasks.lnm.training.checkpoints import Curves
from tasks.lnm.training.session import Session, divide_recording
from tasks.lnm.training.train import train_model

MOST_GENERATED = 1000
"""Samples of a generated course at most, so that a fast clock does not take minutes."""
VERDICT_MEANS = (
    "win: the 95 % block-bootstrap interval (low, high) of how much better the model does on the "
    "test part than the baseline that was best on validation lies above 0; loss: below 0; tie: "
    "holds 0. Higher is better in every metric but mae. "
    "decode: behaviour from neurons; encode: neurons from behaviour; impute: a fifth of the units "
    "from the others and behaviour; stream: a whole stream from all the others; region: the units "
    "of a region from all else; forecast: all from the past. The model begins with the best of the "
    "baselines or a blend, to which kernel ridge on behaviour, a part of it, may belong."
)


@dataclass(frozen=True)
class Result:
    """What the stage makes of one session.

    left_out : columns that do not vary or are hardly ever valid in the training part
    generated : free-running courses, None if none were asked for
    ablations : scores with parts taken away, None if not asked for
    """

    model: TrainedModel
    session: Session
    curves: Curves
    exam: Exam
    generated: xr.Dataset | None
    left_out: list[str]
    ablations: xr.Dataset | None = None


def train_and_examine(
    recording: Recording | Source, settings: LnmSettings, checkpoints: Path | None = None
) -> Result:
    """Split, fit, train, examine and generate.

    checkpoints : folder from which a training that was cut off goes on; see train_models

    Raises
    ------
    NothingToDoError, RecordingTooShortError
        There is nothing to learn from, or too little of it.
    """
    session, model, curves = prepare_and_train(recording, settings, checkpoints)
    exam = examine(model, session, settings)
    kept = session.recording
    steps = min(round(settings.generated_s * kept.rate_hz), MOST_GENERATED)
    generated = None
    if steps:
        # Courses start from training samples: the test part stays unseen.
        seen = replace(kept, segment_T=np.where(session.split.train, kept.segment_T, -1))
        generated = generate(model, seen, steps / kept.rate_hz, settings.n_samples, settings.seed)
    ablations = ablate(model, session, exam.scores, settings) if settings.ablations else None
    known = set(kept.columns.names)
    left_out = [name for name in recording.columns.names if name not in known]
    return Result(model, session, curves, exam, generated, left_out, ablations)


def prepare_and_train(
    recording: Recording | Source, settings: LnmSettings, checkpoints: Path | None = None
) -> tuple[Session, TrainedModel, Curves]:
    """Split a recording, fit the baselines and train a model; see train_and_examine."""
    session = divide_recording(recording, settings)
    model, curves = train_model(session, settings, checkpoints)
    return session, model, curves


def result_tree(result: Result, attrs: Mapping[str, str]) -> xr.DataTree:
    """Lay a result out as the lnm contract's tree."""
    split = result.session.split.ranges(result.session.recording.time_T)
    groups = {
        "/": xr.Dataset(attrs={**attrs, "split": json.dumps(split)}),
        "/training": _training_dataset(result),
        "/scores": _scores_dataset(result.exam.scores, _explain_verdicts(result.session)),
        "/forecast": result.exam.forecast,
    }
    if result.exam.decoded is not None:
        groups["/decoded"] = result.exam.decoded
    if result.generated is not None:
        groups["/generated"] = result.generated
    if result.ablations is not None:
        groups["/ablations"] = result.ablations
    return xr.DataTree.from_dict(groups)


def describe_scores(scores: Sequence[Score]) -> str:
    """Return the key figure: the task of most interest beside ridge, and the verdicts."""
    counted = ", ".join(
        f"{sum(score.verdict == verdict for score in scores)} {verdict}"
        for verdict in ("win", "tie", "loss")
    )
    for task in ("decode", "forecast"):
        own = [score for score in scores if score.task == task and score.metric == "r2"]
        if own:
            model, ridge = (
                float(np.mean(values))
                for values in ([s.model for s in own], [s.baselines["ridge"] for s in own])
            )
            return f"{task} R2 {model:.2f} (ridge {ridge:.2f}), {counted}"
    return counted


def _training_dataset(result: Result) -> xr.Dataset:
    curves = result.curves
    return xr.Dataset(
        {
            "train_loss": ("step", np.array(curves.train_loss)),
            "validation_loss": ("step", np.array(curves.validation_loss)),
            "learning_rate": ("step", np.array(curves.learning_rate)),
        },
        {"step": np.array(curves.step)},
        {
            "best_step": curves.best_step,
            "stopped": curves.stopped or "all steps done",
            "parameters": sum(p.numel() for p in result.model.network.parameters()),
        },
    )


def _explain_verdicts(session: Session) -> str:
    judged, columns = len(session.rivals.judged), len(session.recording.columns.names)
    if judged == columns:
        return VERDICT_MEANS
    return f"{VERDICT_MEANS} Of streams with more, up to {MOST_JUDGED} evenly spread are judged."


def _scores_dataset(scores: Sequence[Score], means: str) -> xr.Dataset:
    texts = ("task", "target", "metric", "best", "verdict")
    columns = {name: np.array([getattr(s, name) for s in scores], dtype=str) for name in texts}
    for name in ("model", "low", "high"):
        columns[name] = np.array([getattr(s, name) for s in scores], float)
    for name in BASELINES:
        columns[name] = np.array([s.baselines.get(name, np.nan) for s in scores], float)
    for name in asdict(UNKNOWN):
        columns[name] = np.array([getattr(s.quality, name) for s in scores], float)
    columns["horizon"] = np.array([s.horizon for s in scores], np.int32)
    counts = {v: sum(s.verdict == v for s in scores) for v in ("win", "tie", "loss")}
    return xr.Dataset(
        {name: ("score", values) for name, values in columns.items()},
        attrs={"verdict_means": means, **counts},
    )
