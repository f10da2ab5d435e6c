"""A session for reports: every artifact of a small animal, as the stages would leave them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from schemas.contracts.aligned import ALIGNED
from schemas.contracts.causal import CAUSAL
from schemas.contracts.lnm import LNM
from schemas.contracts.preprocessed import PREPROCESSED
from schemas.contracts.streams import STREAMS
from schemas.contracts.twin import TWIN
from schemas.entities import ArtifactRef, RunState, Session, StageOutcome, Subject
from schemas.settings.base import StageSettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.draft import Draft
from tasks.common.stage import Request, run_stage
from tasks.common.workspace import Workspace

HOSTILE = "<script>alert('x')</script>&amp;"
UNITS, SAMPLES, RATE = 14, 900, 10.0
ROOT = {
    "session_key": "0" * 16,
    "session_name": "test",
    "subject_id": "test",
    "session_start_time": "2026-01-01T00:00:00+00:00",
}


@dataclass(frozen=True)
class SessionLake:
    """A lake with one session: its settings, parents and outcomes for a report."""

    workspace: WorkspaceSettings
    parents: tuple[ArtifactRef, ...]
    outcomes: tuple[StageOutcome, ...]


def stream_tree(name: str = "spatial") -> xr.DataTree:
    """Return streams: calcium with a gap, running, pose, spikes, licks, trials."""
    rng = np.random.default_rng(1)
    time_T = np.arange(SAMPLES) / RATE + np.where(np.arange(SAMPLES) >= 600, 8.0, 0.0)
    fast_T = np.arange(5 * SAMPLES) / 50
    time = ("time", time_T, {"units": "s"})
    fast = ("time", fast_T, {"units": "s"})
    waves = np.sin(time_T[:, None] * (0.3 + 0.05 * np.arange(UNITS))) + 0.3 * rng.standard_normal(
        (SAMPLES, UNITS)
    )
    speed = np.cumsum(rng.standard_normal(len(fast_T))) / 10
    spike_time = np.sort(rng.uniform(0, 98, 3000))
    groups = {
        "/": xr.Dataset(attrs=ROOT),
        "/calcium": xr.Dataset(
            {"activity": (("time", "unit"), waves, {"units": "1"})},
            {"time": time, "unit": [f"roi_{i}" for i in range(UNITS)]},
            {
                "stream_kind": "calcium",
                "source": "/processing/ophys/DfOverF",
                "primary": "activity",
            },
        ),
        "/running": xr.Dataset(
            {"value": (("time", "channel"), speed[:, None], {"units": "cm/s"})},
            {"time": fast, "channel": ["speed"]},
            {"stream_kind": "motion", "source": "/processing/behavior/running", "primary": "value"},
        ),
        f"/{name}": xr.Dataset(
            {
                "position": (
                    ("time", "space", "keypoint", "individual"),
                    np.sin(fast_T[:, None, None, None] * np.arange(1, 5).reshape(1, 2, 2, 1)),
                    {"units": "pixels"},
                )
            },
            {
                "time": fast,
                "space": ["x", "y"],
                "keypoint": [HOSTILE, "tail"],
                "individual": ["individual_0"],
            },
            {"stream_kind": "pose", "source": HOSTILE, "primary": "position"},
        ),
        "/units": xr.Dataset(
            {
                "spike_time": ("spike", spike_time, {"units": "s"}),
                "unit_index": ("spike", rng.integers(0, 5, 3000)),
            },
            {"unit": [f"unit_{i}" for i in range(5)]},
            {"stream_kind": "spikes", "source": "/units", "primary": "spike_time"},
        ),
        "/licks": xr.Dataset(
            {"event_time": ("event", rng.uniform(0, 90, 40), {"units": "s"})},
            attrs={
                "stream_kind": "events",
                "source": "/acquisition/licks",
                "primary": "event_time",
            },
        ),
        "/trials": xr.Dataset(
            {
                "start_time": ("interval", np.arange(0, 90, 9.0), {"units": "s"}),
                "stop_time": ("interval", np.arange(0, 90, 9.0) + 4, {"units": "s"}),
            },
            attrs={"stream_kind": "intervals", "source": "/trials", "primary": "start_time"},
        ),
    }
    return xr.DataTree.from_dict(groups)


def preprocessed_tree(streams: xr.DataTree) -> xr.DataTree:
    """Return the same streams with masks, one ROI set aside, and provenance."""
    groups: dict[str, xr.Dataset] = {"/": xr.Dataset(attrs=ROOT)}
    steps = '[{"operation": "low_pass", "cutoff_hz": 4.0}, {"operation": "mask_outliers"}]'
    for name, node in streams.children.items():
        stream = node.to_dataset(inherit=False)
        kind = stream.attrs["stream_kind"]
        if kind in {"calcium", "motion"}:
            primary = stream[stream.attrs["primary"]]
            valid = xr.ones_like(primary, dtype=bool)
            valid[100:130] = False
            stream["valid"] = valid if kind == "calcium" else valid[:, 0].drop_vars("channel")
        if kind == "pose":
            stream["valid"] = xr.ones_like(stream["position"].isel(space=0, drop=True), dtype=bool)
            for extra in ("speed", "heading"):
                stream[extra] = stream["position"][:, 0, 0].drop_vars(["space", "keypoint"])
        if kind in {"spikes", "calcium"}:
            count = stream.sizes["unit"]
            keep = np.arange(count) != 2
            stream["keep"] = ("unit", keep)
            reasons = np.where(keep, "", "too few spikes")
            # Text of any width, as zarr hands it back.
            stream["reason"] = ("unit", reasons.astype(np.dtypes.StringDType()))
            stream["noise"] = ("unit", np.ones(count))
            for extra in (
                "firing_rate",
                "isi_violations",
                "presence_ratio",
                "contamination",
                "amplitude_cutoff",
            ):
                stream[extra] = ("unit", np.ones(count), {"units": "Hz"})
        if kind not in {"events", "intervals"}:
            stream = stream.assign_attrs(provenance=steps, raw="")
        groups[f"/{name}"] = stream
    return xr.DataTree.from_dict(groups)


def causal_tree(names: list[str], *, edges: bool = True, truth: bool = True) -> xr.DataTree:
    """Return a graph over the named nodes, of which the last two are behaviour."""
    rng = np.random.default_rng(2)
    count = len(names)
    pairs = {"effect": names, "cause": names}
    skill = rng.beta(1.5, 4, (count, count))
    sizes = np.array([20, 60, 150, 400])
    growth = np.linspace(0.4, 1, 4)[:, None, None]
    np.fill_diagonal(skill, np.nan)
    cause, effect = np.divmod(np.argsort(-np.nan_to_num(skill.T), axis=None)[:40], count)
    kept = slice(None) if edges else slice(0)
    cause, effect = cause[kept], effect[kept]
    pair = ("effect", "cause")
    behaviour = np.arange(count) >= count - 2
    dataset: dict[str, xr.Dataset] = {
        "/": xr.Dataset(attrs={**ROOT, "split": "{}"}),
        "/nodes": xr.Dataset(
            {
                "stream": ("node", [*(name.split("/")[0] for name in names), "calcium"]),
                "kind": ("node", [*np.where(behaviour, "motion", "calcium"), "calcium"]),
                "behaviour": ("node", [*behaviour, False]),
                "embedding_dimension": ("node", rng.integers(2, 7, count + 1)),
                "self_skill": ("node", rng.uniform(0.5, 1, count + 1)),
                "excluded": ("node", [False] * count + [True]),
                "reason": ("node", [""] * count + ["it never changes"]),
            },
            {"node": [*names, "calcium/dead"]},
        ),
        "/skill": xr.Dataset(
            {
                "skill": (pair, skill),
                "convergence": (("library_size", *pair), growth * skill),
                "delta_skill": (pair, 0.6 * skill),
                "kendall": (pair, np.ones((count, count))),
                "correlation": (pair, rng.uniform(-1, 1, (count, count))),
            },
            {**pairs, "library_size": sizes},
        ),
        "/edges": xr.Dataset(
            {
                "cause": ("edge", np.array(names)[cause].astype(np.dtypes.StringDType())),
                "effect": ("edge", np.array(names)[effect].astype(np.dtypes.StringDType())),
                "skill": ("edge", skill[effect, cause]),
                "delta_skill": ("edge", 0.6 * skill[effect, cause]),
                "kendall": ("edge", np.ones(len(cause))),
            }
        ),
    }
    if truth:
        rate = np.linspace(0, 1, 51)
        dataset["/truth"] = xr.Dataset(
            {
                "edge": (pair, rng.random((count, count)) < 0.1),
                "roc_ccm": ("false_positive_rate", rate**0.2),
                "roc_correlation": ("false_positive_rate", rate**0.7),
            },
            {**pairs, "false_positive_rate": rate},
            {"auroc_ccm": 0.91, "auroc_correlation": 0.62},
        )
    return xr.DataTree.from_dict(dataset)


def twin_tree(names: list[str]) -> xr.DataTree:
    """Return a twin that animates the two behaviours from the first neurons."""
    rng = np.random.default_rng(3)
    time_T = np.arange(300) / RATE + 80
    channels = names[-2:]
    real = np.sin(time_T[:, None] * [0.8, 1.3]) + 0.1 * rng.standard_normal((300, 2))
    generated = np.sin(time_T[None, :, None] * [0.8, 1.3] + rng.uniform(0, 6, (5, 1, 2)))
    metrics = ["ks", "ks", "psd_hellinger", "nearest_training_window"]
    groups = {
        "/": xr.Dataset(attrs={**ROOT, "split": "{}", "seed": 0, "choice": "{}"}),
        "/drivers": xr.Dataset(
            {
                "target": ("driver", [channels[0], channels[0], channels[1]]),
                "node": ("driver", [names[0], names[1], names[2]]),
                "skill": ("driver", [0.8, 0.6, 0.5]),
            }
        ),
        "/network": xr.Dataset(
            {
                "driver": ("edge", [names[0], names[1], names[2], names[3]]),
                "node": ("edge", [channels[0], channels[0], channels[1], names[0]]),
                "skill": ("edge", [0.8, 0.6, 0.5, 0.4]),
            }
        ),
        "/behaviour": xr.Dataset(
            {
                "real": (("time", "channel"), real),
                "generated": (("sample", "time", "channel"), generated),
                "test_to_training_sd": ("channel", [1.0, 0.2]),
            },
            {"time": ("time", time_T, {"units": "s"}), "channel": channels},
        ),
        "/realism": xr.Dataset(
            {
                "channel": ("metric", [channels[0], channels[1], channels[0], "all"]),
                "generated_vs_real": ("metric", [0.11, 0.3, np.nan, 0.8]),
                "real_vs_real": ("metric", [0.12, 0.1, 0.1, 0.9]),
                "linear_vs_real": ("metric", [0.4, 0.5, 0.6, 0.9]),
                "verdict": ("metric", ["as real", "differs", "not measured", "copies"]),
            },
            {"metric": metrics},
        ),
    }
    return xr.DataTree.from_dict(groups)


def lnm_tree(names: list[str]) -> xr.DataTree:
    """Return a trained model's scores, decoded behaviour, one generated course."""
    rng = np.random.default_rng(4)
    time_T = np.arange(300) / RATE + 80
    real = np.sin(time_T[:, None] * [0.8, 1.3])
    noise = rng.standard_normal((300, 2))
    count = 8
    model = rng.uniform(0.3, 0.9, count)
    on_time = {"time": ("time", time_T, {"units": "s"}), "channel": names[-2:]}
    dims = ("time", "channel")
    groups = {
        "/": xr.Dataset(attrs={**ROOT, "split": "{}"}),
        "/training": xr.Dataset(
            {
                "train_loss": ("step", 1 / np.arange(1, 41)),
                "validation_loss": ("step", 1.1 / np.arange(1, 41)),
                "learning_rate": ("step", np.ones(40)),
            },
            {"step": np.arange(1, 41) * 10},
            {"best_step": 300, "stopped": "all steps done", "parameters": 100_000},
        ),
        "/scores": xr.Dataset(
            {
                "task": ("score", ["decode"] * 2 + ["forecast"] * 6),
                "target": ("score", [*names[-2:], *["calcium"] * 6]),
                "metric": ("score", ["r2"] * 8),
                "horizon": ("score", [-1, -1, 1, 2, 4, 8, 16, 32]),
                "model": ("score", model),
                "ridge": ("score", model - 0.1),
                "persistence": ("score", model - 0.2),
                "mean": ("score", np.zeros(count)),
                "reduced_rank": ("score", model - 0.15),
                "best": ("score", ["ridge"] * 8),
                **{name: ("score", np.full(count, np.nan)) for name in ("glm", "knn", "gru")},
                **{
                    name: ("score", rng.uniform(0.2, 0.9, count))
                    for name in ("correlation", "best_correlation", "crps", "crps_mean", "coverage")
                },
                "trial_correlation": ("score", np.full(count, np.nan)),
                "low": ("score", np.array([0.05, -0.1, 0.02, 0.02, -0.1, -0.3, -0.2, -0.2])),
                "high": ("score", np.array([0.15, 0.2, 0.1, 0.1, 0.1, -0.1, 0.2, 0.2])),
                "verdict": ("score", ["win", "tie", "win", "win", "tie", "loss", "tie", "tie"]),
            },
            attrs={"verdict_means": "win: better", "win": 3, "tie": 4, "loss": 1},
        ),
        "/decoded": xr.Dataset(
            {
                "real": (dims, real),
                "model": (dims, real + 0.1 * noise),
                "ridge": (dims, real + 0.3 * noise),
                "model_sd": (dims, np.full((300, 2), 0.1)),
            },
            on_time,
        ),
        "/forecast": xr.Dataset(
            {
                part: (("time", "horizon", "column"), np.repeat(real[:, None], 2, axis=1))
                for part in ("real", "model", "ridge", "model_sd")
            },
            {"time": on_time["time"], "horizon": [1, 8], "column": names[-2:]},
            {"time_is": "that of the last sample seen"},
        ),
        "/generated": xr.Dataset(
            {
                "value": (
                    ("sample", "time", "column"),
                    real[None] + 0.2 * rng.standard_normal((3, 300, 2)),
                )
            },
            {"time": on_time["time"], "column": names[-2:]},
        ),
    }
    return xr.DataTree.from_dict(groups)


