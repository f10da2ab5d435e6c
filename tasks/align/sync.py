"""Two clocks that saw the same pulses: what each time of the one is on the other.

Pulses are lost, doubled and late on either side, clocks drift, and devices restart. Nothing here
counts pulses: they are matched by the intervals between them (or by the numbers they carry), and
a match is believed only where no other offset explains the pulses as well.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from schemas.settings.sync import SyncSettings
from tasks.align.sync_chains import Indices, Pulses, Times, Window
from tasks.align.sync_map import ClockMap, count_resets
from tasks.align.sync_segments import Segment, relate_stretch

Verdict = Literal["synchronised", "partial", "ambiguous", "unmatched"]


@dataclass(frozen=True)
class Sync:
    """What the pulses say about two clocks.

    Attributes
    ----------
    reference, device : the trains, in recorded order
    segments : stretches that were matched for sure
    doubtful : stretches that other offsets would match as well, so are not used
    max_gap_s : times between matched pulses further apart are not mapped
    """

    reference: Pulses
    device: Pulses
    segments: tuple[Segment, ...]
    doubtful: tuple[Segment, ...] = ()
    max_gap_s: float = field(default=120.0)

    @property
    def verdict(self) -> Verdict:
        """Whether the clocks could be related, in part, or not."""
        if not self.segments:
            return "ambiguous" if self.doubtful else "unmatched"
        return "partial" if self.doubtful else "synchronised"

    @cached_property
    def partner(self) -> NDArray[np.int64]:
        """Position in the reference of each device pulse, -1 where there is none."""
        partner = np.full(len(self.device.time_P), -1, np.int64)
        for segment in self.segments:
            partner[segment.device_M] = segment.reference_M
        return partner

    @cached_property
    def residual_s(self) -> Times:
        """Seconds by which each matched pulse was late on the session's clock, else NaN."""
        residual_s = np.full(len(self.device.time_P), np.nan)
        for segment in self.segments:
            time_M = self.device.time_P[segment.device_M]
            late_M = self.reference.time_P[segment.reference_M] - segment.line.predict(time_M)
            residual_s[segment.device_M] = late_M
        return residual_s

    @property
    def missing(self) -> Indices:
        """Reference pulses inside the matched stretches that the device lacks: dropped frames."""
        inside = _between(len(self.reference.time_P), [s.reference_M for s in self.segments])
        inside[self.partner[self.partner >= 0]] = False
        return np.flatnonzero(inside)

    @property
    def spurious(self) -> Indices:
        """Device pulses inside the matched stretches that the reference lacks."""
        inside = _between(len(self.device.time_P), [s.device_M for s in self.segments])
        return np.flatnonzero(inside & (self.partner < 0))

    def clock_map(self) -> ClockMap:
        """Return the sync points and where they hold."""
        spans = [
            (float(start), float(stop), number)
            for number, segment in enumerate(self.segments)
            for start, stop in self._spans(segment)
        ]
        lines = [segment.line for segment in self.segments]
        sizes = [len(line.knot_K) for line in lines]
        table = np.array(spans, np.float64).reshape(-1, 3)
        device_N = np.concatenate([np.zeros(0), *(line.knot_K for line in lines)])
        offset_N = np.concatenate([np.zeros(0), *(line.offset_K for line in lines)])
        return ClockMap(
            device_N,
            device_N + offset_N,
            np.repeat(np.arange(len(sizes)), sizes).astype(np.int32),
            table[:, 0],
            table[:, 1],
            table[:, 2].astype(np.int32),
            np.array([segment.epoch for segment in self.segments], np.int32),
            int(count_resets(self.device.time_P).max(initial=0)),
        )

    def _spans(self, segment: Segment) -> NDArray[np.float64]:
        """Return stretches of device time without a long pause between matched pulses."""
        time_M = self.device.time_P[segment.device_M]
        breaks = np.flatnonzero(np.diff(time_M) > self.max_gap_s) + 1
        parts = np.split(time_M, breaks)
        return np.array([(part[0], part[-1]) for part in parts])


def _between(size: int, positions: list[Indices]) -> NDArray[np.bool_]:
    inside = np.zeros(size, bool)
    for position in positions:
        inside[position[0] : position[-1] + 1] = True
    return inside


def synchronise(
    reference: Pulses, device: Pulses, settings: SyncSettings, window: Window | None = None
) -> Sync:
    """Match two pulse trains and relate their clocks.

    Parameters
    ----------
    reference : pulses on the session's clock, strictly ascending
    device : the same pulses on a device's clock, in recorded order: a step backwards in time is
        a reset of that clock
    window : least and greatest offset (session minus device) that is known beforehand

    Returns
    -------
    The stretches that could be related; those that could not are named, never guessed.
    """
    epoch_P = count_resets(device.time_P)
    found: list[Segment] = []
    for epoch in range(int(epoch_P.max(initial=-1)) + 1):
        first, stop = np.searchsorted(epoch_P, [epoch, epoch + 1])
        part = Pulses(device.time_P[first:stop], device.label_P[first:stop])
        if len(reference.time_P) >= settings.min_pulses and stop - first >= settings.min_pulses:
            found += relate_stretch(reference, part, int(first), epoch, window, settings)
    sure = _in_reference_order([segment for segment in found if segment.sure])
    certain = {id(segment) for segment in sure}
    doubtful = tuple(segment for segment in found if id(segment) not in certain)
    return Sync(reference, device, tuple(sure), doubtful, settings.max_gap_s)


def _in_reference_order(segments: list[Segment]) -> list[Segment]:
    """Return segments in which the session's clock only goes forward, the longest first."""
    kept: list[Segment] = []
    for segment in sorted(segments, key=lambda s: -len(s.device_M)):
        if all(_follows(segment, other) or _follows(other, segment) for other in kept):
            kept.append(segment)
    return sorted(kept, key=lambda s: int(s.device_M[0]))


def _follows(later: Segment, earlier: Segment) -> bool:
    return bool(
        later.device_M[0] > earlier.device_M[-1] and later.reference_M[0] > earlier.reference_M[-1]
    )
