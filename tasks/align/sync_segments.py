"""Stretches of one clock without a reset: chains joined, fitted, and judged against rivals."""

from dataclasses import dataclass

import numpy as np

from schemas.settings.sync import SyncSettings
from tasks.align.sync_chains import (
    LEAST_GATE_S,
    PLACES,
    Chain,
    Indices,
    Pulses,
    Window,
    find_chains,
    grow_chain,
    nearest_position,
)
from tasks.align.sync_map import ClockLine, fit_line
from tasks.align.sync_rivals import Rival, find_rivals, own_score

BEND_PPM = 10.0
"""How much a drift may change while no pulse is seen, for the two ends to be one stretch."""
NEIGHBOURS = 30
"""Pulses on either side of a gap that say whether the clock went on through it."""
STEPS = 6
"""How often a better offset is tried."""
LEAST_WORDS = 3


@dataclass(frozen=True)
class Segment:
    """A stretch of one clock without a reset.

    Attributes
    ----------
    device_M, reference_M : positions of the matched pulses, ascending
    line : offset over device time
    rivals : the other offsets that were tried
    epoch : how often the device's clock had run backwards before
    """

    device_M: Indices
    reference_M: Indices
    line: ClockLine
    rivals: tuple[Rival, ...]
    epoch: int

    @property
    def margin(self) -> float:
        """How much better the chosen offset is than the next best, 0 (not at all) to 1."""
        return min((rival.margin for rival in self.rivals), default=1.0)

    @property
    def sure(self) -> bool:
        """Whether no other offset explains the pulses as well."""
        return all(rival.beaten for rival in self.rivals)


def relate_stretch(
    reference: Pulses,
    device: Pulses,
    first: int,
    epoch: int,
    window: Window | None,
    settings: SyncSettings,
) -> list[Segment]:
    """Return the segments of a train whose clock never runs backwards."""
    chains = find_chains(reference, device, window, settings)
    segments = []
    for chain in link_chains(reference, device, chains):
        segment = _settle(reference, device, chain, epoch, window, settings)
        word_M = device.label_P[segment.device_M] // PLACES
        # A damaged word may read as its neighbour: one alone, however many edges it has, is no
        # evidence.
        words = len(np.unique(word_M[word_M >= 0])) if (device.label_P >= 0).any() else LEAST_WORDS
        if len(segment.device_M) >= settings.min_pulses and words >= LEAST_WORDS:
            segments.append(segment)
    return [Segment(s.device_M + first, s.reference_M, s.line, s.rivals, s.epoch) for s in segments]


def link_chains(reference: Pulses, device: Pulses, chains: list[Chain]) -> list[Chain]:
    """Join chains between which the clock went on; where it did not there was a reset."""
    linked: list[Chain] = []
    for chain in chains:
        if linked and _goes_on(reference, device, linked[-1], chain):
            before = linked.pop()
            chain = Chain(
                np.concatenate([before.device_M, chain.device_M]),
                np.concatenate([before.reference_M, chain.reference_M]),
            )
        linked.append(chain)
    return linked


def _goes_on(reference: Pulses, device: Pulses, before: Chain, after: Chain) -> bool:
    gap = device.time_P[[before.device_M[-1], after.device_M[0]]]
    middle = float(gap.mean())
    left, left_error = _offset_at(reference, device, before, slice(-NEIGHBOURS, None), middle)
    right, right_error = _offset_at(reference, device, after, slice(NEIGHBOURS), middle)
    allowed = LEAST_GATE_S + 5e-7 * BEND_PPM * float(gap[1] - gap[0])
    return abs(left - right) <= allowed + 5 * (left_error + right_error)


