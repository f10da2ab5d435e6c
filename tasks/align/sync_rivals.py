"""Rivals: other offsets at which the pulses match as well; while there is one, nothing is sure.

A train of exactly even pulses matches itself at every shift. So a match is believed only if no
other shift explains the same pulses: it must match less than half of them, or lack a match in
many separate places where the chosen one has it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from tasks.align.sync_chains import Indices, Pulses, Times, Window, nearest_position
from tasks.align.sync_map import ClockLine

PROBES = 48
"""Pulses, evenly spread, that vote for rivals."""
KEPT = 16
LEAST_RIVAL = 5
"""Fewer matches than this at another offset are chance."""
CLEAR_MARGIN = 0.5
CHANCE = 1e-6
"""Greatest probability that the best of all shifts looks as much better as this by chance."""
REMOTE_CHANCE = 1e-2


@dataclass(frozen=True)
class Rival:
    """Another offset, relative to the chosen one.

    Attributes
    ----------
    shift_s : seconds
    score : how much of the pulses it explains; compare with that of shift 0
    margin : 1 - its matches over the chosen one's where both could have had some
    chance : probability of a difference as large in that direction, were neither right
    overlap : part of the pulses for which the reference would have been running
    """

    shift_s: float
    score: float
    margin: float
    chance: float
    overlap: float

    @property
    def beaten(self) -> bool:
        """Whether the chosen offset is clearly better."""
        # To say that most pulses fell outside the reference is a poor explanation to begin with.
        bar = CHANCE if self.overlap >= 0.5 else REMOTE_CHANCE
        return self.margin >= CLEAR_MARGIN or self.chance <= bar


def find_rivals(
    reference: Pulses,
    device: Pulses,
    line: ClockLine,
    tolerance_s: float,
    window: Window | None,
) -> list[Rival]:
    """Return the offsets that come closest to the chosen one, or surpass it.

    Parameters
    ----------
    device : pulses of the stretch that `line` was fitted to, all of them
    tolerance_s : how close a pulse must come; of the size of the noise, so that trains which are
        even but for their generator's own jitter can be told apart
    window : offsets that are possible; None for all
    """
    predicted_P = line.predict(device.time_P)
    shifts = _propose_shifts(reference.time_P, predicted_P, tolerance_s)
    if window is not None:
        offset = predicted_P[0] - device.time_P[0] + shifts
        shifts = shifts[(offset >= window[0]) & (offset <= window[1])]
    own_P = _closeness(reference, device.label_P, predicted_P, tolerance_s)
    trials = max(len(reference.time_P) + len(device.time_P), 1)
    rivals = [
        _compare(reference, device, predicted_P, float(shift), own_P, tolerance_s, trials)
        for shift in shifts
    ]
    return [rival for rival in rivals if rival is not None]


def own_score(reference: Pulses, device: Pulses, line: ClockLine, tolerance_s: float) -> float:
    """Return the score of the chosen offset itself."""
    predicted_P = line.predict(device.time_P)
    return float(_closeness(reference, device.label_P, predicted_P, tolerance_s).sum())


def _propose_shifts(reference_P: Times, predicted_P: Times, tolerance_s: float) -> Times:
    """Return shifts at which many probes meet a pulse: the best overall, and the nearest."""
    probes = np.unique(np.linspace(0, len(predicted_P) - 1, PROBES).round().astype(int))
    probe_V = predicted_P[probes]
    all_shifts = np.sort((reference_P[:, None] - probe_V[None, :]).ravel())
    reach = np.searchsorted(all_shifts, all_shifts + tolerance_s, side="right")
    votes = reach - np.arange(len(all_shifts))
    many = np.flatnonzero(votes >= 3)
    middle = all_shifts[many + (votes[many] - 1) // 2]
    middle = middle[np.abs(middle) > 3 * tolerance_s]
    cell = np.round(middle / tolerance_s).astype(np.int64)
    shifts: Times = middle[np.unique(cell, return_index=True)[1]]
    if len(shifts) <= 3 * KEPT:
        return shifts
    score = np.zeros(len(shifts))
    inside = np.zeros(len(shifts))
    for probe in probe_V:
        wanted = probe + shifts
        error = reference_P[nearest_position(reference_P, wanted)] - wanted
        score += np.clip(1 - (error / tolerance_s) ** 2, 0, None)
        inside += (wanted >= reference_P[0]) & (wanted <= reference_P[-1])
    best = np.argsort(-score, kind="stable")[:KEPT]
    share = np.argsort(-score / np.maximum(inside, 8), kind="stable")[:KEPT]
    nearest = np.argsort(np.abs(shifts), kind="stable")[:KEPT]
    return np.asarray(shifts[np.unique(np.concatenate([best, share, nearest]))])


def _compare(
    reference: Pulses,
    device: Pulses,
    predicted_P: Times,
    shift: float,
    own_P: Times,
    tolerance_s: float,
    trials: int,
) -> Rival | None:
    """Set a shift against the chosen one, where the reference was running for both."""
    wanted_P = predicted_P + shift
    theirs_P = _closeness(reference, device.label_P, wanted_P, tolerance_s)
    running = (wanted_P >= reference.time_P[0] - tolerance_s) & (
        wanted_P <= reference.time_P[-1] + tolerance_s
    )
    own, theirs = own_P[running] > 0, theirs_P[running] > 0
    if theirs.sum() < LEAST_RIVAL:
        return None
    margin = 1 - theirs.sum() / max(own.sum(), 1)
    better, worse = _count_runs(own & ~theirs), _count_runs(theirs & ~own)
    # One place lost in a burst is one piece of evidence, however many pulses it cost.
    chance = min(1.0, trials * float(binom.sf(better - 1, better + worse, 0.5)))
    score, overlap = float(theirs_P.sum()), float(running.mean())
    return Rival(shift, score, float(margin), chance if better else 1.0, overlap)


def _closeness(
    reference: Pulses, label_P: NDArray[np.int64], wanted_P: Times, tolerance_s: float
) -> Times:
    """Return 1 for a pulse that is met exactly, falling to 0 at the tolerance."""
    near: Indices = nearest_position(reference.time_P, wanted_P)
    error = reference.time_P[near] - wanted_P
    same = reference.label_P[near] == label_P
    return np.where(same, np.clip(1 - (error / tolerance_s) ** 2, 0, None), 0.0)


def _count_runs(flag_P: NDArray[np.bool_]) -> int:
    return int(flag_P[:1].sum() + (flag_P[1:] & ~flag_P[:-1]).sum())
