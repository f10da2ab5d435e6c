"""A session that does not fit in memory: stretches of it are held, training reads all of it."""

from dataclasses import replace

import numpy as np

from schemas.settings.lnm import LnmSettings
from tasks.common.splits import TimeSplit
from tasks.lnm.data.reading import Source
from tasks.lnm.data.recording import usable_columns
from tasks.lnm.data.runs import (
    Runs,
    choose_window,
    find_runs,
    part_of_each_sample,
    split_with_guard,
)
from tasks.lnm.training.chunks import Chunks
from tasks.lnm.training.session import Session, divide_recording, prepare_session

STRETCH = 32
"""Windows in a stretch that is held."""
FOR_CHUNKS = 0.25
"""Share of the memory that the chunks take which training reads."""


def divide_source(source: Source, settings: LnmSettings) -> Session:
    """Divide a session by time and prepare what of it fits in memory (`settings.held_gib`).

    Of one that is larger, stretches from all over each part are held: by these baselines, skip
    and gates are fitted and verdicts given. The network is trained on all of the training part.
    """
    if source.gib <= settings.held_gib:
        return divide_recording(source.whole(), settings)
    if settings.span == "behaviour":
        source = source.keep_behaviour()
    clock = source.clock
    window = choose_window(clock.segment_T, settings)
    split = split_with_guard(clock, settings.split, window)
    part_T = part_of_each_sample(split)
    share = (1 - FOR_CHUNKS) * settings.held_gib / source.gib
    stretches = choose_stretches(find_runs(clock.segment_T, part_T), part_T, window, share)
    held_T = np.concatenate([np.arange(*stretch) for stretch in stretches])
    recording = source.take(stretches)
    index = usable_columns(recording, split.train[held_T])
    parts = (split.train, split.validation, split.test)
    held = TimeSplit(*(part[held_T] for part in parts))
    session = prepare_session(recording.take(index), held, window, settings)
    # Samples between those that a fold was fitted to belong to the fold before them.
    fitted = np.flatnonzero(session.material.fold_T >= 0)
    before_T = np.searchsorted(held_T[fitted], np.arange(len(part_T)), side="right") - 1
    fold_T = session.material.fold_T[fitted[np.maximum(before_T, 0)]]
    values = int(FOR_CHUNKS * settings.held_gib * 2**30 / 4)
    about = (session.scaler, session.material.skip, window, values)
    return replace(session, chunks=Chunks(source, index, split.train, fold_T, *about))


def choose_stretches(runs: Runs, part_T: np.ndarray, window: int, share: float) -> Runs:
    """Return a share of the time of each part in stretches that are evenly spread."""
    length, chosen = STRETCH * window, []
    for part in (0, 1, 2):
        cut = [
            (at, min(at + length, stop))
            for start, stop in runs
            if part_T[start] == part
            for at in range(start, stop, length)
        ]
        long = [(a, b) for a, b in cut if b - a >= window]
        most = max(1, round(share * len(long)))
        chosen += [long[n] for n in np.unique(np.linspace(0, len(long) - 1, most).astype(int))]
    return sorted(chosen)