def _offset_at(
    reference: Pulses, device: Pulses, chain: Chain, part: slice, at: float
) -> tuple[float, float]:
    """Return the offset that the pulses of a part foretell for a time, and its standard error."""
    time = device.time_P[chain.device_M[part]]
    offset = reference.time_P[chain.reference_M[part]] - time
    away = time - time.mean()
    spread = float(np.sum(away**2))
    slope = float(np.sum(away * (offset - offset.mean()))) / spread
    residual = offset - offset.mean() - slope * away
    noise = float(np.sqrt(np.sum(residual**2) / max(len(time) - 2, 1)))
    distance = at - float(time.mean())
    error = noise * np.sqrt(1 / len(time) + distance**2 / spread)
    return float(offset.mean()) + slope * distance, float(error)


def _settle(
    reference: Pulses,
    device: Pulses,
    chain: Chain,
    epoch: int,
    window: Window | None,
    settings: SyncSettings,
) -> Segment:
    """Fit a chain's clock; move to a better offset while there is one; judge the rest."""
    for _ in range(STEPS):
        chain, line = _refine(reference, device, chain, settings)
        stretch = slice(chain.device_M[0], chain.device_M[-1] + 1)
        part = Pulses(device.time_P[stretch], device.label_P[stretch])
        reach = _rival_tolerance(line, part)
        rivals = find_rivals(reference, part, line, reach, window)
        best = max(rivals, key=lambda rival: rival.score, default=None)
        if best is None or best.score <= own_score(reference, part, line, reach):
            break
        moved = _move(reference, device, chain, line, best.shift_s, settings)
        if moved is None:
            break
        chain = moved
    return Segment(chain.device_M, chain.reference_M, line, tuple(rivals), epoch)


def _rival_tolerance(line: ClockLine, device: Pulses) -> float:
    """Return five standard deviations, but never so much that two pulses would be one."""
    shortest = float(np.median(np.diff(device.time_P)))
    return min(max(5 * line.noise_s, 1e-5), shortest / 6)


def _refine(
    reference: Pulses, device: Pulses, chain: Chain, settings: SyncSettings
) -> tuple[Chain, ClockLine]:
    """Fit the clock, then match each pulse with the one nearest to where the clock puts it."""
    for _ in range(2):
        times = device.time_P[chain.device_M], reference.time_P[chain.reference_M]
        line = fit_line(*times)
        reach = min(settings.tolerance_s, max(6 * line.noise_s, 5e-5))
        stretch = np.arange(chain.device_M[0], chain.device_M[-1] + 1)
        again = _pair_nearest(reference, device, stretch, line, 0.0, reach)
        if len(again.device_M) < settings.min_pulses:
            break
        chain = again
    return chain, line


def _pair_nearest(
    reference: Pulses,
    device: Pulses,
    stretch: Indices,
    line: ClockLine,
    shift_s: float,
    reach_s: float,
) -> Chain:
    """Match one to one: a pulse whose nearest has a nearer one goes without."""
    wanted = line.predict(device.time_P[stretch]) + shift_s
    near = nearest_position(reference.time_P, wanted)
    error = np.abs(reference.time_P[near] - wanted)
    good = (error <= reach_s) & (reference.label_P[near] == device.label_P[stretch])
    stretch, near, error = stretch[good], near[good], error[good]
    order = np.lexsort((error, near))
    first = np.unique(near[order], return_index=True)[1]
    kept = np.sort(order[first])
    # Both trains are ascending and so is the line: the pairs come out in order.
    return Chain(stretch[kept], near[kept])


def _move(
    reference: Pulses,
    device: Pulses,
    chain: Chain,
    line: ClockLine,
    shift_s: float,
    settings: SyncSettings,
) -> Chain | None:
    """Return the chain at another offset, grown anew from a pulse in its middle."""
    stretch = np.arange(chain.device_M[0], chain.device_M[-1] + 1)
    reach = _rival_tolerance(line, Pulses(device.time_P[stretch], device.label_P[stretch]))
    moved = _pair_nearest(reference, device, stretch, line, shift_s, reach)
    if len(moved.device_M) < settings.min_pulses:
        return None
    middle = len(moved.device_M) // 2
    grown = grow_chain(
        reference, device, int(moved.reference_M[middle]), int(moved.device_M[middle]), settings
    )
    return max((moved, grown), key=lambda c: len(c.device_M))
