"""The large neural model on simulated animals of which all streams are recorded.

    python tests/benchmarks/bench_lnm_animal.py FOLDER [SECONDS]

writes four tables and two plots to FOLDER:
streams.csv  each stream imputed from all the others, beside the baseline that validation chose;
missing.csv  two animals with one core, once with all streams and once with no pose in the second,
             beside each animal alone: model's score and verdict of each target;
given.csv    half a minute of some streams drawn given what others did, beside free runs of the same
             start and what a query answers at once: R2 of the mean, how much of the test part
             the central 80 % of the draws hold;
courses.csv  ten minutes of free running: spread in the last minute over that in the first, share of
             values in the range of training, steps without any change, and the AUC with which
             a classifier tells courses from the test part, real from real beside it.
Nothing is fitted to or chosen on the test parts: the last fifth of each recording behind a guard.
"""

import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from flows.chain import Chain
from schemas.settings.lnm import LnmSettings
from schemas.settings.simulate import SimulateSettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.workspace import Workspace
from tasks.lnm.data.recording import Bools, Floats, Recording
from tasks.lnm.evaluation import examine
from tasks.lnm.network.trained import TrainedModel
from tasks.lnm.queries.generation import generate
from tasks.lnm.queries.query import query
from tasks.lnm.scores.scoring import Score
from tasks.lnm.threads import limit_threads
from tasks.lnm.training.session import Session, divide_recording
from tasks.lnm.training.train import train_model, train_models
from tasks.simulate.task import simulate_session
from tasks.twin.classifier import area_under_curve, classifier_auc, summarise_windows
from tasks.twin.distances import Record, cut_windows
from tasks.twin.realism import control_blocks, cut_record
from tests.benchmarks.aligned import align_recording

SEEDS, SECONDS = (7, 8), 480.0
MISSING = "body_pose"
SETTINGS = LnmSettings(steps=400, bootstrap=400)
LONG = SETTINGS.model_copy(update={"steps": 3000})
"""A few minutes of one core: what streams are imputed and courses are drawn with."""
COURSES, COURSE_S, AXES, CLASSIFIED = 4, 600.0, 8, 32
"""Free runs, their length, principal axes of the neurons, samples of a classified window."""
GIVEN = {
    ("body_pose", "running_speed"): ("camera", "audio"),
    ("camera",): ("running_speed", "audio"),
}
GIVEN_S, DRAWS = 30.0, 32
MEASURES = ("mean", "SD", "least", "most", "trend", "roughness", "memory")
Trained = tuple[Session, TrainedModel]


def record_animal(folder: Path, seed: int, seconds: float) -> Recording:
    """Simulate an animal and take it to the aligned session; made once a folder."""
    chain = Chain(WorkspaceSettings(lake=str(folder / "lake")))
    simulated = chain.run(
        "simulate", simulate_session, {}, SimulateSettings(seed=seed, duration_s=seconds)
    )
    lake = Workspace(chain.workspace).lake
    return align_recording(chain, str(lake.local_folder(simulated.ref) / "session.nwb"))


def hide_stream(recording: Recording, stream: str) -> Recording:
    """Return the recording as if a stream had not been recorded."""
    return recording.take(np.flatnonzero(np.array(recording.columns.streams) != stream))


def table_of(scores: Sequence[Score]) -> pd.DataFrame:
    """Return a line a score, indexed by task, target, metric and horizon."""
    rows = [
        (*s.key, s.model, s.best, s.baselines[s.best], s.low, s.high, s.verdict) for s in scores
    ]
    key = ["task", "target", "metric", "horizon"]
    columns = [*key, "model", "baseline", "bar", "low", "high", "verdict"]
    return pd.DataFrame(rows, columns=columns).set_index(key)


def impute_streams(alone: Trained, settings: LnmSettings = SETTINGS) -> pd.DataFrame:
    """Return the scores of each stream imputed from all the others."""
    session, model = alone
    return table_of(examine(model, session, settings).scores).loc[["stream"]]


