"""Splits by time with a guard gap: the one place that decides what is training and what is test."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.errors import RecordingTooShortError
from schemas.settings.split import SplitSettings


@dataclass(frozen=True)
class TimeSplit:
    """Boolean masks over the samples of one time axis; guard samples are in none of them."""

    train: NDArray[np.bool_]
    validation: NDArray[np.bool_]
    test: NDArray[np.bool_]

    @property
    def fitting(self) -> NDArray[np.bool_]:
        """All samples up to the end of validation: what the test part must never see."""
        last = np.flatnonzero(self.train | self.validation)[-1]
        mask = np.zeros_like(self.train)
        mask[: last + 1] = True
        return mask

    def ranges(self, time: NDArray[np.float64]) -> dict[str, list[float]]:
        """Return the first and last time of each part in seconds, for lineage."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {
            name: [float(time[mask][0]), float(time[mask][-1])]
            for name, mask in parts.items()
            if mask.any()
        }


def split_by_time(time: NDArray[np.float64], settings: SplitSettings) -> TimeSplit:
    """Divide sorted sample times into train, validation and test with a guard before each.

    Parts are fractions of the number of samples, not of the elapsed time, so that a recording
    with long gaps still has data in every part.

    Parameters
    ----------
    time : (time,) seconds, ascending
    settings : fractions and guard in seconds

    Raises
    ------
    RecordingTooShortError
        The guard leaves a part without samples.
    """
    n = len(time)
    test_from = round(n * (1 - settings.test))
    validation_from = round(n * (1 - settings.test - settings.validation))
    index = np.arange(n)
    train = index < validation_from
    validation = (index >= validation_from) & (index < test_from)
    test = index >= test_from
    if settings.validation > 0:
        validation &= time >= _last(time, train) + settings.guard_s
    test &= time >= _last(time, index < test_from) + settings.guard_s
    wanted = {"train": train, "test": test}
    if settings.validation > 0:
        wanted["validation"] = validation
    if empty := [name for name, mask in wanted.items() if not mask.any()]:
        raise RecordingTooShortError(
            f"{n} samples leave no {' and no '.join(empty)} part with a guard of "
            f"{settings.guard_s:g} s.",
            remedy="Shorten split.guard_s or record longer.",
        )
    return TimeSplit(train, validation, test)


def _last(time: NDArray[np.float64], mask: NDArray[np.bool_]) -> float:
    return float(time[mask][-1]) if mask.any() else -np.inf
