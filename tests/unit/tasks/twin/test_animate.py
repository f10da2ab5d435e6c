"""The whole twin on a system with a known answer: x of a Lorenz system, driven by y and z."""

import json

import numpy as np
import pytest
import xarray as xr

from schemas.contracts.twin import TWIN
from schemas.errors import NotFoundError, RecordingTooShortError, SettingsError
from schemas.settings.split import SplitSettings
from schemas.settings.twin import TwinSettings
from tasks.twin.animate import animate
from tasks.twin.summary import quality_metrics, summarise_twin

QUICK = TwinSettings(
    rules=("linear",),
    delay_choices=(1,),
    neighbour_choices=(8,),
    theta_choices=(3.0,),
    validation_starts=4,
    n_samples=4,
)


@pytest.fixture(scope="module")
def twin(lorenz_animal):
    return animate(*lorenz_animal, QUICK)


def _row(twin, metric):
    realism = twin["realism"].to_dataset()
    return realism.isel(metric=int(np.flatnonzero(realism["metric"].values == metric)[0]))


def test_keeps_the_contract(twin):
    TWIN.check(twin)
    assert json.loads(twin.attrs["choice"])["rule"] == "linear"
    assert twin["network"].sizes["edge"] == 5
    assert twin["drivers"]["node"].values.tolist() == ["calcium/n0"]


def test_the_generated_attractor_is_the_real_one(twin):
    assert set(twin["realism"]["verdict"].values) == {"as real"}
    generated, real = twin["behaviour"]["generated"].values, twin["behaviour"]["real"].values
    assert generated.std() == pytest.approx(real.std(), rel=0.15)
    # Two wings, and a linear model of the same past has none.
    assert (np.abs(generated) > 5).mean() == pytest.approx((np.abs(real) > 5).mean(), abs=0.1)
    assert float(_row(twin, "psd_hellinger")["linear_vs_real"]) > float(
        _row(twin, "psd_hellinger")["generated_vs_real"]
    )


def test_forecasts_beat_persistence_and_a_linear_model(twin):
    scores = twin["forecast"].to_dataset()
    assert scores["horizon"].values.tolist() == [1, 5, 20]
    assert set(scores["verdict"].values) == {"win"}
    assert (scores["model"] < 0.5 * scores["autoregression"]).all()


def test_the_same_seed_gives_the_same_twin(twin, lorenz_animal):
    again = animate(*lorenz_animal, QUICK)
    xr.testing.assert_identical(again["behaviour"].to_dataset(), twin["behaviour"].to_dataset())
    xr.testing.assert_identical(again["realism"].to_dataset(), twin["realism"].to_dataset())


def test_the_test_part_never_reaches_the_run(twin, lorenz_TN, make_aligned, lorenz_animal):
    changed_TN = lorenz_TN.copy()
    test_from = round(len(changed_TN) * 0.8) + 20
    changed_TN[test_from:] = np.random.default_rng(0).standard_normal(changed_TN[test_from:].shape)
    changed = animate(make_aligned(changed_TN[:, 1:], changed_TN[:, :1]), lorenz_animal[1], QUICK)
    np.testing.assert_array_equal(changed["behaviour"]["generated"], twin["behaviour"]["generated"])
    assert changed.attrs["choice"] == twin.attrs["choice"]
    assert not changed["behaviour"]["real"].equals(twin["behaviour"]["real"])


def test_the_last_state_before_the_test_part_is_where_it_starts(twin, lorenz_TN):
    before = lorenz_TN[round(len(lorenz_TN) * 0.8) + 19, 0]
    first = twin["behaviour"]["generated"].values[:, 0, 0]
    assert np.abs(first - before).max() < 8
    np.testing.assert_allclose(first, twin["behaviour"]["real"].values[0, 0], atol=0.5)


def test_short_windows_are_animated_one_by_one(lorenz_TN, make_aligned, lorenz_animal):
    segment_T = np.repeat(np.arange(len(lorenz_TN) // 30), 30)
    aligned = make_aligned(lorenz_TN[:, 1:], lorenz_TN[:, :1], segment_T=segment_T)
    twin = animate(aligned, lorenz_animal[1], QUICK)
    generated = twin["behaviour"]["generated"].values
    assert np.isfinite(generated).all()
    assert np.abs(generated).max() < 25
    # Each window starts from its own state, not where the last one ended.
    first_of_windows = generated[:, 8::30, 0]
    assert first_of_windows.std() > 4


def test_gaps_in_behaviour_are_not_scored_as_values(lorenz_TN, make_aligned, lorenz_animal):
    holed_TN = lorenz_TN.copy()
    holed_TN[1000:1040] = np.nan
    twin = animate(make_aligned(holed_TN[:, 1:], holed_TN[:, :1]), lorenz_animal[1], QUICK)
    assert np.isnan(twin["behaviour"]["real"].values).sum() == 40
    assert np.isfinite(twin["realism"]["generated_vs_real"].values).all()


def test_a_graph_of_another_split_is_refused(lorenz_animal):
    settings = QUICK.model_copy(update={"split": SplitSettings(test=0.3)})
    with pytest.raises(SettingsError, match="split"):
        animate(*lorenz_animal, settings)


def test_a_graph_that_saw_the_test_part_is_refused(lorenz_animal, make_causal):
    edges = [("calcium/n0", "running", 0.5)]
    causal = make_causal(["calcium/n0"], ["running"], edges, use="all")
    with pytest.raises(SettingsError, match="test part"):
        animate(lorenz_animal[0], causal, QUICK)


def test_a_graph_of_another_session_is_refused(lorenz_animal, make_causal):
    causal = make_causal(["calcium/n7"], ["running"], [("calcium/n7", "running", 0.5)])
    with pytest.raises(NotFoundError, match="n7"):
        animate(lorenz_animal[0], causal, QUICK)


def test_stretches_too_short_to_compare_are_refused(lorenz_TN, make_aligned, lorenz_animal):
    segment_T = np.repeat(np.arange(len(lorenz_TN) // 6), 6)
    aligned = make_aligned(lorenz_TN[:, 1:], lorenz_TN[:, :1], segment_T=segment_T)
    with pytest.raises(RecordingTooShortError, match="windows of 6 samples"):
        animate(aligned, lorenz_animal[1], QUICK)


def test_a_hardly_valid_driver_is_left_out(lorenz_TN, make_aligned, make_causal):
    poor_TN = np.column_stack([lorenz_TN[:, 1:], lorenz_TN[:, 2]])
    poor_TN[::2, 2] = np.nan
    y, poor, x = "calcium/n0", "calcium/n2", "running"
    causal = make_causal([y, poor], [x], [(poor, x, 0.95), (y, x, 0.9), (x, y, 0.8)])
    twin = animate(make_aligned(poor_TN, lorenz_TN[:, :1]), causal, QUICK)
    assert poor not in twin["network"]["driver"].values


def test_summary_and_quality_figures(twin):
    assert summarise_twin(twin).startswith("1 behaviour from 2 neurons; C2ST AUC 0.")
    metrics = quality_metrics(twin)
    assert {metric.verdict for metric in metrics} == {"pass"}
    assert len(metrics) == twin["realism"].sizes["metric"] + 1
