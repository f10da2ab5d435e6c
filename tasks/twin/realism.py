"""Generated against real behaviour, next to real against real: is the twin as real?"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.common.progress import track
from tasks.common.segments import true_runs
from tasks.twin.classifier import classifier_auc
from tasks.twin.distances import (
    Record,
    autocorrelation_distance,
    channel_of,
    crosscorrelation_distance,
    cut_windows,
    ks_distance,
    nearest_distance,
    spectrum_hellinger,
    wasserstein,
)
from tasks.twin.library import Bools, Floats

ALL = "all"
COPY = "nearest_training_window"
BOUNDED = frozenset({"ks", "psd_hellinger", "c2st_auc"})
"""Metrics that cannot exceed 1."""
CEILING = 0.95
MOST_LIBRARY_WINDOWS = 5_000
Scores = dict[tuple[str, str], float]


@dataclass(frozen=True)
class Judge:
    """What all comparisons share.

    channels : names, in the order of the records' columns
    window : samples a window has
    """

    channels: tuple[str, ...]
    window: int

    def compare(self, a: Record, b: Record) -> Scores:
        """Return every distance of two records of behaviour, by metric and channel."""
        scores = {(metric, name): value for metric, name, value in self._by_channel(a, b)}
        if len(self.channels) > 1:
            scores["correlation", ALL] = crosscorrelation_distance(a, b, 0)
            scores["cross_correlation", ALL] = crosscorrelation_distance(a, b, self.window)
            scores["c2st_auc", ALL] = classifier_auc(a, b, self.window)
        return scores

    def _by_channel(self, a: Record, b: Record) -> Iterator[tuple[str, str, float]]:
        for at, name in enumerate(self.channels):
            x, y = channel_of(a, at), channel_of(b, at)
            yield "ks", name, ks_distance(x, y)
            yield "wasserstein_sd", name, wasserstein(x, y)
            yield "psd_hellinger", name, spectrum_hellinger(x, y)
            yield "autocorrelation", name, autocorrelation_distance(x, y, self.window)
            one = [stretch[:, None] for stretch in x], [stretch[:, None] for stretch in y]
            yield "c2st_auc", name, classifier_auc(*one, self.window)

    def copied(self, record: Record, library: Record) -> float:
        """Return the mean distance of a record's windows to their nearest library window.

        A twin that replays the training part is at 0; the animal itself never is.
        """
        asked = cut_windows(record, self.window, max(self.window // 2, 1))
        known = cut_windows(library, self.window, 1)
        if not len(asked) or not len(known):
            return float("nan")
        known = known[:: -(-len(known) // MOST_LIBRARY_WINDOWS)]
        return float(nearest_distance(asked, known).mean())


def cut_record(
    behaviour_TC: Floats, segment_T: NDArray[np.integer], part_T: Bools, shortest: int
) -> Record:
    """Cut a part into its gapless stretches without NaN, those under `shortest` left out."""
    inside_T = part_T & (segment_T >= 0)
    return [
        behaviour_TC[stretch]
        for stretch in true_runs(np.isfinite(behaviour_TC).all(axis=1) & inside_T, segment_T)
        if stretch.stop - stretch.start >= shortest
    ]


def control_blocks(fitting_T: Bools, samples: int) -> list[slice]:
    """Cut the part before the test into blocks of the test part's size, each half over the next."""
    length = int(fitting_T.sum())
    samples = min(samples, length)
    count = max(2 * (length // samples) - 1, 1)
    starts = np.linspace(0, length - samples, count).round().astype(int)
    return [slice(int(start), int(start) + samples) for start in starts]


def judge_realism(
    judge: Judge,
    real_TC: Floats,
    generated_STC: Floats,
    linear_STC: Floats,
    segment_T: NDArray[np.integer],
    train_T: Bools,
    fitting_T: Bools,
    test_T: Bools,
) -> xr.Dataset:
    """Compare generated with real behaviour of the test part, and real with real as the control.

    The control has the same sizes: blocks of the earlier recording, as long as the test part,
    against the test part and against each other where they do not overlap. So it tells how much
    the animal differs from itself, which 0 or an AUC of 0.5 does not.

    Parameters
    ----------
    real_TC : (time, channel) the whole session in training SDs, NaN in gaps
    generated_STC : (sample, time, channel) on the same axis, NaN outside the test part
    linear_STC : the same of a linear model, to show how easily a figure is reached

    Returns
    -------
    Dataset over `metric`: channel, generated_vs_real (median of the samples, with the 5 and 95 %
    quantiles), real_vs_real (the same of the control), linear_vs_real (median), verdict.
    """

    def record(values_TC: Floats, part_T: Bools) -> Record:
        return cut_record(values_TC, segment_T, part_T, judge.window)

    def without(block: slice) -> Record:
        kept = train_T.copy()
        kept[max(block.start - judge.window, 0) : block.stop + judge.window] = False
        return record(real_TC, kept)

    real = record(real_TC, test_T)
    # Where the real channels are invalid in the test part the generated ones do not count either.
    seen_TC = np.where(np.isfinite(real_TC), 0.0, np.nan)
    runs = [record(run_TC + seen_TC, test_T) for run_TC in generated_STC]
    linear = [record(run_TC + seen_TC, test_T) for run_TC in linear_STC]
    blocks = control_blocks(fitting_T, int(test_T.sum()))
    earlier = [(block, record(real_TC, _mask(block, len(test_T)))) for block in blocks]
    earlier = [(block, found) for block, found in earlier if found]
    pairs = [(found, real) for _, found in earlier] + [
        (a, b) for (at, a), (then, b) in combinations(earlier, 2) if at.stop <= then.start
    ]
    library = record(real_TC, train_T)
    generated = [judge.compare(run, real) for run in track(runs, "judging the twin")]
    bar = [judge.compare(run, real) for run in linear]
    control = [judge.compare(a, b) for a, b in track(pairs, "judging the animal by itself")]
    copies = [judge.copied(run, library) for run in runs]
    natural = [judge.copied(found, without(block)) for block, found in earlier]
    natural.append(judge.copied(real, library))
    bar_copies = [judge.copied(run, library) for run in linear]
    found = (generated, control, bar)
    rows = [_row(key, *([score[key] for score in of] for of in found)) for key in generated[0]]
    rows.append(_row((COPY, ALL), copies, natural, bar_copies))
    return _table(rows)


def _mask(block: slice, length: int) -> Bools:
    mask = np.zeros(length, bool)
    mask[block] = True
    return mask


Row = dict[str, str | float]


def _row(
    key: tuple[str, str], generated: list[float], control: list[float], linear: list[float]
) -> Row:
    """Return one line of the table: medians, 5 and 95 % quantiles, verdict."""
    low, median, high = _quantiles(control)
    own_low, own_median, own_high = _quantiles(generated)
    return {
        "metric": key[0],
        "channel": key[1],
        "generated_vs_real": own_median,
        "generated_low": own_low,
        "generated_high": own_high,
        "real_vs_real": median,
        "real_low": low,
        "real_high": high,
        "linear_vs_real": _quantiles(linear)[1],
        "verdict": _verdict(key[0], own_median, (low, median, high)),
    }


def _quantiles(values: list[float]) -> tuple[float, float, float]:
    finite = [value for value in values if np.isfinite(value)]
    if not finite:
        return (np.nan, np.nan, np.nan)
    low, median, high = np.quantile(finite, [0.05, 0.5, 0.95])
    return float(low), float(median), float(high)


def _verdict(
    metric: str, value: float, control: tuple[float, float, float]
) -> Literal["as real", "differs", "undecided", "copies", "not measured"]:
    """Hold a figure against the control's range.

    Being nearer than the animal is to itself is fine, except to the training part: that is
    copying. Where the animal differs from itself as much as two records can, being inside the
    range says nothing unless the twin is also nearer than the animal usually is.
    """
    low, median, high = control
    if not np.isfinite([value, *control]).all():
        return "not measured"
    if metric == COPY and value < low:
        return "copies"
    if value > high:
        return "differs"
    saturated = metric in BOUNDED and high > CEILING
    return "undecided" if saturated and value > median else "as real"


def _table(rows: list[Row]) -> xr.Dataset:
    dataset = xr.Dataset(
        {name: ("metric", np.array([row[name] for row in rows])) for name in rows[0]}
    )
    return dataset.set_coords("metric")