def miss_stream(
    recordings: Sequence[Recording], alone: Trained, settings: LnmSettings = SETTINGS
) -> pd.DataFrame:
    """Return scores and verdicts of both animals, alone and with a shared core.

    With a shared core the second has the stream ("whole") or not ("half"); alone it has not.
    """
    whole = [alone[0], divide_recording(recordings[1], settings)]
    half = [alone[0], divide_recording(hide_stream(recordings[1], MISSING), settings)]
    models = {
        "whole": train_models(whole, settings)[0],
        "half": train_models(half, settings)[0],
        "alone": [alone[1], train_model(half[1], settings)[0]],
    }
    found = []
    for name, (first, second) in models.items():
        sessions = whole if name == "whole" else half
        for animal, model, session in zip(SEEDS, (first, second), sessions, strict=True):
            scores = table_of(examine(model, session, settings).scores)
            found.append(scores.assign(animal=animal, trained=name))
    return pd.concat(found).reset_index()


def run_free(trained: Trained, settings: LnmSettings = SETTINGS) -> tuple[Floats, pd.DataFrame]:
    """Let the model run free, given nothing but where to start, and judge the courses by kind."""
    session, model = trained
    recording, part_T = session.recording, session.part_T
    seen = replace(recording, segment_T=np.where(part_T == 0, recording.segment_T, -1))
    value_BTV = generate(model, seen, COURSE_S, COURSES, settings.seed)["value"].values
    z_BTV, z_TV = (model.scaler.standardise(v) for v in (value_BTV, recording.values_TV))
    minute = round(60 * model.rate_hz)
    # Of columns that do not move for minutes the spread of one minute tells nothing.
    drift_V = z_BTV[:, -minute:].std((0, 1)) / z_BTV[:, :minute].std((0, 1))
    scaler = model.scaler
    inside_V = ((value_BTV >= scaler.low_V) & (value_BTV <= scaler.high_V)).mean((0, 1))
    frozen_V = (np.diff(value_BTV, axis=1) == 0).mean((0, 1))
    rows = {}
    for name, own_V in sides(recording).items():
        rows[name] = {
            "last_to_first": np.median(drift_V[own_V]),
            "least_ratio": drift_V[own_V].min(),
            "greatest_ratio": drift_V[own_V].max(),
            "sd_to_training": np.median(z_BTV[..., own_V].std((0, 1))),
            "inside_range": inside_V[own_V].mean(),
            "least_inside": inside_V[own_V].min(),
            "unchanged_steps": frozen_V[own_V & ~recording.columns.counts].mean(),
            "nan": int(np.isnan(value_BTV[..., own_V]).sum()),
            **tell_apart(*lay_out(z_BTV, z_TV, own_V, part_T, name), session),
        }
    return z_BTV, pd.DataFrame(rows).T


def give_streams(trained: Trained, settings: LnmSettings = SETTINGS) -> pd.DataFrame:
    """Return how well streams are drawn given what others did at the start of the test part."""
    session, model = trained
    recording = session.recording
    first = int(np.flatnonzero(session.part_T == 2)[model.window])
    t0, steps = recording.time_T[first], round(GIVEN_S * model.rate_hz)
    real_TV = recording.values_TV[first : first + steps]
    total_V = np.nanvar(real_TV, axis=0)
    rows = []
    for given, asked in GIVEN.items():
        index = np.flatnonzero(np.isin(recording.columns.streams, asked))
        run = {"duration_s": GIVEN_S, "n_samples": DRAWS, "seed": settings.seed, "t0": t0}
        drawn = {
            "given": generate(model, recording, **run, given=given)["value"].values[..., index],
            "free": generate(model, recording, **run)["value"].values[..., index],
        }
        answer = query(
            model, recording, asked, visible=given, t0=t0, t1=recording.time_T[first + steps - 1]
        )
        means = {name: value_BTV.mean(0) for name, value_BTV in drawn.items()}
        means["network"] = answer["mean"].values
        own_TV = real_TV[:, index]
        for at, column in enumerate(index):
            row = {"given": ", ".join(given), "target": recording.columns.names[column]}
            for name, mean_TV in means.items():
                missed = np.nanmean((mean_TV[:, at] - own_TV[:, at]) ** 2)
                row[f"r2_{name}"] = 1 - missed / total_V[column]
            for name, value_BTV in drawn.items():
                low_T, high_T = np.quantile(value_BTV[..., at], [0.1, 0.9], axis=0)
                row[f"held_{name}"] = np.mean((own_TV[:, at] >= low_T) & (own_TV[:, at] <= high_T))
            rows.append(row)
    return pd.DataFrame(rows).set_index(["given", "target"])


