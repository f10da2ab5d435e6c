"""A run killed at any step ends as if it had not been."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from tasks.lnm.results import train_and_examine

CHILD = """
import os, signal, sys
from pathlib import Path
import numpy as np, torch
torch.set_num_threads(1)
from schemas.settings.lnm import LnmSettings
from tasks.lnm import training
from tasks.lnm.recording import Columns, Recording
from tasks.lnm.results import train_and_examine
folder = Path(sys.argv[1])
with np.load(folder / "session.npz") as d:
    columns = Columns(*(tuple(map(str, d[n])) for n in ("names", "streams", "kinds")))
    session = Recording(d["values"], d["time"], d["segment"], 20.0, columns)
settings = LnmSettings.model_validate_json((folder / "settings.json").read_text())
training.VALIDATE_EVERY = 10
take = training._take_step
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
        train_and_examine(session, settings, folder / "checkpoints")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
"""


@pytest.mark.slow
def test_killed_at_any_step_ends_bit_identical(spiking_session, quick, tmp_path, monkeypatch):
    settings = quick.model_copy(update={"steps": 30, "generated_s": 0.0, "baselines": ()})
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
    resumed = train_and_examine(spiking_session, settings, tmp_path / "checkpoints")
    whole = train_and_examine(spiking_session, settings)
    assert resumed.curves.step == whole.curves.step
    assert resumed.curves.validation_loss == whole.curves.validation_loss
    for name, tensor in whole.model.network.state_dict().items():
        assert torch.equal(tensor, resumed.model.network.state_dict()[name])
    assert [s.model for s in resumed.exam.scores] == [s.model for s in whole.exam.scores]


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
