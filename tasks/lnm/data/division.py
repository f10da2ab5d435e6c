"""How a session is divided by time, and what of it is held where it does not fit in memory."""

from dataclasses import dataclass

import numpy as np

from schemas.settings.lnm import LnmSettings
from tasks.common.splits import TimeSplit
from tasks.lnm.data.reading import Source
from tasks.lnm.data.recording import Bools, Ints, Recording, keep_behaviour
from tasks.lnm.data.runs import (
    Runs,
    choose_window,
    find_runs,
    part_of_each_sample,
    split_with_guard,
)

STRETCH = 32
"""Windows in a stretch that is held."""
FOR_CHUNKS = 0.25
"""Share of the memory that the chunks take which training reads."""


@dataclass(frozen=True)
class Beyond:
    """A session of which only some is held.

    training_T : (time of the source,) true for training samples
    held_T : numbers of the samples that are held
    values : that training may hold of it at once besides
    """

    source: Source
    training_T: Bools
    held_T: Ints
    values: int


@dataclass(frozen=True)
class Division:
    """What is held of a session, divided into training, validation and test.

    recording : all of it, or stretches, each a segment of its own
    unbroken : samples at its beginning of which none was left out
    beyond : what the stretches are from; None where all is held
    """

    recording: Recording
    split: TimeSplit
    window: int
    unbroken: int
    beyond: Beyond | None = None


def divide(recording: Recording, settings: LnmSettings) -> Division:
    """Divide a recording that is in memory."""
    if settings.span == "behaviour":
        recording = keep_behaviour(recording)
    window = choose_window(recording.segment_T, settings)
    split = split_with_guard(recording, settings.split, window)
    return Division(recording, split, window, len(recording.time_T))


def hold(
    source: Recording | Source, settings: LnmSettings, share: float = 1.0, minutes: float = 0.0
) -> Division:
    """Divide a session and read what of it fits in memory.

    Of one that is larger, stretches from all over each part are held.

    Parameters
    ----------
    share : of `settings.held_gib` that it may take
    minutes : recorded time at its beginning that is held without a break, or so much of that as
        half of the memory is for
    """
    most = share * settings.held_gib
    if isinstance(source, Recording) or source.gib <= most:
        return divide(source.whole(), settings)
    if settings.span == "behaviour":
        source = source.keep_behaviour()
    clock = source.clock
    window = choose_window(clock.segment_T, settings)
    split = split_with_guard(clock, settings.split, window)
    samples = len(clock.time_T)
    room = int((1 - FOR_CHUNKS) * most / source.gib * samples)
    inside = np.flatnonzero(clock.segment_T >= 0)
    count = min(round(60 * minutes * clock.rate_hz), room // 2, len(inside))
    first = int(inside[count - 1]) + 1 if count else 0
    begun = find_runs(clock.segment_T[:first])
    part_T = np.where(np.arange(samples) < first, -1, part_of_each_sample(split))
    left = (room - count) / max(1, samples - first)
    spread = choose_stretches(find_runs(clock.segment_T, part_T), part_T, window, left)
    stretches = [*begun, *spread]
    held_T = np.concatenate([np.arange(*stretch) for stretch in stretches])
    parts = (split.train, split.validation, split.test)
    held = TimeSplit(*(part[held_T] for part in parts))
    beyond = Beyond(source, split.train, held_T, int(FOR_CHUNKS * most * 2**30 / 4))
    return Division(source.take(stretches), held, window, count, beyond)


def choose_stretches(runs: Runs, part_T: Ints, window: int, share: float) -> Runs:
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
        most = min(len(long), max(1, round(share * len(long))))
        chosen += [long[n] for n in np.unique(np.linspace(0, len(long) - 1, most).astype(int))]
    return sorted(chosen)
