"""Every question that the command line can ask gets its answer."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from schemas.errors import SettingsError
from schemas.settings.lnm_question import LnmQuestion
from schemas.settings.split import SplitSettings
from tasks.lnm.queries.questions import ask
from tasks.lnm.tables import draw_curve, mean_scores, summarise_curve, tabulate, write_curve


@pytest.fixture
def put(product_result, product_session):
    """Ask the trained model about its session."""

    def question(task, targets=(), **given):
        asked = LnmQuestion(task=task, targets=targets, **given)
        return ask(product_result.model, product_session, asked)

    return question


def test_predictions_hold_what_was_asked_for(put):
    assert put("decode", t1=20.0).sizes["column"] == 2
    assert put("encode", t1=20.0).sizes["column"] == 8
    assert put("impute", ["calcium/n2"], t1=20.0).sizes["column"] == 1
    forecast = put("forecast", seen_until=50.0, seconds=0.5)
    assert (forecast.sizes["time"], forecast.sizes["column"]) == (5, 10)
    assert np.isfinite(forecast["median"]).all()
    assert put("generate", seconds=3.0, n_samples=2)["value"].shape == (2, 30, 10)


def test_scores_of_the_test_part_are_those_of_the_exam(put, product_result):
    time_T = product_result.session.recording.time_T[product_result.session.part_T == 2]
    scored = put("score", t0=float(time_T[0]), t1=float(time_T[-1]))
    found = {
        tuple(r[name].item() for name in ("task", "target", "metric", "horizon")): r
        for r in (scored.isel(score=at) for at in range(scored.sizes["score"]))
    }
    for score in product_result.exam.scores:
        own = found[score.task, score.target, score.metric, score.horizon]
        assert float(own["model"]) == pytest.approx(score.model, abs=1e-4)
        if score.metric != "mae":
            assert float(own["mean"]) == pytest.approx(score.baselines["mean"], abs=1e-4)


def test_states_and_probes_tell_of_every_layer(put):
    states = put("embed", t0=10.0, t1=60.0)
    assert states["state"].dims == ("layer", "time", "feature")
    assert 10.0 <= states["time"].min() < states["time"].max() <= 60.0
    probed = put("probe")
    assert {"r2", "control", "similarity", "similarity_control"} == set(probed.data_vars)


def test_probes_keep_to_the_split_of_the_training(product_result, product_session, monkeypatch):
    seen = []

    def probe_layers(model, material, runs):
        seen.append(runs)
        return xr.Dataset()

    monkeypatch.setattr("tasks.lnm.queries.questions.probe_layers", probe_layers)
    split = SplitSettings(blocks=3)
    model = replace(product_result.model, split=split)
    ask(model, product_session, LnmQuestion(task="probe"))
    assert [len(runs) for runs in seen[0]] == [3, 3, 3]


def test_a_question_says_what_it_lacks(put):
    with pytest.raises(SettingsError, match="no target"):
        put("impute")
    with pytest.raises(SettingsError, match="seen_until"):
        put("forecast")


def test_a_curve_is_told_and_drawn(tmp_path):
    import xarray as xr

    names = ("adapted", "scratch", "ridge", "bar")
    value = np.arange(16.0).reshape(4, 2, 2)
    verdict = [["win", "tie"], ["loss", "loss"]]
    curve = xr.Dataset(
        {
            "value": (("predictor", "minutes", "score"), value),
            "verdict": (("minutes", "score"), verdict),
        },
        {
            "predictor": list(names),
            "minutes": [1.0, 2.0],
            "task": ("score", ["decode", "forecast"]),
            "target": ("score", ["pupil", "units"]),
            "metric": ("score", ["r2", "r2"]),
            "horizon": ("score", [-1, 4]),
        },
    )
    head, first, second = tabulate(curve, "predictor").splitlines()
    assert head.split()[4:] == [
        *["1", "min", "adapted", "1", "min", "scratch", "1", "min", "ridge", "1", "min", "bar"],
        *["2", "min", "adapted", "2", "min", "scratch", "2", "min", "ridge", "2", "min", "bar"],
    ]
    assert [float(v) for v in first.split()[3:]] == [0, 4, 8, 12, 2, 6, 10, 14]
    assert second.split()[3] == "4"
    lines = summarise_curve(curve).splitlines()
    assert lines[0].split() == ["mean", "of", "scores", "minutes", *names]
    assert lines[1].split() == ["all", "1", "0.500", "4.500", "8.500", "12.500"]
    assert lines[3].split()[:3] == ["decode", "1", "0.000"]
    assert lines[-1] == "2 min beside the bar: 0 win, 0 tie, 2 loss"
    figure = draw_curve(curve, "pupil")
    assert [trace.name for trace in figure.data[:4]] == list(names)
    assert list(figure.data[0].y) == [0.5, 2.5]
    assert list(figure.data[4].y) == [0.0, 2.0]
    write_curve(curve, "pupil <of> one", tmp_path / "curve.html")
    page = (tmp_path / "curve.html").read_text(encoding="utf-8")
    assert "<title>pupil &lt;of&gt; one</title>" in page
    assert lines[1] in page


def test_a_hopeless_score_does_not_rule_the_mean():
    import xarray as xr

    curve = xr.Dataset(
        {"value": (("predictor", "minutes", "score"), [[[-50.0, 0.5, 9.0]]])},
        {
            "predictor": ["ridge"],
            "minutes": [1.0],
            "task": ("score", ["decode", "decode", "forecast"]),
            "metric": ("score", ["r2", "r2", "mae"]),
        },
    )
    assert mean_scores(curve).values.ravel().tolist() == [-0.25, -0.25]
