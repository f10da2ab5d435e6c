"""Known sessions as if only a few minutes of them were known: what a new session will be like.

A skip that was fitted to a minute, and statistics of a minute, are poor in ways that those of an
hour are not. A core that has learnt to add to the former is of use to a new session, and how much
of it was of use is known before the new session has told anything (episodes of Vinyals et al. 2016,
arXiv:1606.04080).
"""

from contextlib import suppress
from dataclasses import replace

import numpy as np

from schemas.errors import NothingToDoError, RecordingTooShortError
from schemas.settings.lnm import LnmSettings
from tasks.common.splits import TimeSplit
from tasks.lnm.baselines.shared import SharedMaps
from tasks.lnm.data.division import Division
from tasks.lnm.data.runs import find_runs, part_of_each_sample
from tasks.lnm.network.material import prepare_material
from tasks.lnm.network.spread import residual_spread
from tasks.lnm.training.gating import Evidence, Question, Share, take_shares
from tasks.lnm.training.session import Session, prepare_held

VALIDATION_SHARE = 0.3
"""Of the minutes that are known; penalties, gates and the end of training rest on it."""
MOST_STARTS = 3
"""Times that a session is rehearsed with so many minutes, each beginning elsewhere."""


def known_minutes(held: Division, minutes: float, start: float = 0.0) -> TimeSplit:
    """Keep the test part; divide some minutes of the rest into training and validation.

    Parameters
    ----------
    start : minutes of the rest before them

    Raises
    ------
    RecordingTooShortError
        So few minutes leave no window in training or validation, or so many are not held.
    """
    split, recording, window = held.split, held.recording, held.window
    known = np.flatnonzero((recording.segment_T >= 0) & split.fitting)
    first, count = (round(60 * m * recording.rate_hz) for m in (start, minutes))
    own = known[first : first + count]
    if len(own) and own[-1] >= held.unbroken:
        raise RecordingTooShortError(
            f"{minutes:g} min from {start:g} min on do not fit in memory.",
            where="adapt",
            remedy="Raise lnm.held_gib, or give fewer minutes.",
        )
    turn = round(len(own) * (1 - VALIDATION_SHARE))
    time_T = recording.time_T
    parts = [np.zeros(len(time_T), bool) for _ in range(2)]
    parts[0][own[:turn]] = True
    if turn >= 2 * window:
        guard_s = window / recording.rate_hz
        # Elsewhere a guard may fall into a gap between segments, as it does here.
        parts[1][own[turn:]] = time_T[own[turn:]] >= time_T[own[turn - 1]] + guard_s
    if parts[1].sum() < window:
        raise RecordingTooShortError(
            f"{minutes:g} min are {len(own)} samples: too few windows of {window}.",
            where="adapt",
            remedy="Give more minutes, or a shorter lnm.window.",
        )
    return TimeSplit(parts[0], parts[1], split.test)


def rehearse(
    held: Division, minutes: float, settings: LnmSettings, shared: SharedMaps | None = None
) -> list[Session]:
    """Return a session as known from so many minutes, to be learnt from outside of them.

    Several times, beginning elsewhere; not at all where it is too short for that.

    Parameters
    ----------
    shared : what other sessions taught of columns of like label
    """
    found = []
    for number in range(MOST_STARTS):
        with suppress(RecordingTooShortError, NothingToDoError):
            found.append(_rehearse_from(held, number * minutes, minutes, settings, shared))
    return found


def _rehearse_from(
    held: Division,
    start: float,
    minutes: float,
    settings: LnmSettings,
    shared: SharedMaps | None,
) -> Session:
    beyond: list[TimeSplit] = []

    split, recording = held.split, held.recording

    def limit(held: Division) -> TimeSplit:
        known = known_minutes(held, minutes, start)
        own_s = recording.time_T[known.train | known.validation]
        guard_s = held.window / recording.rate_hz
        far_T = (recording.time_T < own_s[0] - guard_s) | (recording.time_T > own_s[-1] + guard_s)
        none_T = np.zeros_like(split.test)
        beyond.append(TimeSplit(split.train & far_T, split.validation & far_T, none_T))
        return known

    session = prepare_held(held, settings, limit, shared)
    part_T = part_of_each_sample(beyond[0])
    if min((part_T == 0).sum(), (part_T == 1).sum()) < 2 * session.window:
        raise RecordingTooShortError(
            f"{minutes:g} min leave too little outside of them to learn from.",
            where="adapt",
            remedy="Learn from longer sessions.",
        )
    # What the skip answers outside; there it has been fitted to nothing.
    runs = find_runs(session.recording.segment_T, part_T)
    skip, columns, rate_hz = session.material.skip, session.recording.columns, recording.rate_hz
    material = prepare_material(session.material.z_TV, runs, skip, columns, rate_hz)
    material = material.keep_forecasts(np.flatnonzero(part_T >= 0))
    # What is left over outside is more than within; the network only knows the latter.
    left_over = residual_spread(material, runs, part_T == 0)
    seen = replace(session, split=beyond[0], part_T=part_T, material=material)
    return replace(seen, spread=left_over, reach=session.spread)


def weigh_evidence(evidence: Evidence, session: Session) -> dict[Question, Share]:
    """Choose for each target of a session the share that costs least on all that is known."""
    targets, horizons = set(session.recording.columns.targets), session.material.skip.horizons
    return {
        question: take_shares(
            costs,
            int(np.nanmean(costs.error_AC, axis=1).argmin()),
            int(np.nanmean(costs.middle_AC, axis=1).argmin()) if costs.middle_AC.size else 0,
        )
        for question, costs in evidence.items()
        if question[1] in targets and question[2] < len(horizons)
    }
