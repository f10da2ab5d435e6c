"""Splits by time with a guard gap: the one place that decides what is training and what is test."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from schemas.errors import RecordingTooShortError
from schemas.settings.split import SplitSettings
from tasks.common.segments import true_runs


@dataclass(frozen=True)
class TimeSplit:
    """Boolean masks over the samples of one time axis; guard samples are in none of them."""

    train: NDArray[np.bool_]
    validation: NDArray[np.bool_]
    test: NDArray[np.bool_]

    @property
    def fitting(self) -> NDArray[np.bool_]:
        """All samples but those of test parts and their guards: what may be fitted and chosen on.

        The guards between training and validation belong to it.
        """
        divided = np.flatnonzero(self.train | self.validation | self.test)
        index = np.arange(len(self.test))
        before = divided[np.maximum(np.searchsorted(divided, index, side="right") - 1, 0)]
        after = divided[np.minimum(np.searchsorted(divided, index), len(divided) - 1)]
        return ~(self.test[before] | self.test[after])

    def ranges(self, time: NDArray[np.float64]) -> dict[str, list[list[float]]]:
        """Return the first and last time of each stretch of each part in seconds, for lineage."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {
            name: [[float(time[run.start]), float(time[run.stop - 1])] for run in true_runs(mask)]
            for name, mask in parts.items()
            if mask.any()
        }


def split_by_time(time: NDArray[np.float64], settings: SplitSettings) -> TimeSplit:
    """Divide sorted sample times into train, validation and test with a guard before each.

    In each of `settings.blocks` blocks, in this order. Parts are fractions of the number of
    samples, not of the elapsed time, so that a recording with long gaps still has data in every
    part.

    Parameters
    ----------
    time : (time,) seconds, ascending
    settings : fractions, blocks, and guard in seconds

    Raises
    ------
    RecordingTooShortError
        The guard leaves a part of a block without samples.
    """
    n = len(time)
    masks = {name: np.zeros(n, bool) for name in ("train", "validation", "test")}
    too_short: set[str] = set()
    behind = -np.inf
    edges = [round(n * block / settings.blocks) for block in range(settings.blocks + 1)]
    for start, stop in pairwise(edges):
        ends = (1 - settings.test - settings.validation, 1 - settings.test, 1.0)
        cuts = [start, *(start + round((stop - start) * end) for end in ends)]
        for (name, mask), (first, last) in zip(masks.items(), pairwise(cuts), strict=True):
            if name == "validation" and settings.validation == 0:
                continue
            mask[first:last] = time[first:last] >= behind
            if not mask[first:last].any():
                too_short.add(name)
            if last > first:
                behind = float(time[last - 1]) + settings.guard_s
    if empty := [name for name in ("train", "test", "validation") if name in too_short]:
        each = f" in each of {settings.blocks} blocks" if settings.blocks > 1 else ""
        raise RecordingTooShortError(
            f"{n} samples leave no {' and no '.join(empty)} part{each} with a guard of "
            f"{settings.guard_s:g} s.",
            remedy="Shorten split.guard_s, take fewer split.blocks, or record longer.",
        )
    return TimeSplit(**masks)


def keep_segments(segment_T: NDArray[np.integer], kept: NDArray[np.bool_]) -> NDArray[np.integer]:
    """Return the segments of the kept samples, with a new one behind each stretch left out."""
    index, segment_K = np.flatnonzero(kept), segment_T[kept]
    left_out = np.cumsum(np.diff(index, prepend=index[:1]) > 1)
    return np.where(segment_K < 0, segment_K, segment_K + left_out).astype(segment_T.dtype)
