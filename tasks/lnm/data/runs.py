"""How the time of a recording is divided: runs without a gap, parts, windows, forecasts."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from schemas.errors import RecordingTooShortError
from schemas.settings.lnm import LnmSettings
from schemas.settings.split import SplitSettings
from tasks.common.splits import TimeSplit, split_by_time
from tasks.lnm.data.recording import Ints, Recording

Runs = Sequence[tuple[int, int]]
"""Start and stop of each stretch without a gap."""

LONGEST_AUTO_WINDOW = 64
SHORTEST_WINDOW = 8
WINDOWS_IN_A_SESSION = 16
MOST_ORIGINS = 600


def forecast_origins(runs: Runs, window: int) -> tuple[Ints, Ints]:
    """Return samples to forecast from and how much of each one's run may be seen before it.

    At least a quarter of a window is seen; some 600 origins at most, evenly spread.
    """
    origins, contexts = [], []
    for start, stop in runs:
        first = start + max(1, window // 4) - 1
        origins += [*range(first, stop - 1)]
        contexts += [at - start + 1 for at in range(first, stop - 1)]
    stride = max(1, -(-len(origins) // MOST_ORIGINS))
    return np.array(origins[::stride], np.int64), np.array(contexts[::stride], np.int64)


def find_runs(segment_T: Ints, part_T: Ints | None = None) -> list[tuple[int, int]]:
    """Return (start, stop) of each stretch of one segment inside one part; negative is outside."""
    label_T = segment_T if part_T is None else np.where(part_T < 0, -1, segment_T * 8 + part_T)
    label_T = np.where(segment_T < 0, -1, label_T)
    edges = np.flatnonzero(np.diff(label_T)) + 1
    starts, stops = np.r_[0, edges], np.r_[edges, len(label_T)]
    return [
        (int(a), int(b)) for a, b in zip(starts, stops, strict=True) if b > a and label_T[a] >= 0
    ]


def part_of_each_sample(split: TimeSplit) -> Ints:
    """Return 0 for train, 1 for validation, 2 for test, -1 for guard samples."""
    part_T = np.full(len(split.train), -1, np.int64)
    for number, mask in enumerate((split.train, split.validation, split.test)):
        part_T[mask] = number
    return part_T


def choose_window(segment_T: Ints, settings: LnmSettings) -> int:
    """Return the window in samples: as set, or as long as segments and recording allow.

    Automatic: at most 64 samples and a sixteenth of the recording, and so short that segments of
    at least that length hold four fifths of it. Always a multiple of the patch.

    Raises
    ------
    RecordingTooShortError
        Fewer than 8 samples would be left, or the set window fits no segment.
    """
    lengths = np.sort([stop - start for start, stop in find_runs(segment_T)])[::-1]
    total = int(lengths.sum())
    if settings.window:
        window, longest = settings.window, int(lengths[0]) if total else 0
    else:
        covered = np.searchsorted(np.cumsum(lengths), 0.8 * total) if total else 0
        longest = int(lengths[min(covered, len(lengths) - 1)]) if total else 0
        window = min(LONGEST_AUTO_WINDOW, total // WINDOWS_IN_A_SESSION, longest)
    window -= window % settings.patch
    if window < SHORTEST_WINDOW or window > longest:
        raise RecordingTooShortError(
            f"{total} samples, the longest usable segment {longest}, leave no window of at least "
            f"{SHORTEST_WINDOW} samples (asked for {settings.window or 'auto'}).",
            where="aligned/clock",
            remedy="Align at a higher rate, set a shorter lnm.window, or record longer.",
        )
    return window


def cut_folds(part_T: Ints, folds: int) -> Ints:
    """Cut the training samples into folds of consecutive time; -1 outside training.

    As large as each other, but that folds end where a block of the split does, if one does nearby.
    """
    train = np.flatnonzero(part_T == 0)
    fold_T = np.full(len(part_T), -1, np.int64)
    ends = np.arange(1, folds) * len(train) / folds
    others = np.cumsum(part_T > 0)[train]
    breaks = np.flatnonzero(np.diff(others) > 0) + 1
    if len(breaks) and folds > 1:
        nearest = np.abs(breaks[:, None] - ends).argmin(axis=1)
        for at, end in enumerate(ends):
            if len(own := breaks[nearest == at]):
                ends[at] = own[np.abs(own - end).argmin()]
    fold_T[train] = np.searchsorted(ends, np.arange(len(train)), side="right")
    return fold_T


def split_with_guard(recording: Recording, split: SplitSettings, window: int) -> TimeSplit:
    """Split by time with a guard of at least one window between parts."""
    guard_s = max(split.guard_s, window / recording.rate_hz)
    return split_by_time(recording.time_T, split.model_copy(update={"guard_s": guard_s}))


def window_stride(window: int) -> int:
    """Return how many samples apart the windows of an answer start: they overlap by 3/4."""
    return max(1, window // 4)


def cut_windows(runs: Runs, window: int, stride: int) -> NDArray[np.int64]:
    """Cut runs into windows that never leave them.

    Returns
    -------
    (window, 2) first sample and length. The last window of a run ends with it; a run shorter
    than a window makes one short window, to be padded.
    """
    found = []
    for start, stop in runs:
        last = max(start, stop - window)
        firsts = [*range(start, last, stride), last]
        found += [(first, min(window, stop - first)) for first in firsts]
    return np.array(found, np.int64).reshape(-1, 2)
