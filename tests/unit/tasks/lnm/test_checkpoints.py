"""A run killed at any step ends as if it had not been."""

import subprocess
import sys

import numpy as np
import pytest
import torch
import xarray as xr

from tasks.lnm.query import decode
from tasks.lnm.recording import split_with_guard
from tasks.lnm.results import train_and_examine
from tasks.lnm.session import prepare_session
from tasks.lnm.training import train_model

CHILD = """
import os, signal, sys
from pathlib import Path
import numpy as np, torch
torch.set_num_threads(1)
from schemas.settings.lnm import LnmSettings
from tasks.lnm import training
from tasks.lnm.recording import Columns, Recording, split_with_guard
from tasks.lnm.session import prepare_session
folder = Path(sys.argv[1])
with np.load(folder / "session.npz") as d:
    columns = Columns(*(tuple(map(str, d[n])) for n in ("names", "streams", "kinds")))
    recording = Recording(d["values"], d["time"], d["segment"], 20.0, columns)
settings = LnmSettings.model_validate_json((folder / "settings.json").read_text())
split = split_with_guard(recording, settings.split, 16)
session = prepare_session(recording, split, 16, settings)
training.VALIDATE_EVERY = 10
take = training._take_step
# The first optimiser of a process imports for seconds: once here, not in each child.
training.make_optimiser(torch.nn.Linear(2, 2), settings)
for kill_at in map(int, sys.argv[2:]):
    # A process of its own for each run that is killed; forked, as torch takes long to import.
    if not (child := os.fork()):
        made = []
        def step(*args):
            made.append(1)
            if len(made) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return take(*args)
        training._take_step = step
        training.train_model(session, settings, folder / "checkpoints")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
"""


@pytest.mark.slow
def test_killed_at_any_step_ends_bit_identical(spiking_session, quick, tmp_path, monkeypatch):
    settings = quick.model_copy(update={"steps": 30, "baselines": ()})
    columns = spiking_session.columns
    np.savez(
        tmp_path / "session.npz",
        values=spiking_session.values_TV,
        time=spiking_session.time_T,
        segment=spiking_session.segment_T,
        names=columns.names,
        streams=columns.streams,
        kinds=columns.kinds,
    )
    (tmp_path / "settings.json").write_text(settings.model_dump_json())
    # Before the first checkpoint; after it; once more, in the run that goes on from it.
    command = [sys.executable, "-c", CHILD, str(tmp_path), "7", "17", "8"]
    subprocess.run(command, check=True)
    monkeypatch.setattr("tasks.lnm.training.VALIDATE_EVERY", 10)
    assert (tmp_path / "checkpoints" / "step-00000010.safetensors").is_file()
    # Prepared anew: what is outside of the checkpoint repeats bit by bit as well.
    split = split_with_guard(spiking_session, settings.split, 16)
    session = prepare_session(spiking_session, split, 16, settings)
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
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "checkpoint.json",
        "step-00000050.safetensors",
    ]
    other = settings.model_copy(update={"learning_rate": 1e-3})
    fresh = train_and_examine(spiking_session, other, tmp_path)
    assert fresh.curves.step == [0, 50]
