"""A session handed to a process of its own, which a test starts."""

from pathlib import Path

import numpy as np

from schemas.settings.lnm import LnmSettings
from tasks.lnm.data.recording import Columns, Recording
from tasks.lnm.data.runs import split_with_guard
from tasks.lnm.training.session import Session, prepare_session

RATE_HZ, WINDOW = 20.0, 16


def hand_over(folder: Path, recording: Recording, settings: LnmSettings) -> None:
    """Write a recording of RATE_HZ and settings down."""
    columns = recording.columns
    np.savez(
        folder / "session.npz",
        values=recording.values_TV,
        time=recording.time_T,
        segment=recording.segment_T,
        names=columns.names,
        streams=columns.streams,
        kinds=columns.kinds,
    )
    (folder / "settings.json").write_text(settings.model_dump_json())


def take_over(folder: Path) -> tuple[Session, LnmSettings]:
    """Read them and prepare the session."""
    with np.load(folder / "session.npz") as d:
        columns = Columns(*(tuple(map(str, d[n])) for n in ("names", "streams", "kinds")))
        recording = Recording(d["values"], d["time"], d["segment"], RATE_HZ, columns)
    settings = LnmSettings.model_validate_json((folder / "settings.json").read_text())
    return prepare(recording, settings), settings


def prepare(recording: Recording, settings: LnmSettings) -> Session:
    """Return a session ready for training, in windows of WINDOW samples."""
    split = split_with_guard(recording, settings.split, WINDOW)
    return prepare_session(recording, split, WINDOW, settings)
