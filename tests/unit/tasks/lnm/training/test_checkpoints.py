"""A run killed at any step ends as if it had not been."""

import subprocess
import sys

import pytest
import torch
import xarray as xr

from tasks.lnm.queries.query import decode
from tasks.lnm.results import train_and_examine
from tasks.lnm.training.train import train_model
from tests.unit.tasks.lnm.handover import hand_over, prepare

CHILD = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from tasks.lnm.training import optimise
from tasks.lnm.training import train
from tests.unit.tasks.lnm.handover import take_over
folder = Path(sys.argv[1])
session, settings = take_over(folder)
optimise.VALIDATE_EVERY = 10
take = optimise.take_step
# The first optimiser of a process imports for seconds: once here, not in each child.
optimise.make_optimiser(torch.nn.Linear(2, 2), settings)
for kill_at in map(int, sys.argv[2:]):
    # A process of its own for each run that is killed; forked, as torch takes long to import.
    if not (child := os.fork()):
        made = []
        def step(*args):
            made.append(1)
            if len(made) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return take(*args)
        optimise.take_step = step
        train.train_model(session, settings, folder / "checkpoints")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
"""


@pytest.mark.slow
def test_killed_at_any_step_ends_bit_identical(spiking_session, quick, tmp_path, monkeypatch):
    settings = quick.model_copy(update={"steps": 30, "baselines": ()})
    hand_over(tmp_path, spiking_session, settings)
    # Before the first checkpoint; after it; once more, in the run that goes on from it.
    command = [sys.executable, "-c", CHILD, str(tmp_path), "7", "17", "8"]
    subprocess.run(command, check=True)
    monkeypatch.setattr("tasks.lnm.training.optimise.VALIDATE_EVERY", 10)
    assert (tmp_path / "checkpoints" / "member-0" / "step-00000010.safetensors").is_file()
    # Prepared anew: what is outside of the checkpoint repeats bit by bit as well.
    session = prepare(spiking_session, settings)
    resumed, curves = train_model(session, settings, tmp_path / "checkpoints")
    whole, whole_curves = train_model(session, settings)
    assert curves.step == whole_curves.step
    assert curves.validation_loss == whole_curves.validation_loss
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, resumed.network.state_dict()[name])
    answers = [decode(model, spiking_session) for model in (resumed, whole)]
    xr.testing.assert_identical(*answers)


def test_a_state_of_other_settings_is_not_taken_up(spiking_session, quick, tmp_path):
    settings = quick.model_copy(update={"steps": 50, "generated_s": 0.0, "baselines": ()})
    train_and_examine(spiking_session, settings, tmp_path)
    assert sorted(p.name for p in (tmp_path / "member-0").iterdir()) == [
        "checkpoint.json",
        "step-00000050.safetensors",
    ]
    other = settings.model_copy(update={"learning_rate": 1e-3})
    fresh = train_and_examine(spiking_session, other, tmp_path)
    assert fresh.curves.step == [0, 50]