RECORDING: dict[str, Any] = {
    "path": "/somewhere/animal.nwb",
    "byte_sha256": "ab" * 32,
    "logical_sha256": "cd" * 32,
    "bytes": 1_234_567,
    "nwb_version": "2.8.0",
    "sidecars": [
        {"path": "camera.mp4", "sha256": "ef" * 32, "bytes": 99},
        {"path": "lost.mp4", "sha256": None, "bytes": None},
    ],
    "session": {"lab": "Lab", "experimenter": ["A", "B"]},
    "findings": [
        {
            "code": "time_not_ascending",
            "severity": "warning",
            "what": HOSTILE,
            "where": "/processing/behavior",
            "remedy": "sorted",
        }
    ],
}


@pytest.fixture(scope="session")
def trees(make_aligned: Callable[..., xr.DataTree]) -> dict[str, xr.DataTree]:
    """Return the tree of every kind of artifact."""
    rng = np.random.default_rng(0)
    activity = np.sin(np.arange(SAMPLES)[:, None] / (5 + np.arange(UNITS)))
    activity += 0.2 * rng.standard_normal((SAMPLES, UNITS))
    behaviour = np.cumsum(rng.standard_normal((SAMPLES, 2)), axis=0)
    behaviour[100:150] = np.nan
    segment = (np.arange(SAMPLES) >= 600).astype(int)
    aligned = make_aligned(activity, behaviour, segment_T=segment, channels=["speed", HOSTILE])
    names = [
        *(f"calcium/n{i}" for i in range(UNITS)),
        "running/speed",
        f"running/{HOSTILE}",
    ]
    streams = stream_tree()
    return {
        "streams": streams,
        "preprocessed": preprocessed_tree(streams),
        "aligned": aligned.assign({name: streams[name] for name in ("licks", "trials")}),
        "causal": causal_tree(names),
        "twin": twin_tree(names),
        "lnm": lnm_tree(names),
    }


