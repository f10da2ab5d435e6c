"""How wide the predicted distributions are, and how what is drawn from them hangs together."""

from dataclasses import dataclass

import numpy as np

from tasks.lnm.data.masks import TWO_SIDED, Mode
from tasks.lnm.data.recording import Bools, Floats, Ints
from tasks.lnm.linear.skip import interpolate_horizons
from tasks.lnm.network.windows import TaskWeights

PLAIN = (1.0, 1.0, 0.0)
"""Factor, power and tail that leave a scale as it is."""
FARTHEST = 1e-6
"""Levels no nearer to 0 and 1: those themselves are of infinite values."""


def plain_noise(counts_V: Bools) -> Floats:
    """Return (factor, power, tail) x (column) that leave scales as they are; counts are Poisson."""
    plain_PV = np.repeat(np.array(PLAIN, np.float32)[:, None], len(counts_V), axis=1)
    plain_PV[0, counts_V] = 0.0
    return plain_PV


@dataclass(frozen=True)
class Noise:
    """For each task and column: scale = factor * (network's scale) ** power; and the tail.

    level_RSV : (moment, step, column) shares of predicted distributions that lay below the truth
        1, 2 ... steps after some moments, NaN where not known; without moments, draws of columns
        and steps are independent
    """

    factor: TaskWeights
    power: TaskWeights
    tail: TaskWeights
    level_RSV: Floats

    @classmethod
    def plain(cls, horizons: int, counts_V: Bools) -> "Noise":
        """Return what leaves scales as they are, without tails; counts are Poisson."""
        parts = (
            TaskWeights({task: part_V.copy() for task in TWO_SIDED}, np.tile(part_V, (horizons, 1)))
            for part_V in plain_noise(counts_V)
        )
        factor, power, tail = parts
        return cls(factor, power, tail, np.zeros((0, 1, len(counts_V)), np.float32))

    def hidden(
        self, mode: Mode, scale: Floats, kept: Ints, counts_V: Bools
    ) -> tuple[Floats, Floats]:
        """Return scale and tail (..., kept column) of what is hidden at all times.

        counts_V : of all columns
        """
        calibrated = mode in TWO_SIDED
        parts = [part.two_sided[mode if calibrated else "impute"][kept] for part in self._parts]
        if not calibrated:
            # Units as when they are imputed, which is the nearest that is known of them.
            plain = zip(parts, PLAIN, strict=True)
            parts = [np.where(counts_V[kept], part, value) for part, value in plain]
        return _adjust(scale, *parts)

    def ahead(self, scale: Floats, kept: Ints, horizons: tuple[int, ...]) -> tuple[Floats, Floats]:
        """Return scale and tail (..., step, kept column) of forecasts from the first step on."""
        fill_SH = interpolate_horizons(horizons, horizons[-1])[: scale.shape[-2]]
        return _adjust(scale, *(fill_SH @ part.forecast_HV[:, kept] for part in self._parts))

    def draw_levels(self, courses: int, rng: np.random.Generator) -> Floats:
        """Return (course, step, column) levels, those of each course of one moment."""
        moments, steps, columns = self.level_RSV.shape
        free = rng.random((courses, steps, columns))
        if not moments:
            return free
        level_BSV = self.level_RSV[rng.integers(moments, size=courses)]
        return np.where(np.isfinite(level_BSV), level_BSV, free)

    @property
    def _parts(self) -> tuple[TaskWeights, TaskWeights, TaskWeights]:
        return self.factor, self.power, self.tail


def hold_levels(level: Floats) -> Floats:
    """Return levels held away from 0 and 1; those that are not known stay NaN."""
    return np.clip(level, FARTHEST, 1 - FARTHEST)


def _adjust(scale: Floats, factor: Floats, power: Floats, tail: Floats) -> tuple[Floats, Floats]:
    adjusted = (factor * scale**power).astype(np.float32)
    return adjusted, np.broadcast_to(tail, scale.shape).astype(np.float32)