def sides(recording: Recording) -> dict[str, Bools]:
    """Return the columns of neurons and of behaviour."""
    neural_V = recording.columns.neural
    return {"neurons": neural_V, "behaviour": ~neural_V}


def lay_out(
    z_BTV: Floats, z_TV: Floats, own_V: Bools, part_T: Floats, name: str
) -> tuple[Floats, Floats]:
    """Return courses and recording in what is classified: channels, or neurons' main axes."""
    if name == "behaviour":
        return z_BTV[..., own_V], z_TV[:, own_V]
    train_TV = np.nan_to_num(z_TV[part_T == 0][:, own_V])
    axes_VA = np.linalg.svd(train_TV - train_TV.mean(0), full_matrices=False)[2][:AXES].T
    axes_VA /= (train_TV @ axes_VA).std(0)
    return z_BTV[..., own_V] @ axes_VA, z_TV[:, own_V] @ axes_VA


def tell_apart(course_BTC: Floats, real_TC: Floats, session: Session) -> dict[str, object]:
    """Return the classifier's AUC for courses and for earlier real stretches, and what tells."""
    test_T, fitting_T = session.part_T == 2, np.isin(session.part_T, (0, 1))
    samples = int(test_T.sum())

    def cut(part_T: Bools) -> Record:
        return cut_record(real_TC, session.recording.segment_T, part_T, CLASSIFIED)

    real = cut(test_T)
    drawn = [classifier_auc([course[:samples]], real, CLASSIFIED) for course in course_BTC]
    blocks = control_blocks(fitting_T, samples)
    inside = [np.isin(np.arange(len(test_T)), np.arange(b.start, b.stop)) for b in blocks]
    control = [classifier_auc(cut(block), real, CLASSIFIED) for block in inside]
    return {
        "auc": np.median(drawn),
        "auc_real": np.median(control),
        "told_by": what_tells(course_BTC, cut(fitting_T)),
    }