CONTRACTS = {
    "streams": STREAMS,
    "preprocessed": PREPROCESSED,
    "aligned": ALIGNED,
    "causal": CAUSAL,
    "twin": TWIN,
    "lnm": LNM,
}
STAGE = {
    "recording": "ingest",
    "streams": "ingest",
    "preprocessed": "preprocess",
    "aligned": "align",
    "causal": "causal",
    "twin": "twin",
    "lnm": "lnm",
}


@pytest.fixture(scope="session")
def fill_lake(trees: dict[str, xr.DataTree]) -> Callable[..., SessionLake]:
    """Return a function that commits the artifacts of some kinds to a lake."""

    def fill(folder: Path, kinds: tuple[str, ...]) -> SessionLake:
        settings = WorkspaceSettings(lake=str(folder))
        session = Session(
            subject=Subject(subject_id="m1", species="Mus musculus", sex="F", age="P90D"),
            session_id="day-1",
            start_time=datetime(2026, 1, 1, tzinfo=UTC),
        )
        key = Workspace(settings).catalogue.add_session(session)
        refs: list[ArtifactRef] = []
        outcomes: list[StageOutcome] = []
        for kind in ("recording", *CONTRACTS):
            if kind in kinds:
                request = Request(kind, STAGE[kind], StageSettings(), tuple(refs[-1:]), key)
                outcome = run_stage(settings, request, lambda d, kind=kind: build(d, kind, trees))
                assert outcome.ref is not None
                refs.append(outcome.ref)
            else:
                outcome = StageOutcome(
                    stage=STAGE[kind], state=RunState.EMPTY, reason=f"no {HOSTILE} at all."
                )
            outcomes.append(outcome)
        return SessionLake(settings, tuple(refs), tuple(outcomes))

    return fill


def build(draft: Draft, kind: str, trees: dict[str, xr.DataTree]) -> None:
    """Write what a stage would."""
    if kind == "recording":
        draft.write_json("recording.json", RECORDING)
    else:
        draft.write_tree(trees[kind], CONTRACTS[kind])
        draft.metric("valid_fraction", 0.93, 0.5, "pass", "of all samples")
        draft.metric("odd_one", float("nan"), 1.0, "warn", HOSTILE)
        draft.metric("count", 12.0)
    draft.fact("seed", 3)
    draft.key_figure = f"a figure of {kind} {HOSTILE}"


@pytest.fixture(scope="session")
def full_lake(
    fill_lake: Callable[..., SessionLake], tmp_path_factory: pytest.TempPathFactory
) -> SessionLake:
    """Return a lake in which every stage made its artifact."""
    return fill_lake(tmp_path_factory.mktemp("full"), tuple(STAGE))
