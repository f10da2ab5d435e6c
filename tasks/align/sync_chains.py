"""Chains: runs of pulses that two clocks agree about, grown from a few equal intervals.

A seed is a group of pulses with the same intervals (or the same number) in both trains. From it
the pulses before and after are followed one by one: where the next should be is predicted from
the offset and drift so far, so lost, extra and late pulses are stepped over.
"""

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from schemas.settings.sync import SyncSettings

Times = NDArray[np.float64]
Indices = NDArray[np.intp]

GRAM = 3
"""Intervals of a seed: with 5 % of pulses lost and 5 % extra on both sides half of all groups of
four pulses are whole, and hardly any four are alike by chance."""
SEEDS_EACH = 4
"""Seeds a group may have in the other train: the most alike come first."""
PATIENCE = 8
"""Pulses in a row without a partner that end a chain."""
MEMORY = 20
"""Pulses over which the tracker averages offset and drift."""
EDGE = 4
"""The last pairs of a chain must be as dense as this many within twice as many pulses."""
LEAST_GATE_S = 3e-4
"""A gate never narrows below this: clocks and cables are late by tens of microseconds."""


PLACES = 64
"""Pulses that a word of a barcode may have: a pulse's number is its word's times this plus its
place in the word."""


@dataclass(frozen=True)
class Pulses:
    """A pulse train in recorded order.

    Attributes
    ----------
    time_P : seconds
    label_P : number that a pulse carries, -1 for none: pulses with different ones never match
    """

    time_P: Times
    label_P: NDArray[np.int64]

    @classmethod
    def plain(cls, time_P: Times) -> "Pulses":
        """Return pulses that carry no number."""
        return cls(np.asarray(time_P, np.float64), np.full(len(time_P), -1, np.int64))


@dataclass(frozen=True)
class Chain:
    """Matched pulses: positions in the device's train and in the reference, both ascending."""

    device_M: Indices
    reference_M: Indices


Window = tuple[float, float]
"""Least and greatest offset (session minus device, seconds) that is known beforehand."""


def find_chains(
    reference: Pulses, device: Pulses, window: Window | None, settings: SyncSettings
) -> list[Chain]:
    """Return chains that share no pulse, in device order.

    Parameters
    ----------
    reference, device : trains with strictly ascending times
    window : offsets to consider; None for all
    """
    free_P = np.ones(len(device.time_P), bool)
    found: list[Chain] = []
    tracker = _Tracker(reference, device, settings)
    for at_reference, at_device in find_seeds(reference, device, window, settings):
        if not free_P[at_device]:
            continue
        chain = tracker.grow(int(at_reference), int(at_device))
        inside = free_P[chain.device_M]
        chain = Chain(chain.device_M[inside], chain.reference_M[inside])
        if len(chain.device_M) >= settings.min_pulses:
            free_P[chain.device_M[0] : chain.device_M[-1] + 1] = False
            found.append(chain)
    return keep_in_order(found)


def keep_in_order(chains: list[Chain]) -> list[Chain]:
    """Return the longest chains that do not contradict each other: neither clock runs backwards."""
    kept: list[Chain] = []
    for chain in sorted(chains, key=lambda c: -len(c.device_M)):
        if all(_in_order(chain, other) for other in kept):
            kept.append(chain)
    return sorted(kept, key=lambda c: int(c.device_M[0]))


def _in_order(one: Chain, other: Chain) -> bool:
    first, second = sorted((one, other), key=lambda c: int(c.device_M[0]))
    return bool(
        first.device_M[-1] < second.device_M[0] and first.reference_M[-1] < second.reference_M[0]
    )


def find_seeds(
    reference: Pulses, device: Pulses, window: Window | None, settings: SyncSettings
) -> Indices:
    """Return (seed, [reference, device]) positions that may be the same pulse, best first."""
    if (device.label_P >= 0).any():
        seeds = _equal_labels(reference.label_P, device.label_P)
    elif window is not None:
        seeds = _within(reference.time_P, device.time_P, window)
    else:
        seeds = _equal_intervals(reference.time_P, device.time_P, settings)
    if window is None or not len(seeds):
        return seeds
    offset = reference.time_P[seeds[:, 0]] - device.time_P[seeds[:, 1]]
    return seeds[(offset >= window[0]) & (offset <= window[1])]


def _equal_labels(reference_P: NDArray[np.int64], device_P: NDArray[np.int64]) -> Indices:
    order = np.argsort(reference_P, kind="stable")
    first = np.searchsorted(reference_P, device_P, sorter=order)
    seeds = []
    for more in range(SEEDS_EACH):
        place = np.minimum(first + more, len(order) - 1)
        same = (reference_P[order[place]] == device_P) & (device_P >= 0)
        same &= first + more < len(order)
        seeds.append(np.stack([order[place[same]], np.flatnonzero(same)], axis=1))
    return np.concatenate(seeds)


