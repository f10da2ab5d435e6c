"""Choosing how the network predicts, on the validation part only."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from schemas.settings.twin import TwinSettings
from tasks.common.progress import track
from tasks.twin.forecast import ensemble_score, forecast, forecast_starts, longest_horizon
from tasks.twin.generate import Choice
from tasks.twin.library import Bools, Floats, Ints, Library

MEMBERS = 4


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
    validation_T: Bools,
    behaviours: int,
    library_of: Callable[[int], Library],
    settings: TwinSettings,
) -> Chosen:
    """Return the candidate whose ensemble forecasts of the validation part score best.

    Behaviours count as much as all nodes together. Every candidate gets the same starts and the
    same random numbers. Without a validation stretch long enough to forecast, the last candidate
    listed is taken and no score is given.

    Parameters
    ----------
    scaled_TN : (time, node), behaviours first, in SDs; only validation samples are forecast
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

    # A quarter of the starts is enough to drop the worse three quarters of the candidates.
    screened = {
        choice: score(choice, last_S[:: min(4, len(last_S))])
        for choice in track(tried, "screening how the twin may predict")
    }
    kept = sorted(screened, key=screened.__getitem__)[: max(len(tried) // 4, 4)]
    scores = {c: score(c, last_S) for c in track(kept, "choosing how the twin predicts")}
    best = min(scores, key=scores.__getitem__)
    return Chosen(best, libraries[best.delay], scores)
