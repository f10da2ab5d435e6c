"""A simulated animal as files: an NWB session and the video it points to."""

from pathlib import Path

import numpy as np
from pynwb import NWBHDF5IO, NWBFile
from pynwb.file import Subject

from tasks.simulate.animal import SimulatedAnimal
from tasks.simulate.nwb_behaviour import (
    add_audio,
    add_camera,
    add_eye,
    add_pose,
    add_running,
    add_sync,
    add_trials,
)
from tasks.simulate.nwb_neural import add_calcium, add_spikes
from tasks.simulate.video import encode_video, film_body

SESSION_NAME = "session.nwb"
VIDEO_NAME = "camera.mp4"


def write_session(animal: SimulatedAnimal, folder: Path) -> Path:
    """Write `session.nwb` and `camera.mp4` into an existing folder; return the NWB file's path.

    The video is referred to by a relative path, so the two can be moved together.
    """
    frames = film_body(animal.body, animal.settings, np.random.default_rng(animal.floor_seed))
    encode_video(frames, folder / VIDEO_NAME, animal.settings.camera_rate_hz)
    path = folder / SESSION_NAME
    with NWBHDF5IO(str(path), "w") as io:
        io.write(build_file(animal))
    return path


def build_file(animal: SimulatedAnimal) -> NWBFile:
    """Return the session as an in-memory NWB file."""
    file = _describe_session(animal)
    add_calcium(file, animal)
    add_spikes(file, animal)
    behavior = file.create_processing_module("behavior", "What the body did.")
    add_running(behavior, animal)
    add_eye(behavior, animal)
    add_pose(behavior, animal, add_camera(file, animal, VIDEO_NAME))
    add_audio(file, animal)
    add_trials(file, animal)
    add_sync(file, animal)
    return file


def _describe_session(animal: SimulatedAnimal) -> NWBFile:
    session, subject = animal.session, animal.session.subject
    return NWBFile(
        session_description=session.description,
        identifier=f"tectum-{session.key}",
        session_id=session.session_id,
        session_start_time=session.start_time,
        file_create_date=session.start_time,
        experimenter=["Simulator, Tectum"],
        institution="Tectum",
        lab="Simulated animals",
        keywords=["simulation", "causal graph", "calcium imaging", "spikes", "behavior"],
        experiment_description="Coupled Mackey-Glass units drive a body; the graph is known.",
        subject=Subject(
            subject_id=subject.subject_id,
            species=subject.species,
            sex=subject.sex,
            age=subject.age,
            description=subject.description,
        ),
    )
