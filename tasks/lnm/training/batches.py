"""Batches: windows drawn and masked for a training step, and those that validation judges by."""

from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from copy import deepcopy
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from schemas.settings.lnm import LnmSettings
from tasks.lnm.data.masks import (
    TWO_SIDED,
    Masks,
    draw_masks,
    draw_modes,
    possible_modes,
    thin_columns,
)
from tasks.lnm.data.recording import Ints
from tasks.lnm.data.runs import cut_windows
from tasks.lnm.network.windows import AT_ONCE, MOST_VALUES, cut_batch, windows_at_once
from tasks.lnm.scores.gains import number_blocks
from tasks.lnm.training.chunks import Held
from tasks.lnm.training.objective import Batch, weigh_batch
from tasks.lnm.training.session import Session
from tasks.lnm.training.stopping import AskedCut, AskedPiece, group_asked

FORECASTS = 4
AHEAD = 3
MOST_VALIDATED, FEWEST_VALIDATED = 64_000_000, 16
"""Values of the validation windows of a task, of which sessions of many units have fewer."""
SCORED_MODES = (*TWO_SIDED, "forecast")


def draw_batch(
    session: Session,
    held: Held,
    settings: LnmSettings,
    rng: np.random.Generator,
    progress: float,
) -> list[Batch]:
    """Draw windows and what each is asked; `progress` is the share of the steps that are done.

    Returns
    -------
    The windows of one step; of many columns in pieces.
    """
    windows = held.windows
    columns, together = session.recording.columns, session.material.skip.together
    neural_V = columns.neural
    shape = (session.window, len(neural_V))
    batch = windows_at_once(settings.batch_size, *shape, MOST_VALUES)
    chosen = windows[rng.integers(len(windows), size=batch)]
    modes = draw_modes(rng, progress, neural_V, together, batch)
    masks = draw_masks(rng, modes, session.window, settings.patch, columns, together)
    seen_BLV, mixing = thin_columns(rng, masks, columns.first), session.whole_mixing()
    step = windows_at_once(batch, *shape, AT_ONCE)
    cuts = []
    for at in range(0, batch, step):
        own = slice(at, at + step)
        about = (held.material, *chosen[own].T, masks.take(own), mixing)
        skip = settings.linear_skip
        cuts.append(cut_batch(*about, linear_skip=skip, seen_BLV=seen_BLV[own]))
    return weigh_batch(cuts, neural_V, columns.counts)


def hold_training(session: Session) -> Held:
    """Return the training part that is in memory."""
    return Held(session.material, cut_windows(session.runs(0), session.window, 1))


def _same(held: Held, step: int) -> Held:
    return held


class Drawn(NamedTuple):
    """A batch that was drawn ahead.

    batch : what `draw_batch` returns
    after : the random generator's state behind it, from which a killed run goes on
    draw_next : lets the thread draw another; best while the interpreter is left alone for long, for
        the thread would else take it from a step many times. Drawn at the next step at the latest
    """

    batch: list[Batch]
    after: Mapping[str, Any]
    draw_next: Callable[[], None]


def draw_ahead(
    sessions: Sequence[Session],
    settings: LnmSettings,
    state: Mapping[str, Any],
    steps: range,
) -> Generator[Drawn]:
    """Yield the batches of some steps, drawn by a thread while steps before are taken.

    One thread draws them in order, so that they do not depend on how fast it is. Of a session that
    is read in chunks another thread reads the next ones.

    Parameters
    ----------
    state : of the random generator before the first of these steps

    """
    rng = np.random.default_rng()
    rng.bit_generator.state = state

    def draw(step: int) -> tuple[list[Batch], Mapping[str, Any]]:
        turn, at = divmod(step - 1, len(sessions))
        progress = step / (steps.stop - 1)
        batch = draw_batch(sessions[at], held[at](turn + 1), settings, rng, progress)
        return batch, rng.bit_generator.state

    own = -(-(steps.stop - 1) // len(sessions))
    with ExitStack() as stack:
        held = [
            partial(_same, hold_training(session))
            if session.chunks is None
            else stack.enter_context(session.chunks.read_ahead(settings.seed, own))
            for session in sessions
        ]
        pool = stack.enter_context(ThreadPoolExecutor(1))
        waiting, coming = (
            deque(pool.submit(draw, step) for step in steps[:AHEAD]),
            deque(steps[AHEAD:]),
        )

        def draw_next(until: int) -> None:
            while coming and coming[0] <= until:
                waiting.append(pool.submit(draw, coming.popleft()))

        for step in steps:
            batch, after = waiting.popleft().result()
            yield Drawn(batch, after, partial(draw_next, step + AHEAD))
            draw_next(step + AHEAD)


def validation_cuts(session: Session, settings: LnmSettings, most: int) -> list[AskedCut]:
    """Cut the same validation windows, `most` or fewer, for each task the session can be asked."""
    rng = np.random.default_rng(settings.seed + 1)
    columns, skip = session.recording.columns, session.material.skip
    windows = cut_windows(session.runs(1), session.window, 1)
    held_out = np.flatnonzero(session.part_T == 1)
    block_T = np.zeros(len(session.part_T), np.int64)
    block_T[held_out] = number_blocks(len(held_out), session.window)
    values = session.window * len(columns.names)
    asked = []
    for mode in possible_modes(columns.neural, skip.together):
        if mode not in SCORED_MODES:
            continue
        # A window holds one forecast of each horizon, of what is hidden as many as it has samples.
        own = most * FORECASTS if mode == "forecast" else most
        own = min(len(windows), own, max(FEWEST_VALIDATED, MOST_VALIDATED // values))
        chosen = windows[np.unique(np.linspace(0, len(windows) - 1, own).astype(int))]
        step = windows_at_once(len(chosen), session.window, len(columns.names), AT_ONCE)
        remembered = len(chosen) * values <= MOST_VALUES
        pieces = []
        for at in range(0, len(chosen), step):
            part = chosen[at : at + step]
            modes = (mode,) * len(part)
            masked = partial(
                draw_masks,
                modes=modes,
                window=session.window,
                patch=settings.patch,
                columns=columns,
                together=skip.together,
            )
            # Cut again, it must hide the same.
            piece = partial(_cut_piece, session, settings, part, block_T, masked, deepcopy(rng))
            masked(rng)
            pieces.append(cache(piece) if remembered else piece)
        asked.append(AskedCut(mode, int(block_T.max()) + 1, pieces))
    return asked


def _cut_piece(
    session: Session,
    settings: LnmSettings,
    windows: Ints,
    block_T: Ints,
    draw: Callable[[np.random.Generator], Masks],
    rng: np.random.Generator,
) -> AskedPiece:
    masks = draw(deepcopy(rng))
    start_B, length_B = windows.T
    judged, columns = session.rivals.judged, session.recording.columns
    cut = cut_batch(
        session.material,
        start_B,
        length_B,
        masks,
        session.whole_mixing(),
        linear_skip=settings.linear_skip,
        asked_A=judged if len(judged) < len(columns.names) else None,
    )
    index_BL = np.minimum(start_B[:, None] + np.arange(session.window), len(block_T) - 1)
    group_BLV = group_asked(cut, masks.known_B, columns, session.material.skip.horizons)
    return AskedPiece(cut, group_BLV, block_T[index_BL])
