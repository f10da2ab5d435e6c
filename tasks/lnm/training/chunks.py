"""Training time of a session that does not fit in memory: a few chunks of it at a time.

Drawn windows are as random as memory allows: chunks come in an order of chance, a few from all over
the session are held at once, and windows are drawn from these for some steps, while a thread reads
the next ones and computes the skip's predictions of them. Which ones a step sees follows from the
seed and its number alone, so that a run that was killed goes on as it would have.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from tasks.lnm.data.reading import ROWS, Source
from tasks.lnm.data.recording import Bools, Floats, Ints, Scaler
from tasks.lnm.data.runs import Runs, cut_windows, find_runs
from tasks.lnm.linear.skip import Skip
from tasks.lnm.network.material import Material, prepare_material

TOGETHER = 4
"""Chunks that are held at once."""
STEPS = 100
"""Steps that windows are drawn from the same chunks."""
SHORTEST = 8
"""Windows in a chunk at least."""


class Held(NamedTuple):
    """What windows are drawn from: prepared samples, and each window's first one and length."""

    material: Material
    windows: Ints


@dataclass(frozen=True)
class Chunks:
    """The training time of a source.

    index : numbers of the columns that are used
    training_T : (time of the source,) true for training samples
    fold_T : the fold of the closed-form fits that each sample lies in
    values : that are held at most
    """

    source: Source
    index: Ints
    training_T: Bools
    fold_T: Ints
    scaler: Scaler
    skip: Skip
    window: int
    values: int

    def leave_out(self, ends_s: Floats) -> "Chunks":
        """Return the chunks without the time between two ends, and half a window beside them."""
        clock = self.source.clock
        beside_s = self.window / clock.rate_hz / 2
        far_T = (clock.time_T < ends_s[0] - beside_s) | (clock.time_T > ends_s[1] + beside_s)
        return replace(self, training_T=self.training_T & far_T)

    @property
    def pieces(self) -> Runs:
        """Start and stop of each chunk; as the lake stores them, if so much fits in memory."""
        most = self.values // (TOGETHER * len(self.source.columns.names))
        length = min(ROWS, max(SHORTEST * self.window, most))
        found: list[tuple[int, int]] = []
        for start, stop in find_runs(self.source.clock.segment_T, np.where(self.training_T, 0, -1)):
            first = start + self.source.first
            edges = range(first - first % length + length, stop + self.source.first, length)
            cuts = [start, *(edge - self.source.first for edge in edges), stop]
            found += pairwise(cuts)
        return [(a, b) for a, b in found if b - a >= self.window]

    def choose(self, pieces: Runs, seed: int, turn: int) -> Runs:
        """Return the chunks of a turn: all in an order of chance, then all in another one."""
        together = min(TOGETHER, len(pieces))
        chosen = []
        for number in range(turn * together, (turn + 1) * together):
            epoch, at = divmod(number, len(pieces))
            order = np.random.default_rng((seed, epoch)).permutation(len(pieces))
            chosen.append(pieces[order[at]])
        return chosen

    def hold(self, chosen: Runs) -> Held:
        """Read some chunks and prepare them, each a run of its own."""
        recording = self.source.take(chosen).take(self.index)
        runs = find_runs(recording.segment_T)
        fold_T = np.concatenate([self.fold_T[slice(*piece)] for piece in chosen])
        z_TV = self.scaler.standardise(recording.values_TV)
        about = (recording.columns, recording.rate_hz, fold_T)
        material = prepare_material(z_TV, runs, self.skip, *about)
        return Held(material, cut_windows(runs, self.window, 1))

    @contextmanager
    def read_ahead(self, seed: int, steps: int) -> Iterator[Callable[[int], Held]]:
        """Give what each step's windows are drawn from, when asked in the order of steps.

        steps : how many there are; nothing is read beyond them
        """
        pieces, last = self.pieces, (steps - 1) // STEPS
        coming: dict[int, Future[Held]] = {}
        with ThreadPoolExecutor(1) as pool:

            def call(turn: int) -> Future[Held]:
                return pool.submit(lambda: self.hold(self.choose(pieces, seed, turn)))

            def at(step: int) -> Held:
                turn = (step - 1) // STEPS
                if turn not in coming:
                    coming[turn] = call(turn)
                held = coming[turn].result()
                for old in [t for t in coming if t < turn]:
                    del coming[old]
                if turn < last and turn + 1 not in coming:
                    coming[turn + 1] = call(turn + 1)
                return held

            try:
                yield at
            finally:
                pool.shutdown(cancel_futures=True)