def _within(reference_P: Times, device_P: Times, window: Window) -> Indices:
    """Return for each pulse the reference's pulse nearest to the middle of the window."""
    nearest = nearest_position(reference_P, device_P + sum(window) / 2)
    return np.stack([nearest, np.arange(len(device_P))], axis=1)


def _equal_intervals(reference_P: Times, device_P: Times, settings: SyncSettings) -> Indices:
    grams, wanted = _grams(reference_P), _grams(device_P)
    if not (len(grams) and len(wanted)):
        return np.zeros((0, 2), np.intp)
    reach = settings.tolerance_s + 1e-6 * settings.max_drift_ppm * float(np.median(wanted))
    far, near = cKDTree(grams).query(wanted, k=SEEDS_EACH, p=np.inf, distance_upper_bound=reach)
    rank, at_device = np.nonzero(np.isfinite(far).T)
    seeds = np.stack([near[at_device, rank], at_device], axis=1)
    return np.asarray(seeds[np.lexsort((far[at_device, rank], rank))], np.intp)


def _grams(time_P: Times) -> Times:
    gap = np.diff(time_P)
    if len(gap) < GRAM:
        return np.zeros((0, GRAM))
    return np.lib.stride_tricks.sliding_window_view(gap, GRAM)


def nearest_position(sorted_P: Times, wanted_T: Times) -> Indices:
    """Return the position of the nearest of ascending times."""
    right = np.clip(np.searchsorted(sorted_P, wanted_T), 1, max(len(sorted_P) - 1, 1))
    right = np.minimum(right, len(sorted_P) - 1)
    left = np.maximum(right - 1, 0)
    closer = wanted_T - sorted_P[left] <= sorted_P[right] - wanted_T
    return np.where(closer, left, right)


def grow_chain(
    reference: Pulses, device: Pulses, at_reference: int, at_device: int, settings: SyncSettings
) -> Chain:
    """Return the chain through one pair of pulses."""
    return _Tracker(reference, device, settings).grow(at_reference, at_device)


class _Tracker:
    """Follows pulses from a seed, forwards then backwards."""

    def __init__(self, reference: Pulses, device: Pulses, settings: SyncSettings) -> None:
        # Lists: one element of a list is ten times as fast as one of an array.
        self._reference: list[float] = reference.time_P.tolist()
        self._device: list[float] = device.time_P.tolist()
        self._labels = (reference.label_P.tolist(), device.label_P.tolist())
        self._settings = settings
        gaps = np.diff(device.time_P)
        self._interval = float(np.median(gaps)) if len(gaps) else 0.0

    def grow(self, at_reference: int, at_device: int) -> Chain:
        """Return the chain through one pair of pulses."""
        forward = self._follow(at_reference, at_device, 1)
        backward = self._follow(at_reference, at_device, -1)
        pairs = np.array([*_trim(backward)[:0:-1], *_trim(forward)], np.intp)
        return Chain(pairs[:, 1], pairs[:, 0])

    def _follow(self, i: int, j: int, step: int) -> list[tuple[int, int]]:
        reference, device = self._reference, self._device
        labels_r, labels_d = self._labels
        tolerance = self._settings.tolerance_s
        pairs = [(i, j)]
        here, offset, drift = device[j], reference[i] - device[j], 0.0
        slack, noise = 1e-6 * self._settings.max_drift_ppm, tolerance / 4
        missed = 0
        j += step
        while 0 <= j < len(device):
            ahead = device[j] - here
            if missed >= PATIENCE and abs(ahead) > 3 * self._interval:
                break
            wanted = device[j] + offset + drift * ahead
            near = _closest(reference, wanted)
            error = reference[near] - wanted
            gate = min(tolerance, max(5 * noise, LEAST_GATE_S)) + slack * abs(ahead)
            moved = (near - pairs[-1][0]) * step > 0
            if moved and abs(error) <= gate and labels_r[near] == labels_d[j]:
                pairs.append((near, j))
                # Gains of a least-squares line through the last pulses, at most MEMORY of them.
                count = min(len(pairs), MEMORY)
                gain = 2 * (2 * count - 1) / (count * (count + 1))
                bend = 6 / (count * (count + 1))
                offset += drift * ahead + gain * error
                drift += bend * error / max(abs(ahead), self._interval) * step
                noise += (abs(error) - noise) / 10
                slack = max(slack * 0.8, 1e-5)
                here, missed = device[j], 0
            else:
                missed += 1
            j += step
        return pairs


def _trim(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Drop pairs at the end that stand alone: beyond a reset a pulse may match by chance."""
    while len(pairs) > EDGE:
        # In both trains: where the clock jumped on, the reference has many pulses in between.
        last, earlier = pairs[-1], pairs[-EDGE]
        if max(abs(last[0] - earlier[0]), abs(last[1] - earlier[1])) <= 2 * EDGE:
            break
        pairs.pop()
    return pairs


def _closest(ascending: list[float], wanted: float) -> int:
    right = bisect_left(ascending, wanted)
    if right == 0:
        return 0
    if right == len(ascending):
        return right - 1
    return right if ascending[right] - wanted < wanted - ascending[right - 1] else right - 1
