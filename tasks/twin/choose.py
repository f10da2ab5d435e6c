"""Choosing how the network predicts, on the validation part only."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from schemas.settings.twin import TwinSettings
from tasks.common.progress import track
from tasks.common.segments import true_runs
from tasks.twin.classifier import classifier_auc
from tasks.twin.distances import (
    Record,
    channel_of,
    cut_windows,
    ks_distance,
    nearest_distance,
    spectrum_hellinger,
)
from tasks.twin.forecast import ensemble_score, forecast, forecast_starts, longest_horizon
from tasks.twin.generate import Choice, histories_at, run_network
from tasks.twin.library import Bools, Floats, Ints, Library

MEMBERS = 4
MOST_WINDOWS = 2000
FEWEST_WINDOWS = 12
"""Validation must be as long as this many windows for free runs to be compared with it."""
LONGEST_RUN, MOST_RUNS = 200, 6
"""Samples of a free run at least, and runs of each candidate at most."""


@dataclass(frozen=True)
class Chosen:
    """The best candidate, its library, and the scores of those that were not screened out."""

    choice: Choice
    library: Library
    scores: dict[Choice, float]


def candidates(settings: TwinSettings) -> list[Choice]:
    """Return every combination of the settings' choices."""
    return [
        Choice(*fields)
        for fields in product(
            settings.delay_choices,
            settings.rules,
            settings.neighbour_choices,
            settings.theta_choices,
            settings.noise_choices,
        )
    ]


