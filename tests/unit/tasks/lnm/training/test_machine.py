"""Two processes take the steps of one; half precision, half of the data, every preset."""

import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tasks.lnm.results import train_and_examine
from tasks.lnm.training.batches import draw_batch, hold_training
from tasks.lnm.training.machine import Machine
from tasks.lnm.training.optimise import take_step
from tasks.lnm.training.schedule import make_optimiser
from tasks.lnm.training.train import build_network, train_model
from tests.unit.tasks.lnm.handover import hand_over, prepare

CHILD = """
import os, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from safetensors.torch import save_file
from torch import distributed
from tasks.lnm.training.schedule import make_optimiser
from tasks.lnm.training import train
from tasks.lnm.training.train import train_model
from tests.unit.tasks.lnm.handover import take_over
divided, divide = [], train.divide
train.divide = lambda *asked: divided.append(1) or divide(*asked)
folder = Path(sys.argv[1])
session, settings = take_over(folder)
make_optimiser(torch.nn.Linear(2, 2), settings)
children = []
for rank in range(2):
    if not (child := os.fork()):
        distributed.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
        train_model(session, settings, folder / "checkpoints")
        # Goes on from what is there, behind the last step.
        model, curves = train_model(session, settings, folder / "checkpoints")
        assert bool(divided) == (settings.sharded == "on")
        state = {n: t.contiguous() for n, t in model.network.state_dict().items()}
        state["train_loss"] = torch.tensor(curves.train_loss[1:], dtype=torch.float64)
        save_file(state, str(folder / f"rank{rank}.safetensors"))
        distributed.destroy_process_group()
        os._exit(0)
    children.append(child)
for child in children:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


@pytest.fixture
def prepared(spiking_session, quick):
    """The spiking session ready for training, and settings without chance in the network."""
    settings = quick.model_copy(update={"steps": 12, "baselines": (), "dropout": 0.0})
    return prepare(spiking_session, settings), settings


@pytest.mark.slow
@pytest.mark.parametrize("sharded", ["off", "on"])
def test_two_processes_end_with_the_loss_and_weights_of_one(
    prepared, spiking_session, sharded, tmp_path
):
    session, settings = prepared
    settings = settings.model_copy(update={"sharded": sharded})
    hand_over(tmp_path, spiking_session, settings)
    subprocess.run([sys.executable, "-c", CHILD, str(tmp_path)], check=True, timeout=120)
    model, curves = train_model(session, settings)
    one, two = (load_file(tmp_path / f"rank{rank}.safetensors") for rank in range(2))
    np.testing.assert_allclose(one["train_loss"], curves.train_loss[1:], rtol=1e-5)
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(one[name], two[name])
        torch.testing.assert_close(one[name], tensor, atol=2e-4, rtol=1e-3)


def test_half_precision_trains_as_well(prepared):
    session, settings = prepared
    losses = {}
    for precision in ("float32", "bfloat16"):
        own = settings.model_copy(update={"precision": precision, "steps": 40})
        model, curves = train_model(session, own)
        losses[precision] = curves.train_loss[-1]
        assert all(t.dtype == torch.float32 for t in model.network.state_dict().values())
    assert losses["bfloat16"] != losses["float32"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.03)


def test_a_compiled_network_learns_the_same(prepared, monkeypatch):
    session, settings = prepared
    # Traced, cut into graphs and differentiated as ever; only the code is not generated.
    made = []
    traced = partial(torch.compile, backend="aot_eager")
    monkeypatch.setattr(torch, "compile", lambda network: made.append(1) or traced(network))
    eager, compiled = (
        train_model(session, settings.model_copy(update={"compile": told, "steps": 6}))
        for told in ("off", "on")
    )
    assert made == [1]
    np.testing.assert_allclose(compiled[1].train_loss, eager[1].train_loss, rtol=1e-5)
    np.testing.assert_allclose(compiled[1].validation_loss, eager[1].validation_loss, rtol=1e-5)
    for name, tensor in eager[0].network.state_dict().items():
        found = compiled[0].network.state_dict()[name]
        torch.testing.assert_close(found, tensor, atol=1e-5, rtol=1e-4)


def test_what_is_absent_half_of_the_time_does_no_harm(product_session, product_result, quick):
    values_TV = product_session.values_TV.copy()
    rng = np.random.default_rng(0)
    absent_T = np.repeat(rng.random(24) < 0.5, 100)
    absent_T[[0, -1]] = False
    values_TV[absent_T, 8:] = np.nan
    values_TV[np.roll(absent_T, 150), :4] = np.nan
    result = train_and_examine(
        replace(product_session, values_TV=values_TV),
        quick.model_copy(update={"steps": 80, "generated_s": 0.0}),
    )
    scores = {(s.task, s.target, s.horizon): s for s in result.exam.scores}
    assert np.isfinite([s.model for s in scores.values()]).all()
    assert not [s for s in scores.values() if s.verdict == "loss"]
    assert scores["decode", "running/first", -1].model > 0.7


@pytest.mark.parametrize("preset", ["nano", "small", "base", "large"])
def test_every_preset_takes_a_step(prepared, preset):
    session, settings = prepared
    own = settings.model_copy(update={"preset": preset, "batch_size": 2})
    network = build_network(session, own)
    parameters = sum(p.numel() for p in network.parameters())
    expected = {"nano": 0.1e6, "small": 5e6, "base": 30e6, "large": 85e6}[preset]
    assert 0.7 * expected < parameters < 1.6 * expected
    cut = draw_batch(session, hold_training(session), own, np.random.default_rng(0), 0.5)
    before = network.write.detach().clone()
    loss = take_step(network, make_optimiser(network, own), cut, session.costs, Machine())
    assert np.isfinite(loss)
    assert not torch.equal(before, network.write)
