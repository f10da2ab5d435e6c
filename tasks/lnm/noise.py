"""How wide the predicted distributions are: factors on the network's scale, and tails."""

from dataclasses import dataclass

import numpy as np

from tasks.lnm.masks import Mode
from tasks.lnm.recording import Bools, Floats, Ints
from tasks.lnm.skip import interpolate_horizons
from tasks.lnm.windows import TWO_SIDED, TaskWeights


@dataclass(frozen=True)
class Noise:
    """For each task and column: scale = factor * (network's scale) ** power; and the tail."""

    factor: TaskWeights
    power: TaskWeights
    tail: TaskWeights

    @classmethod
    def plain(cls, horizons: int, counts_V: Bools) -> "Noise":
        """Return what leaves scales as they are, without tails; counts are Poisson."""
        noise = cls(*(TaskWeights.filled(v, horizons, len(counts_V)) for v in (1.0, 1.0, 0.0)))
        for factor_V in (*noise.factor.two_sided.values(), *noise.factor.forecast_HV):
            factor_V[counts_V] = 0.0
        return noise

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
            plain = zip(parts, (1.0, 1.0, 0.0), strict=True)
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
