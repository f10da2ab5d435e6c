"""A whole stream imputed from all the others, neurons and behaviour together."""

import numpy as np
import pytest

from schemas.settings.lnm import LnmSettings
from tasks.lnm.data.grouping import hide_together, number_streams
from tasks.lnm.data.recording import Columns, Recording
from tasks.lnm.linear.skip import two_sided_tasks
from tasks.lnm.queries.query import decode, impute, linear_task, query, select_columns
from tasks.lnm.results import Result, train_and_examine

LENGTH = 1200


@pytest.fixture(scope="module")
def recording() -> Recording:
    """Pupil is the sum of two latents: the units know one of them, running the other."""
    rng = np.random.default_rng(1)
    latent_T2 = np.zeros((LENGTH, 2))
    for t in range(1, LENGTH):
        latent_T2[t] = 0.9 * latent_T2[t - 1] + rng.standard_normal(2)
    units_TN = np.outer(latent_T2[:, 0], rng.standard_normal(6))
    units_TN += 0.1 * rng.standard_normal(units_TN.shape)
    # Reduced rank has something to reduce in two channels of running, not in one pupil.
    noisy_T = 0.5 * latent_T2[:, 1] + rng.standard_normal(LENGTH)
    behaviour_TC = np.stack([latent_T2[:, 1], noisy_T, latent_T2.sum(1)], axis=1)
    return Recording(
        np.concatenate([units_TN, behaviour_TC], axis=1).astype(np.float32),
        np.arange(LENGTH) / 10.0,
        np.zeros(LENGTH, np.int64),
        10.0,
        Columns(
            (*(f"calcium/n{i}" for i in range(6)), "running/speed", "running/noisy", "pupil"),
            ("calcium",) * 6 + ("running", "running", "pupil"),
            ("calcium",) * 6 + ("motion", "motion", "eye"),
        ),
    )


@pytest.fixture(scope="module")
def result(recording: Recording, quick: LnmSettings) -> Result:
    return train_and_examine(recording, quick.model_copy(update={"steps": 40, "generated_s": 0.0}))


def test_pupil_is_told_by_neurons_and_running_together(result, recording):
    scores = {(s.task, s.target): s for s in result.exam.scores if s.metric == "r2"}
    assert 0.3 < scores["decode", "pupil"].model < 0.7
    assert scores["stream", "pupil"].model > 0.95
    assert scores["stream", "pupil"].verdict != "loss"
    # Of running, what pupil has more than the neurons know.
    assert scores["stream", "running/speed"].model > 0.95
    assert ("stream", "calcium") not in scores
    assert np.isfinite(scores["stream", "running/speed"].baselines["reduced_rank"])
    assert "reduced_rank" not in scores["stream", "pupil"].baselines


def test_a_question_takes_the_task_that_sees_most(result, recording):
    together, alone = impute(result.model, recording, ["pupil"]), decode(result.model, recording)
    real = recording.values_TV[:, -1]
    left = [np.var(real - a["mean"].sel(column="pupil").values) for a in (together, alone)]
    assert left[0] < 0.1 * left[1]
    assert (together.attrs["answered_by"], alone.attrs["answered_by"]) == ("stream", "decode")
    some = query(result.model, recording, ["pupil"], visible=["running/speed"])
    assert some.attrs["answered_by"].startswith("the network alone")
    pupil_V = select_columns(recording.columns, ["pupil"])
    neural_V = recording.columns.neural
    assert linear_task(result.model, ~pupil_V, pupil_V)[0] == "stream"
    assert linear_task(result.model, neural_V, pupil_V)[0] == "decode"


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ({"cells": "calcium", "eye": "eye"}, []),
        ({"cells": "calcium"}, []),
        ({"cells": "calcium", "eye": "eye", "wheel": "motion"}, ["eye", "wheel"]),
        ({"V1": "spikes", "CA1": "spikes", "eye": "eye"}, ["V1", "CA1"]),
        ({"eye": "eye", "wheel": "motion"}, ["eye", "wheel"]),
    ],
)
def test_streams_that_decoding_or_encoding_asks_for_are_not_asked_twice(kinds, expected):
    streams = tuple(stream for stream in kinds for _ in range(3))
    columns = Columns(
        tuple(f"{s}/{i}" for i, s in enumerate(streams)), streams, tuple(kinds[s] for s in streams)
    )
    number_V = number_streams(columns)
    found = [streams[i] for i in range(len(streams)) if number_V[i] >= 0]
    assert list(dict.fromkeys(found)) == expected
    tasks = two_sided_tasks(columns.neural, hide_together(columns, 0))
    for name, inputs, outputs in tasks:
        if name.startswith("stream"):
            assert sorted([*inputs, *outputs]) == list(range(len(streams)))
            assert {streams[i] for i in outputs} <= set(expected)
            assert len({streams[i] for i in outputs}) == 1
