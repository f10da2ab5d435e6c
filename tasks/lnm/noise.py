"""How wide the predicted distributions are: factors on the network's scale, and tails."""

from dataclasses import dataclass

import numpy as np

from tasks.lnm.masks import Mode
from tasks.lnm.recording import Bools, Floats, Ints
from tasks.lnm.skip import interpolate_horizons
from tasks.lnm.windows import TWO_SIDED, TaskWeights

PLAIN = (1.0, 1.0, 0.0)
"""Factor, power and tail that leave a scale as it is."""


def plain_noise(counts_V: Bools) -> Floats:
    """Return (factor, power, tail) x (column) that leave scales as they are; counts are Poisson."""
    plain_PV = np.repeat(np.array(PLAIN, np.float32)[:, None], len(counts_V), axis=1)
    plain_PV[0, counts_V] = 0.0
    return plain_PV


@dataclass(frozen=True)
class Noise:
    """For each task and column: scale = factor * (network's scale) ** power; and the tail."""

    factor: TaskWeights
    power: TaskWeights
    tail: TaskWeights

    @classmethod
    def plain(cls, horizons: int, counts_V: Bools) -> "Noise":
        """Return what leaves scales as they are, without tails; counts are Poisson."""
        parts = (
            TaskWeights({task: part_V.copy() for task in TWO_SIDED}, np.tile(part_V, (horizons, 1)))
            for part_V in plain_noise(counts_V)
        )
        return cls(*parts)

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

    @property
    def _parts(self) -> tuple[TaskWeights, TaskWeights, TaskWeights]:
        return self.factor, self.power, self.tail


def _adjust(scale: Floats, factor: Floats, power: Floats, tail: Floats) -> tuple[Floats, Floats]:
    adjusted = (factor * scale**power).astype(np.float32)
    return adjusted, np.broadcast_to(tail, scale.shape).astype(np.float32)