def what_tells(course_BTC: Floats, real: Record) -> str:
    """Name the measure of windows that alone tells most courses from the fitted part."""
    courses, known = (
        summarise_windows(cut_windows(record, CLASSIFIED, CLASSIFIED // 2))
        for record in (list(course_BTC), real)
    )
    label = np.repeat([0, 1], [len(known), len(courses)])
    channels = course_BTC.shape[2]
    both = np.concatenate([known, courses])
    apart = [abs(area_under_curve(label, feature) - 0.5) for feature in both.T]
    by_measure = {
        name: max(apart[at * channels : (at + 1) * channels]) for at, name in enumerate(MEASURES)
    }
    by_measure["covariance"] = max(apart[len(MEASURES) * channels :])
    ranked = sorted(by_measure, key=lambda name: -by_measure[name])
    return ", ".join(f"{name} {0.5 + by_measure[name]:.2f}" for name in ranked[:3])


def draw_scores(streams: pd.DataFrame, path: Path) -> None:
    """Draw the model beside the bar, target by target."""
    from matplotlib.figure import Figure

    rows = streams.reset_index().iloc[::-1]
    figure = Figure((8, 0.22 * len(rows) + 1.2), layout="constrained")
    axes = figure.add_subplot()
    at = np.arange(len(rows))
    shades = {"win": "tab:green", "tie": "tab:grey", "loss": "tab:red"}
    axes.barh(at, rows["model"].clip(-0.2), color=[shades[v] for v in rows["verdict"]])
    axes.plot(rows["bar"].clip(-0.2), at, "k|", ms=8, label="best baseline on validation")
    axes.set_yticks(at, rows["target"], fontsize=7)
    axes.set_xlabel("R2, of units bits per spike (cut at -0.2); green win, grey tie, red loss")
    axes.set_title("Each stream from all the others")
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(path, dpi=110)


def draw_courses(z_BTV: Floats, trained: Trained, path: Path) -> None:
    """Draw a minute of a course, its last one, beside a minute of the test part."""
    from matplotlib.figure import Figure

    session, model = trained
    names = session.recording.columns.names
    shown = ["calcium/c00", "calcium/c20", "units/s03", "running_speed", "pupil_diameter"]
    shown += ["gaze/x", "body_pose/body_center_x", "body_pose/heading_cos", "audio/mel_1"]
    shown = [name for name in shown if name in names]
    minute = round(60 * model.rate_hz)
    real_TV = model.scaler.standardise(session.recording.values_TV[session.part_T == 2])[:minute]
    figure = Figure((13, 1.15 * len(shown)), layout="constrained")
    grid = figure.subplots(len(shown), 2, sharex=True, sharey="row")
    for row, name in zip(grid, shown, strict=True):
        for axes, z_TV in zip(row, (real_TV, z_BTV[0, -minute:]), strict=True):
            axes.plot(np.arange(len(z_TV)) / model.rate_hz, z_TV[:, names.index(name)], lw=0.8)
        row[0].set_ylabel(name.replace("/", "\n"), fontsize=7)
    grid[0, 0].set_title("recorded, test part")
    grid[0, 1].set_title("free run, its tenth minute")
    figure.supxlabel("seconds")
    figure.savefig(path, dpi=110)


def compare(folder: Path, seconds: float = SECONDS) -> None:
    """Record, train, judge; write what the head of this file names."""
    mpl.use("Agg")
    pd.set_option("display.width", 160, "display.max_rows", None, "display.max_columns", None)
    recordings = [record_animal(folder, seed, seconds) for seed in SEEDS]
    session = divide_recording(recordings[0], SETTINGS)
    long = session, train_model(session, LONG)[0]
    streams = impute_streams(long)
    streams.to_csv(folder / "streams.csv")
    draw_scores(streams, folder / "streams.png")
    print(streams.round(3).to_string())  # noqa: T201
    z_BTV, courses = run_free(long)
    courses.to_csv(folder / "courses.csv")
    draw_courses(z_BTV, long, folder / "courses.png")
    print(courses.T.to_string())  # noqa: T201
    given = give_streams(long)
    given.to_csv(folder / "given.csv")
    print(given.round(3).to_string(), given.groupby("given").mean().round(3).to_string(), sep="\n")  # noqa: T201
    missing = miss_stream(recordings, (session, train_model(session, SETTINGS)[0]))
    missing.to_csv(folder / "missing.csv", index=False)
    print(count_verdicts(missing).to_string())  # noqa: T201


def count_verdicts(missing: pd.DataFrame) -> pd.DataFrame:
    """Return mean R2 and verdicts by animal, training and task, of targets that all have."""
    key = ["animal", "task", "target", "metric", "horizon"]
    common = missing.groupby(key)["trained"].transform("nunique") == 3
    shared = missing[common & (missing["metric"] != "mae")]
    group = shared.groupby(["animal", "task", "trained"])
    counts = group["verdict"].value_counts().unstack(fill_value=0)
    return counts.assign(mean_model=group["model"].mean(), mean_bar=group["bar"].mean())


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_streams_missing_streams_and_free_runs(tmp_path):
    warnings.simplefilter("ignore")
    with limit_threads(1):
        compare(tmp_path)
    courses = pd.read_csv(tmp_path / "courses.csv", index_col=0)
    assert (courses["nan"] == 0).all()
    assert courses["last_to_first"].between(0.8, 1.25).all()
    given = pd.read_csv(tmp_path / "given.csv").mean(numeric_only=True)
    assert given["r2_given"] > given["r2_free"] + 0.2
    streams = pd.read_csv(tmp_path / "streams.csv")
    assert (streams["verdict"] != "loss").all()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    with limit_threads(1):
        compare(place, *map(float, sys.argv[2:]))
