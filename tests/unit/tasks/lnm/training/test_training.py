"""Learning what ridge cannot; no leak from hidden data; the same seed, the same model."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from safetensors.torch import load_file, save_file

from schemas.contracts.lnm import LNM
from schemas.contracts.streams import ROOT_ATTRS
from schemas.errors import LakeError, NotFoundError, SettingsError
from schemas.settings.lnm import LnmSettings
from schemas.settings.split import SplitSettings
from tasks.common.progress import progress_to
from tasks.common.segments import true_runs
from tasks.lnm.data.recording import Columns
from tasks.lnm.data.runs import find_runs, split_with_guard
from tasks.lnm.network.trained import CONFIG_NAME, WEIGHTS_NAME, load_model, save_model
from tasks.lnm.network.windows import Mixing, TaskWeights
from tasks.lnm.queries.generation import generate
from tasks.lnm.queries.infer import cut_hidden, predict_future, predict_hidden
from tasks.lnm.queries.query import decode, encode, forecast, impute, query
from tasks.lnm.results import (
    describe_scores,
    prepare_and_train,
    result_tree,
    train_and_examine,
)
from tasks.lnm.training.batches import draw_ahead, draw_batch, hold_training
from tasks.lnm.training.schedule import count_steps, schedule


def shut(model):
    """Return the model with every gate closed."""
    closed = TaskWeights.filled(0.0, len(model.skip.horizons), len(model.columns.names))
    return replace(model, mixing=Mixing(closed, model.mixing.spread, closed.forecast_HV))


def test_beats_ridge_where_behaviour_is_a_product_of_what_units_encode(product_result):
    scores = {(s.task, s.target): s for s in product_result.exam.scores if s.horizon < 0}
    product, first = (scores["decode", f"running/{name}"] for name in ("product", "first"))
    assert product.baselines["ridge"] < 0.2
    assert product.model > product.baselines["ridge"] + 0.3
    assert product.verdict == "win"
    assert first.baselines["ridge"] > 0.8
    assert first.verdict != "loss"
    assert "decode R2" in describe_scores(product_result.exam.scores)


def test_result_keeps_its_contract(product_result):
    attrs = dict.fromkeys(ROOT_ATTRS, "x")
    tree = result_tree(product_result, attrs)
    LNM.check(tree)
    horizons = sorted({s.horizon for s in product_result.exam.scores})
    assert horizons == [-1, 1, 2, 4, 8]
    assert tree["generated/value"].shape == (2, 30, 10)
    assert np.isfinite(tree["generated/value"]).all()
    assert np.isfinite(tree["decoded/model"]).all()


def test_closed_gates_are_the_skip(product_result):
    session = product_result.session
    model = shut(product_result.model)
    hidden_V = ~model.columns.neural
    runs = session.runs(2)
    located = predict_hidden(model, session.material, runs, hidden_V, "decode")
    test_T = session.part_T == 2
    ridge = model.skip.locate_all(("decode",), session.material.z_TV, runs)[test_T][:, hidden_V]
    np.testing.assert_allclose(located.location[test_T][:, hidden_V], ridge, atol=1e-5)


def test_decoding_does_not_see_behaviour(product_result, product_session):
    changed = replace(product_session, values_TV=product_session.values_TV.copy())
    changed.values_TV[:, 8:] = np.random.default_rng(0).standard_normal((2400, 2))
    model = product_result.model
    before, after = decode(model, product_session, t1=60.0), decode(model, changed, t1=60.0)
    xr.testing.assert_identical(before, after)


def test_imputing_a_unit_does_not_see_it(product_result, product_session):
    changed = replace(product_session, values_TV=product_session.values_TV.copy())
    changed.values_TV[:, 3] = 7.0
    model = product_result.model
    before, after = (
        impute(model, recording, ["calcium/n3"], t1=60.0)
        for recording in (product_session, changed)
    )
    xr.testing.assert_identical(before, after)
    real = product_session.values_TV[: before.sizes["time"], 3]
    assert np.corrcoef(before["mean"].values[:, 0], real)[0, 1] > 0.8


@pytest.mark.parametrize("n_samples", [0, 2])
def test_forecast_does_not_see_the_future(product_result, product_session, n_samples):
    changed = replace(product_session, values_TV=product_session.values_TV.copy())
    changed.values_TV[1001:] = 9.0
    model = product_result.model
    before, after = (
        forecast(model, recording, seen_until=100.0, horizon_s=0.6, n_samples=n_samples)
        for recording in (product_session, changed)
    )
    xr.testing.assert_identical(before, after)
    assert before["time"].values[0] == pytest.approx(100.1)
    assert before.sizes["time"] == 6


def test_forecast_sees_the_past(product_result, product_session):
    changed = replace(product_session, values_TV=product_session.values_TV.copy())
    changed.values_TV[1000] += 1.0
    material = product_result.model.material
    located = [
        predict_future(product_result.model, material(r), np.array([1000]), np.array([8]))
        for r in (product_session, changed)
    ]
    assert np.abs(located[0].location - located[1].location).max() > 0.1


def test_an_unforeseen_question_is_answered_by_the_network_alone(product_result, product_session):
    answered = query(
        product_result.model,
        product_session,
        ["running/product"],
        visible=["calcium/n0", "calcium/n1", "running/first"],
        t1=50.0,
        n_samples=3,
    )
    assert answered["sample"].shape == (3, 501, 1)
    assert np.isfinite(answered["mean"]).all()


def test_questions_that_make_no_sense(product_result, product_session):
    model = product_result.model
    with pytest.raises(NotFoundError, match="whiskers"):
        query(model, product_session, ["whiskers"])
    with pytest.raises(SettingsError, match="also visible"):
        query(model, product_session, ["running"], visible=["running/first"])
    with pytest.raises(SettingsError, match="1 to 8 samples"):
        forecast(model, product_session, 100.0, 5.0)
    other = replace(product_session, columns=Columns(("a",), ("a",), ("motion",)))
    with pytest.raises(SettingsError, match="columns"):
        decode(model, other)


def test_generated_courses_stay_in_range_and_repeat_by_seed(product_result, product_session):
    model = product_result.model
    one, two = (generate(model, product_session, 4.0, 2, seed=4) for _ in range(2))
    xr.testing.assert_identical(one, two)
    sd_V = one["value"].values.std((0, 1)) / model.scaler.sd_V
    assert (sd_V > 0.3).all()
    assert (sd_V < 2.0).all()


def test_saved_and_loaded_answers_are_identical(product_result, product_session, tmp_path):
    save_model(product_result.model, tmp_path)
    loaded = load_model(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.json", "model.safetensors"]
    for ask in (decode, encode):
        xr.testing.assert_identical(
            ask(product_result.model, product_session, t1=30.0),
            ask(loaded, product_session, t1=30.0),
        )
    xr.testing.assert_identical(
        forecast(product_result.model, product_session, 50.0, 1.5, n_samples=2),
        forecast(loaded, product_session, 50.0, 1.5, n_samples=2),
    )


def test_loading_says_what_is_missing(tmp_path):
    with pytest.raises(LakeError, match=r"no model\.json"):
        load_model(tmp_path)


def test_a_model_of_an_older_format_is_refused_with_the_remedy(product_result, tmp_path):
    save_model(product_result.model, tmp_path)
    told = json.loads((tmp_path / CONFIG_NAME).read_text())
    (tmp_path / CONFIG_NAME).write_text(json.dumps({**told, "format": 5}))
    with pytest.raises(LakeError, match=r"format 5, not 8.*Train it again"):
        load_model(tmp_path)


def test_a_lone_network_of_format_6_answers_as_ever(product_result, product_session, tmp_path):
    save_model(product_result.model, tmp_path)
    told = json.loads((tmp_path / CONFIG_NAME).read_text())
    del told["members"]
    (tmp_path / CONFIG_NAME).write_text(json.dumps({**told, "format": 6}))
    tensors = load_file(tmp_path / WEIGHTS_NAME)
    # Nor had it what was thought of since.
    for name in [n for n in tensors if n == "noise_level" or n.endswith(".region")]:
        del tensors[name]
    named = {n.replace("network.members.0.", "network."): t for n, t in tensors.items()}
    save_file(named, tmp_path / WEIGHTS_NAME)
    loaded = load_model(tmp_path)
    for ask in (decode, encode):
        xr.testing.assert_identical(
            ask(product_result.model, product_session, t1=30.0),
            ask(loaded, product_session, t1=30.0),
        )


def test_spikes_in_short_segments_repeat_by_seed(spiking_session, quick):
    settings = quick.model_copy(
        update={"steps": 40, "generated_s": 1.0, "split": SplitSettings(guard_s=0.5)}
    )
    one, two = (train_and_examine(spiking_session, settings) for _ in range(2))
    assert [s.model for s in one.exam.scores] == [s.model for s in two.exam.scores]
    for name, tensor in one.model.network.state_dict().items():
        assert torch.equal(tensor, two.model.network.state_dict()[name])
    metrics = {s.metric for s in one.exam.scores if s.task in ("encode", "impute")}
    assert metrics == {"bits_per_spike"}
    spikes = one.generated["value"].values[..., :6]
    assert (np.abs(spikes - spikes.round()) < 1e-4).all()
    assert (spikes > -1e-4).all()


@pytest.mark.parametrize("kept", ["behaviour", "neurons"])
def test_half_a_session_is_enough(product_session, quick, kept):
    index = np.arange(8, 10) if kept == "behaviour" else np.arange(8)
    settings = quick.model_copy(update={"steps": 20, "generated_s": 0.0})
    result = train_and_examine(product_session.take(index), settings)
    tasks = {s.task for s in result.exam.scores}
    assert tasks == ({"forecast"} if kept == "behaviour" else {"forecast", "impute"})
    assert "decode" in result.exam.skipped
    assert result.exam.decoded is None
    assert result.generated is None
    assert "forecast R2" in describe_scores(result.exam.scores)


def test_without_the_linear_skip_the_network_learns_all(product_session, quick):
    settings = quick.model_copy(update={"steps": 60, "generated_s": 0.0, "linear_skip": False})
    result = train_and_examine(product_session, settings)
    decoded = next(s for s in result.exam.scores if s.target == "running/first")
    assert 0.3 < decoded.model != decoded.baselines["ridge"]


def test_missing_stretches_and_a_dead_unit(product_session, quick):
    values_TV = product_session.values_TV.copy()
    values_TV[300:500, 8:] = np.nan
    values_TV[1500:1700, 2] = np.nan
    values_TV[:, 5] = 1.0
    settings = quick.model_copy(update={"steps": 20})
    result = train_and_examine(replace(product_session, values_TV=values_TV), settings)
    assert result.left_out == ["calcium/n5"]
    assert all(np.isfinite(s.model) for s in result.exam.scores)
    assert np.isfinite(result.generated["value"]).all()


def test_divergence_stops_with_a_reason_and_keeps_the_best_state(product_session, quick):
    settings = quick.model_copy(update={"learning_rate": 1e4, "generated_s": 0.0})
    result = train_and_examine(product_session, settings)
    assert result.curves.stopped
    assert all(np.isfinite(s.model) for s in result.exam.scores)


def test_progress_tells_the_loss(product_session, quick):
    class Sink:
        def __init__(self):
            self.notes = []

        def update(self, label, done, total, note=""):
            self.notes.append((label, done, total, note))

    sink = Sink()
    settings = quick.model_copy(update={"steps": 50, "generated_s": 0.0})
    with progress_to(sink):
        train_and_examine(product_session, settings)
    _label, done, total, note = next(n for n in sink.notes if n[0] == "train the model")
    assert (done, total) == (50, 50)
    assert "validation" in note


def test_runs_of_a_part_never_touch_another(product_result):
    session = product_result.session
    for part in range(3):
        for start, stop in session.runs(part):
            assert (session.part_T[start:stop] == part).all()
    assert find_runs(session.recording.segment_T, session.part_T)


@pytest.mark.parametrize(("columns", "steps"), [(10, 1200), (150, 1200), (500, 360), (9000, 200)])
def test_larger_sessions_take_fewer_steps(columns, steps):
    assert count_steps(LnmSettings(), columns) == steps
    assert count_steps(LnmSettings(steps=7), columns) == 7


def test_learning_rate_warms_up_and_cools_down():
    rates = [schedule(step / 100) for step in range(1, 101)]
    assert max(rates) == pytest.approx(1.0)
    assert rates[0] < 0.3
    assert rates[-1] == pytest.approx(0.05)


def test_forecasts_that_are_kept_are_those_that_would_be_computed(product_result):
    material = product_result.session.material
    origin_B = np.flatnonzero(product_result.session.part_T == 0)[[3, 700, 1100]]
    kept = material.forecast_base(origin_B)
    computed = replace(material, ahead=None).forecast_base(origin_B)
    for one, other in zip(kept, computed, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_batches_drawn_ahead_are_those_drawn_in_turn(product_result, quick):
    session = product_result.session
    rng = np.random.default_rng(4)
    state = rng.bit_generator.state
    ahead = draw_ahead([session], quick, state, range(1, 6))
    for step, ((batch,), after, draw_next) in enumerate(ahead, start=1):
        # When it is asked to, and how often, changes nothing.
        for _ in range(step % 3):
            draw_next()
        (expected,) = draw_batch(session, hold_training(session), quick, rng, step / 5)
        assert after == rng.bit_generator.state
        assert torch.equal(batch.inputs.values_BLV, expected.inputs.values_BLV)
        assert torch.equal(batch.error_BLV, expected.error_BLV)
    assert step == 5


def test_with_blocks_nothing_is_learnt_from_any_test_part_or_its_guards(
    product_session, quick, tmp_path
):
    split = SplitSettings(guard_s=1.0, blocks=3)
    changes = {"steps": 10, "split": split, "members": 2}
    settings = quick.model_copy(update=changes)
    fitting_T = split_with_guard(product_session, split, settings.window).fitting
    assert len(true_runs(~fitting_T)) == 3
    changed = replace(product_session, values_TV=product_session.values_TV.copy())
    changed.values_TV[~fitting_T] = 50.0
    for name, recording in (("one", product_session), ("other", changed)):
        session, model, _ = prepare_and_train(recording, settings)
        (tmp_path / name).mkdir()
        save_model(model, tmp_path / name)
    for file in (CONFIG_NAME, WEIGHTS_NAME):
        one, other = ((tmp_path / name / file).read_bytes() for name in ("one", "other"))
        assert one == other
    # Origins of forecasts and their contexts stay in one test part each.
    for origin, context in zip(session.origin_O, session.context_O, strict=True):
        assert (session.part_T[origin - context + 1 : origin + 2] == 2).all()
    assert load_model(tmp_path / "one").split == split


def test_several_networks_answer_with_their_mean(product_session, quick, tmp_path):
    settings = quick.model_copy(update={"steps": 30, "generated_s": 0.0, "members": 2})
    result = train_and_examine(product_session, settings)
    assert result.curves.step[-1] == 60
    save_model(result.model, tmp_path)
    loaded = load_model(tmp_path)
    xr.testing.assert_identical(
        decode(result.model, product_session, t1=30.0), decode(loaded, product_session, t1=30.0)
    )
    session, network = result.session, result.model.network
    about = (np.array([1600]), np.array([16]), ~result.model.columns.neural, "decode", -1)
    cut = cut_hidden(result.model, session.material, *about)
    with torch.no_grad():
        one, two = (member(cut.inputs).location_BLV for member in network.networks)
        np.testing.assert_allclose(network(cut.inputs).location_BLV, (one + two) / 2, atol=1e-6)
    assert not torch.equal(one, two)


def test_a_network_never_sees_the_fold_that_it_is_weighed_on(product_result):
    session = product_result.session
    for fold in range(3):
        seen = session.leave_out(fold, 3)
        start, stop = session.fold_runs(fold, 3)[0]
        beside = slice(max(0, start - session.window // 2), stop + session.window // 2)
        assert not (seen.part_T[beside] == 0).any()
        np.testing.assert_array_equal(seen.part_T == 1, session.part_T == 1)
        assert (seen.part_T == 0).sum() > 0.5 * (session.part_T == 0).sum()
    runs = [run for fold in range(3) for run in session.fold_runs(fold, 3)]
    assert sum(stop - start for start, stop in runs) == (session.part_T == 0).sum()
