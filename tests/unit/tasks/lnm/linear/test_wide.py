"""Sessions of more units than are judged: axes in place of a map a unit, windows in pieces."""

from dataclasses import astuple, replace
from functools import partial

import numpy as np
import pytest
import torch

from tasks.lnm.baselines.axes import fit_wide, view_judged
from tasks.lnm.baselines.rivals import BASELINES, fit_rivals
from tasks.lnm.data.recording import fit_scaler
from tasks.lnm.data.runs import find_runs, forecast_origins
from tasks.lnm.linear.problems import make_problems
from tasks.lnm.linear.wide import lie_along, private_shares
from tasks.lnm.network.ensemble import Ensemble
from tasks.lnm.network.material import prepare_material
from tasks.lnm.network.trained import load_model, save_model
from tasks.lnm.queries.infer import predict_future, predict_task
from tasks.lnm.results import result_tree, train_and_examine
from tasks.lnm.training.batches import draw_batch, hold_training, validation_cuts
from tasks.lnm.training.machine import Machine
from tasks.lnm.training.optimise import take_step
from tasks.lnm.training.schedule import make_optimiser
from tasks.lnm.training.session import divide_recording
from tasks.lnm.training.stopping import measure_loss
from tasks.lnm.training.train import build_network, join_skip


def problems_of(recording, parts=(0, 1, 2)):
    part_T = np.repeat(parts, len(recording.time_T) // 3)
    scaler = fit_scaler(recording, part_T == 0)
    z_TV = scaler.standardise(recording.values_TV)
    return make_problems(z_TV, recording.segment_T, part_T, recording.columns, scaler, 16, 0)


@pytest.fixture
def three_judged(monkeypatch):
    """Judge three of the eight units."""
    monkeypatch.setattr("tasks.lnm.linear.wide.MOST_JUDGED", 3)


def test_ridge_to_all_axes_of_its_fit_is_ridge(product_session, monkeypatch):
    # Validation would choose a penalty for each axis, which is not that of each unit.
    parts = (0, 0, 2)
    exact = next(p for p in problems_of(product_session, parts) if p.name == "encode")
    assert exact.wide is None
    monkeypatch.setattr("tasks.lnm.linear.wide.MOST_JUDGED", 3)
    problem = next(p for p in problems_of(product_session, parts) if p.name == "encode")
    wide, rows = problem.wide, np.arange(1700, 1900)
    # Axes that hold less than a millionth of what ridge fits are left out.
    rank = len(wide.axes_RO)
    assert (len(problem.outputs), len(wide.outputs)) == (3, 8)
    assert 2 < rank <= 8
    np.testing.assert_allclose(wide.axes_RO @ wide.axes_RO.T, np.eye(rank), atol=1e-3)
    member = fit_wide(problem, wide)["ridge"].take(wide.judged)
    answer = member.locate(view_judged(problem.seen, wide, rows, crossed=False))
    expected = BASELINES["ridge"](exact).locate(rows)
    np.testing.assert_allclose(answer, expected[:, wide.judged], atol=1e-2)


def test_a_forecast_adds_what_the_axes_do_not_hold(product_session, three_judged, monkeypatch):
    monkeypatch.setattr("tasks.lnm.linear.wide.MOST_AXES", 2)
    rng = np.random.default_rng(0)
    values_TV = product_session.values_TV.copy()
    # Three latents are more than two axes hold.
    drift_T = np.cumsum(rng.standard_normal(len(values_TV)))
    values_TV[:, 0] = 0.5 * (drift_T - np.convolve(drift_T, np.ones(60) / 60, "same"))
    recording = replace(product_session, values_TV=values_TV)
    problem = next(p for p in problems_of(recording) if (p.name, p.horizon) == ("forecast", 1))
    wide = problem.wide
    # Behaviour is judged whole: each channel is its own axis, and has nothing beside it.
    np.testing.assert_array_equal(wide.axes_RO[-2:, 8:], np.eye(2))
    assert wide.private_O[:8].max() > 0.5
    np.testing.assert_allclose(wide.private_O[8:], 0, atol=1e-5)
    rows = np.arange(1610, 2300)
    answers, members = {}, fit_wide(problem, wide)
    members["axes alone"] = replace(members["ridge"], anchor_O=0 * wide.private_O)
    for name, member in members.items():
        view = view_judged(problem.seen, wide, rows, crossed=False)
        answers[name] = member.take(wide.judged).locate(view)
        # What is known of the axes is what would be computed.
        again = member.take(np.arange(10)).locate(
            replace(view, last_TO=wide.last_TV[rows], last_TR=None)
        )
        np.testing.assert_allclose(answers[name], again[:, wide.judged], atol=1e-5)
    z_TV = wide.z_TV[rows + 1][:, problem.outputs]
    missed = {n: ((z_TV - a) ** 2).mean() for n, a in answers.items()}
    assert missed["ridge"] < 0.95 * missed["axes alone"] < 0.95 * missed["mean"]


def test_values_along_axes_leave_out_what_is_missing():
    z_TV = np.array([[1.0, 1.0, 5.0], [np.nan, 1.0, np.nan], [np.nan, np.nan, 2.0]], np.float32)
    axes_RO = np.array([[0.6, 0.8, 0.0], [0.0, 0.0, 1.0]], np.float32)
    low_TR = lie_along(z_TV, np.arange(3), np.array([False, False, True]), axes_RO)
    np.testing.assert_allclose(low_TR, [[1.4, 5.0], [0.8, np.nan], [np.nan, 2.0]])


def test_private_shares_are_autocorrelations():
    rng = np.random.default_rng(0)
    z_TV = np.zeros((20_000, 2), np.float32)
    for t in range(1, len(z_TV)):
        z_TV[t] = [0.9, 0.0] * z_TV[t - 1] + rng.standard_normal(2)
    nothing = np.zeros((len(z_TV), 1), np.float32), np.zeros((1, 2), np.float32)
    share_HO = private_shares(z_TV, np.arange(2), *nothing, [(0, 9000), (9000, 20_000)], (1, 4))
    np.testing.assert_allclose(share_HO, [[0.9, 0], [0.9**4, 0]], atol=0.03)


def test_a_model_of_many_units_is_trained_judged_and_kept(
    product_session, three_judged, quick, tmp_path, monkeypatch
):
    brief = {"steps": 20, "baselines": (), "generated_s": 0.0}
    result = train_and_examine(product_session, quick.model_copy(update=brief))
    judged = result.session.rivals.judged
    assert len(judged) == 5
    scored = {(score.task, score.target) for score in result.exam.scores}
    assert {("encode", "calcium"), ("decode", "running/first"), ("impute", "calcium")} <= scored
    skip, material = result.model.skip, result.session.material
    rows_B2 = np.array([[3, 4], [900, 2100]])
    # All units have a skip, judged or not, and it tells of them.
    test_T = result.session.part_T == 2
    missed_V = (material.z_TV - material.base["impute"])[test_T].var(0)[:8]
    assert (missed_V < 0.5 * material.z_TV[test_T].var(0)[:8]).all()
    # Of so many that they are not kept, predictions are the same when they are asked for.
    monkeypatch.setattr("tasks.lnm.network.material.MOST_KEPT", 0)
    runs = find_runs(product_session.segment_T, result.session.part_T)
    about = (material.z_TV, runs, skip, product_session.columns, 10.0, material.fold_T)
    asked_for = prepare_material(*about).base
    assert set(asked_for) == set(material.base)
    for task, kept_TV in material.base.items():
        np.testing.assert_allclose(asked_for[task][rows_B2], kept_TV[rows_B2], atol=1e-5)
        assert asked_for[task][rows_B2[:0]].shape == kept_TV[rows_B2[:0]].shape
    told = result_tree(result, {})["scores"].attrs["verdict_means"]
    assert "evenly spread are judged" in told
    save_model(result.model, tmp_path)
    again = load_model(tmp_path).skip
    rows = np.arange(100, 140)
    asked = (material.features_TF[rows], material.last_TV[rows])
    for one, two in zip(skip.forecast(*asked), again.forecast(*asked), strict=True):
        np.testing.assert_array_equal(one, two)


def test_windows_in_pieces_cost_the_same(product_session, quick, monkeypatch):
    session = divide_recording(product_session, quick)
    network = build_network(session, quick).eval()
    for parameter in network.parameters():
        parameter.data += 0.02
    found = []
    for most in (16_000_000, 3 * 16 * 10):
        monkeypatch.setattr("tasks.lnm.training.batches.AT_ONCE", most)
        cuts = validation_cuts(session, quick, 20)
        found.append([measure_loss(network, cut, session.costs) for cut in cuts])
        pieces = [len(cut.pieces) for cut in cuts]
        assert max(pieces) == (1 if most > 1000 else 27)
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    monkeypatch.setattr("tasks.lnm.training.batches.MOST_VALUES", 3 * 16 * 10)
    (batch,) = draw_batch(session, hold_training(session), quick, np.random.default_rng(0), 0.5)
    assert len(batch.z_BLV) == 3


def test_a_step_in_pieces_is_the_step_of_the_whole(product_session, quick, monkeypatch):
    still = quick.model_copy(update={"dropout": 0.0})
    session = divide_recording(product_session, still)
    steps = []
    for most in (16_000_000, 3 * 16 * 10):
        monkeypatch.setattr("tasks.lnm.training.batches.AT_ONCE", most)
        torch.manual_seed(0)
        network = build_network(session, still)
        batch = draw_batch(session, hold_training(session), still, np.random.default_rng(0), 0.5)
        loss = take_step(network, make_optimiser(network, still), batch, session.costs, Machine())
        steps.append((len(batch), loss, [p.grad for p in network.parameters()]))
    assert [pieces for pieces, *_ in steps] == [1, 6]
    assert steps[0][1] == pytest.approx(steps[1][1], rel=1e-5)
    for one, two in zip(steps[0][2], steps[1][2], strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)


def test_answers_do_not_depend_on_which_columns_are_kept(product_session, quick):
    session = divide_recording(product_session, quick)
    network = build_network(session, quick)
    for parameter in network.parameters():
        parameter.data += 0.02
    model = join_skip(Ensemble([network]), session, quick)
    kept, runs = np.array([1, 4, 8]), session.runs(1)
    origins = forecast_origins(runs, session.window)
    for ask in (
        partial(predict_task, model, session.material, runs, "impute"),
        partial(predict_task, model, session.material, runs, "decode"),
        partial(predict_future, model, session.material, *origins),
    ):
        every, some = ask(), ask(kept=kept)
        for one, two in zip(astuple(every), astuple(some), strict=True):
            if one is not None:
                np.testing.assert_allclose(one[..., kept], two, atol=1e-5)


def test_the_skip_of_a_judged_whole_session_does_not_know_of_axes(product_session, quick):
    part_T = np.repeat([0, 1, 2], 800)
    scaler = fit_scaler(product_session, part_T == 0)
    skip, rivals, _ = fit_rivals(
        product_session,
        scaler.standardise(product_session.values_TV),
        part_T,
        scaler,
        np.arange(1620, 2300),
        16,
        quick,
    )
    np.testing.assert_array_equal(rivals.judged, np.arange(10))
    members = [m for own in skip.maps.values() for b in own.blends for m in b.members.values()]
    assert all(getattr(member, "axes", None) is None for member in members)
