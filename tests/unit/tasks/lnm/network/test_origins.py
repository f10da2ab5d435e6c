"""Whose recording it is: told where several sessions share a core, and never needed."""

from dataclasses import replace

import pytest
import torch

from tasks.lnm.adaptation import adapt, pretrain
from tasks.lnm.data.runs import split_with_guard
from tasks.lnm.network.origins import DROPOUT, Origins, gather_labels
from tasks.lnm.network.trained import load_model, save_model
from tasks.lnm.training.session import prepare_session
from tasks.lnm.training.train import train_model, train_models


@pytest.fixture
def origins() -> Origins:
    torch.manual_seed(0)
    made = Origins(("session a", "animal m", "species fly"), 4).eval()
    torch.nn.init.normal_(made.row_OD)
    return made


def test_rows_of_known_labels_are_added(origins):
    told_B1D = origins(("session new", "animal m", "species fly"), 2)
    assert told_B1D.shape == (2, 1, 4)
    assert torch.equal(told_B1D[1, 0], origins.row_OD[1] + origins.row_OD[2])
    assert not origins(("session new",), 2).any()


def test_labels_are_left_out_of_some_windows_in_training(origins):
    origins.train()
    told_B1D = origins(("session a",), 4000)
    left_out = float((told_B1D == 0).all(2).float().mean())
    assert left_out == pytest.approx(DROPOUT, abs=0.03)


def test_one_session_has_nothing_to_tell(product_session, quick):
    assert gather_labels([("session a", "animal m")]) == ()
    shared = [("session a", "animal m"), ("session b", "animal m")]
    assert gather_labels(shared) == ("session a", "animal m", "session b")
    settings = quick.model_copy(update={"steps": 2, "baselines": ()})
    named = replace(product_session, origin=("session a",))
    split = split_with_guard(named, settings.split, 16)
    model, _ = train_model(prepare_session(named, split, 16, settings), settings)
    assert model.network.networks[0].origins is None


def test_sessions_learn_their_rows_and_a_new_one_of_the_animal_begins_with_them(
    product_session, quick, tmp_path
):
    settings = quick.model_copy(
        update={"steps": 6, "baselines": (), "generated_s": 0.0, "bootstrap": 100}
    )
    recordings = [replace(product_session, origin=(f"session {name}", "animal m")) for name in "ab"]
    sessions = [
        prepare_session(r, split_with_guard(r, settings.split, 16), 16, settings)
        for r in recordings
    ]
    models, _ = train_models(sessions, settings)
    one, two = (model.network.networks[0] for model in models)
    assert one.origins is two.origins
    assert one.origins.labels == ("session a", "animal m", "session b")
    assert (one.origins.row_OD.abs().sum(1) > 0).all()
    save_model(models[1], tmp_path)
    again = load_model(tmp_path).network.networks[0]
    assert again.config == two.config
    assert torch.equal(again.origins.row_OD, two.origins.row_OD)

    learnt = pretrain(recordings, (0.5,), settings)
    new = replace(product_session, origin=("session c", "animal m"))
    network = adapt(new, 0.5, learnt, settings).model.network.networks[0]
    assert torch.equal(network.origins.row_OD, learnt.core["origins.row_OD"])
    told = network.origins(new.origin, 1)[0, 0]
    assert torch.equal(told, learnt.core["origins.row_OD"][1])
