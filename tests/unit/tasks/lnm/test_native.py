"""Streams at their own rate: read slot by slot, hidden and scored as the channels that they are."""

import numpy as np
import pytest
import xarray as xr

from schemas.contracts.aligned import ALIGNED
from schemas.errors import NotFoundError
from schemas.settings.lnm import LnmSettings
from tasks.lnm.data.reading import open_for, open_source, read_recording
from tasks.lnm.data.recording import fit_scaler
from tasks.lnm.network.trained import load_model, save_model
from tasks.lnm.queries.answers import at_own_rate
from tasks.lnm.queries.generation import generate
from tasks.lnm.queries.query import decode, forecast
from tasks.lnm.results import Result, train_and_examine

LENGTH, SLOTS = 900, 4


@pytest.fixture(scope="module")
def tree(make_aligned) -> xr.DataTree:
    """Units follow how much the wheel sped up within a sample, of which its mean tells nothing."""
    rng = np.random.default_rng(2)
    kernel = np.exp(-0.5 * (np.arange(-6, 7) / 1.5) ** 2)
    wheel_F = np.convolve(
        rng.standard_normal(SLOTS * LENGTH), kernel / np.linalg.norm(kernel), "same"
    )
    wheel_TS = wheel_F.reshape(LENGTH, SLOTS)
    change_T = wheel_TS[:, -1] - wheel_TS[:, 0]
    units_TN = np.outer(change_T, rng.uniform(0.5, 2, 5)) + 0.05 * rng.standard_normal((LENGTH, 5))
    made = make_aligned(units_TN, wheel_TS.mean(1)[:, None])
    stream = made["running"].to_dataset()
    slots = ((np.arange(SLOTS) + 0.5) / SLOTS - 0.5) / 10.0
    native = (
        ("time", "slot", "channel"),
        wheel_TS[..., None].astype(np.float32),
        {"units": "cm/s"},
    )
    made["running"] = xr.DataTree(stream.assign(native=native, slot=("slot", slots)))
    ALIGNED.check(made)
    return made


@pytest.fixture(scope="module")
def result(tree, quick: LnmSettings) -> Result:
    return train_and_examine(open_source(tree), quick.model_copy(update={"steps": 40}))


def test_what_lies_within_a_sample_is_read_at_the_streams_own_rate(tree, quick, result):
    resampled = train_and_examine(
        open_source(tree, native=False), quick.model_copy(update={"steps": 40})
    )
    scores = [
        {(s.task, s.target): s for s in found.exam.scores if s.horizon < 0 and s.metric == "r2"}
        for found in (result, resampled)
    ]
    assert scores[0].keys() == scores[1].keys() == {
        ("decode", "running"), ("encode", "calcium"), ("impute", "calcium"),
    }  # fmt: skip
    own, mean = (found["encode", "calcium"].model for found in scores)
    assert own > 0.95 > mean + 0.2
    assert scores[0]["encode", "calcium"].verdict != "loss"


def test_a_channel_is_one_thing_whatever_its_slots(tree, result):
    columns = result.model.columns
    assert columns.names[5:] == tuple(
        f"running@{s}" for s in ("-0.0375", "-0.0125", "+0.0125", "+0.0375")
    )
    assert set(columns.targets) == {"calcium", "running"}
    np.testing.assert_allclose(columns.offset, [*[0] * 5, -0.0375, -0.0125, 0.0125, 0.0375])
    assert len(set(result.model.network.config.groups)) == 2
    scaler = fit_scaler(read_recording(tree), np.arange(LENGTH) < 500)
    assert len(set(scaler.sd_V[5:])) == 1
    assert result.exam.decoded["channel"].values.tolist() == ["running@-0.0375"]


def test_answers_come_at_the_streams_own_rate(tree, result, tmp_path):
    save_model(result.model, tmp_path)
    model = load_model(tmp_path)
    recording = open_for(model.columns, tree).whole()
    answer = decode(model, recording, t0=10.0, t1=20.0)
    flat = at_own_rate(answer, "running")
    assert flat.sizes["time"] == SLOTS * answer.sizes["time"]
    np.testing.assert_allclose(np.diff(flat["time"]), 0.025, atol=1e-6)
    np.testing.assert_array_equal(flat["mean"][:SLOTS], answer["mean"][0])
    assert flat["quantile_value"].dims == ("quantile", "time")
    ahead = forecast(model, recording, 50.0, 0.5, n_samples=2)
    assert at_own_rate(ahead, "running")["sample"].shape == (2, 5 * SLOTS)
    free = generate(model, recording, 2.0, 1)
    assert at_own_rate(free, "running")["value"].shape == (1, 20 * SLOTS)
    with pytest.raises(NotFoundError, match="no channel"):
        at_own_rate(answer, "calcium")