def choose_on_validation(
    scaled_TN: Floats,
    segment_T: NDArray[np.integer],
    train_T: Bools,
    validation_T: Bools,
    behaviours: int,
    window: int,
    library_of: Callable[[int], Library],
    settings: TwinSettings,
) -> Chosen:
    """Return the candidate that runs most like the animal on the validation part.

    Short ensemble forecasts screen the candidates, behaviours counting as much as all nodes
    together; among the better half free runs decide (see `realism_cost`), for the best forecaster
    is one that stays near the mean, and a twin is to move as the animal does. Where validation is
    too short for that, forecasts from all starts decide among the better quarter. Every candidate
    gets the same starts and the same random numbers. Without a validation stretch long enough to
    forecast, the last candidate listed is taken and no score is given.

    Parameters
    ----------
    scaled_TN : (time, node), behaviours first, in SDs; only validation samples are forecast
    window : samples of the windows that are compared
    library_of : builds the training library for a delay
    """
    tried = candidates(settings)
    libraries = {delay: library_of(delay) for delay in settings.delay_choices}
    depth = max(library.depth for library in libraries.values())
    good_T = np.isfinite(scaled_TN).all(axis=1)
    ahead = longest_horizon(good_T, segment_T, validation_T, depth, max(settings.forecast_horizons))
    if ahead < 1:
        return Chosen(tried[-1], libraries[tried[-1].delay], {})
    last_S = forecast_starts(
        good_T, segment_T, validation_T, depth, ahead, settings.validation_starts
    )

    def score(choice: Choice, starts: Ints) -> float:
        rng = np.random.default_rng(settings.seed)
        made = forecast(scaled_TN, libraries[choice.delay], choice, starts, ahead, MEMBERS, rng)
        score_N = ensemble_score(made)
        return float((score_N[:behaviours].mean() + score_N.mean()) / 2)

    # A quarter of the starts is enough to drop the worse part of the candidates.
    screened = {
        choice: score(choice, last_S[:: min(4, len(last_S))])
        for choice in track(tried, "screening how the twin may predict")
    }
    ranked = sorted(screened, key=screened.__getitem__)
    free = None
    if settings.chosen_by == "realism":
        behaviour_TC = scaled_TN[:, :behaviours]
        free = _FreeRuns.of(behaviour_TC, good_T, segment_T, validation_T, train_T, window, depth)
    if free is None:
        kept = ranked[: max(len(tried) // 4, 4)]
        scores = {c: score(c, last_S) for c in track(kept, "choosing how the twin predicts")}
    else:
        scores = {
            c: free.cost(scaled_TN, libraries[c.delay], c, settings.seed)
            for c in track(ranked[: max(len(tried) // 2, 4)], "choosing how the twin runs")
        }
    best = min(scores, key=scores.__getitem__)
    return Chosen(best, libraries[best.delay], scores)


@dataclass(frozen=True)
class _FreeRuns:
    """The validation part as something to be imitated.

    known_WX : windows of the training part, which a twin is not to replay
    last_R, steps_R : the samples that runs start from and how long they are
    """

    real: Record
    known_WX: Floats
    last_R: Ints
    steps_R: Ints
    window: int

    @classmethod
    def of(
        cls,
        behaviour_TC: Floats,
        good_T: Bools,
        segment_T: NDArray[np.integer],
        part_T: Bools,
        train_T: Bools,
        window: int,
        depth: int,
    ) -> "_FreeRuns | None":
        """Cut the part's stretches into runs; None if they are too short to be compared.

        A moment of the animal, in which it may rest, says nothing of how it moves.
        """
        usable = true_runs(good_T & part_T & (segment_T >= 0), segment_T)
        usable = [s for s in usable if s.stop - s.start >= depth + window]
        if sum(s.stop - s.start - depth for s in usable) < FEWEST_WINDOWS * window:
            return None
        # Long stretches are started from anew, so that one bad start does not decide.
        length = max(window, LONGEST_RUN)
        pairs = [
            (at - 1, min(length, s.stop - at))
            for s in usable
            for at in range(s.start + depth, s.stop - window + 1, length)
        ]
        keep = np.unique(np.linspace(0, len(pairs) - 1, min(len(pairs), MOST_RUNS)).astype(int))
        last_R, steps_R = np.array(pairs)[keep].T
        real = [
            behaviour_TC[last + 1 : last + 1 + steps]
            for last, steps in zip(last_R, steps_R, strict=True)
        ]
        seen_T = np.isfinite(behaviour_TC).all(axis=1) & train_T & (segment_T >= 0)
        stretches = [behaviour_TC[stretch] for stretch in true_runs(seen_T, segment_T)]
        known_WX = cut_windows(stretches, window, 1)
        known_WX = known_WX[:: -(-len(known_WX) // MOST_WINDOWS) or 1]
        return cls(real, known_WX, last_R, steps_R, window)

    def cost(self, scaled_TN: Floats, library: Library, choice: Choice, seed: int) -> float:
        """Return how unlike the animal a candidate's free runs are."""
        rng = np.random.default_rng(seed)
        channels = self.real[0].shape[1]
        made: list[Record] = [[] for _ in range(MEMBERS // 2)]
        for last, steps in zip(self.last_R, self.steps_R, strict=True):
            last_S = np.full(len(made), last)
            history_SHN = histories_at(scaled_TN, last_S, library.depth)
            path_STN = run_network(library, choice, history_SHN, int(steps), rng)
            for record, path_TN in zip(made, path_STN, strict=True):
                record.append(path_TN[:, :channels])
        return float(np.mean([realism_cost(self.real, run, self.window) for run in made])) + float(
            np.mean([self._copied(run) for run in made])
        )

    def _copied(self, record: Record) -> float:
        """Return how much nearer a run is to the training part than the animal is, 0 to 1."""
        if not len(self.known_WX):
            return 0.0
        hop = max(self.window // 2, 1)
        far, natural = (
            float(nearest_distance(cut_windows(r, self.window, hop), self.known_WX).mean())
            for r in (record, self.real)
        )
        return max(1.0 - far / max(natural, 1e-9), 0.0)


def realism_cost(real: Record, made: Record, window: int) -> float:
    """Return a mean of distances, each 0 for equal statistics and at most 1.

    Of each channel the Hellinger distance of spectra and the largest gap between distributions;
    of all together how far above chance a classifier tells windows apart, where it can be asked.
    """
    channels = range(real[0].shape[1])
    found = []
    for channel in channels:
        pair = channel_of(real, channel), channel_of(made, channel)
        found.append([spectrum_hellinger(*pair), ks_distance(*pair)])
    spectra, values = np.mean(found, axis=0)
    told = max(classifier_auc(real, made, window) - 0.5, 0.0) * 2
    parts = [spectra, values, told]
    return float(np.mean([part for part in parts if np.isfinite(part)]))
