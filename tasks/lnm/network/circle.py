"""Angles by their cosines and sines: a head of distributions on the circle, see heads.py."""

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor

from tasks.lnm.data.recording import Floats
from tasks.lnm.network.heads import Doubles, Told

NODES = 128
"""Equally likely angles that stand for a distribution on the circle."""


class VonMises:
    """Angles by their cosines (first half of the columns) and sines (second half).

    Their direction is that of the mean; their concentration is one over the square of the scale of
    both halves together, so that the scale is about the standard deviation in radians.
    """

    def nll(self, real: Tensor, mean: Tensor, scale: Tensor, tail: Tensor) -> Tensor:
        """Return half of the angle's negative log-likelihood at its cosine, half at its sine."""
        angle, ahead = (torch.atan2(*reversed(x.chunk(2, dim=-1))) for x in (real, mean))
        cosine, sine = scale.chunk(2, dim=-1)
        kappa = 2 / (cosine**2 + sine**2)
        missed = 2 * kappa * torch.sin((angle - ahead) / 2) ** 2
        half = (missed + torch.special.i0e(kappa).log() + math.log(2 * math.pi)) / 2
        return torch.cat([half, half], dim=-1)

    def sd(self, told: Told) -> Doubles:
        """Return the standard deviations of cosine and sine."""
        return np.asarray(self._nodes(told).std(0))

    def cdf(self, real: Floats, told: Told) -> tuple[Doubles, Doubles]:
        """Return the probabilities of a cosine or sine below the real one, twice."""
        below = (self._nodes(told) <= real).mean(0) + 0 * real
        return below, below

    def quantile(self, told: Told, level: float | Doubles) -> Doubles:
        """Return the cosine or sine that a share `level` lies below."""
        return np.asarray(np.quantile(self._nodes(told), level, axis=0, method="hazen"))

    def sample(self, told: Told, rng: np.random.Generator) -> Doubles:
        """Draw angles; cosine and sine are of the same one."""
        ahead, kappa = self._polar(told)
        angle = rng.vonmises(np.nan_to_num(ahead), kappa) + 0 * ahead
        return np.concatenate([np.cos(angle), np.sin(angle)], axis=-1)

    def crps(self, real: Floats, told: Told) -> Doubles:
        """Return the CRPS of cosine and sine."""
        nodes = np.sort(self._nodes(told), axis=0)
        rank = (2 * np.arange(1, NODES + 1) - NODES - 1) / NODES**2
        within = np.tensordot(rank, nodes, axes=1)
        return np.asarray(np.abs(nodes - real).mean(0) - within)

    def direction(self, told: Told, level: float | None = None) -> Doubles:
        """Return (..., angle) circular means, or quantiles about them, in radians."""
        ahead, kappa = self._polar(told)
        if level is None:
            return ahead
        return np.asarray(np.angle(np.exp(1j * (ahead + _turned(kappa, np.array([level]))[0]))))

    def level(self, real: Floats, told: Told, rng: np.random.Generator) -> Doubles:
        """Return the share of the angles' distribution behind the true angle, at both halves."""
        ahead, kappa = self._polar(told)
        angle = np.arctan2(*reversed(np.split(np.asarray(real, np.float64), 2, axis=-1)))
        missed = np.angle(np.exp(1j * (angle - ahead)))
        share = (self._offsets(kappa) <= missed).mean(0) + 0 * missed
        return np.concatenate([share, share], axis=-1)

    def at(self, told: Told, level: Doubles) -> Doubles:
        """Return cosine and sine of the angle that a share lies behind, as `level` gives it."""
        ahead, kappa = self._polar(told)
        share = np.split(level, 2, axis=-1)[0]
        node = np.clip((share * NODES).astype(np.int64), 0, NODES - 1)
        angle = ahead + np.take_along_axis(self._offsets(kappa), node[None], axis=0)[0]
        return np.concatenate([np.cos(angle), np.sin(angle)], axis=-1)

    def _polar(self, told: Told) -> tuple[Doubles, Doubles]:
        cosine, sine = np.split(np.asarray(told.mean, np.float64), 2, axis=-1)
        both = np.split(np.asarray(told.scale, np.float64), 2, axis=-1)
        square = np.nan_to_num((both[0] ** 2 + both[1] ** 2) / 2, nan=1.0)
        return np.arctan2(sine, cosine), 1 / np.maximum(square, 1e-8)

    def _nodes(self, told: Told) -> Doubles:
        """Return (node, ..., column) cosines and sines of equally likely angles."""
        ahead, kappa = self._polar(told)
        angle = ahead + self._offsets(kappa)
        return np.concatenate([np.cos(angle), np.sin(angle)], axis=-1)

    def _offsets(self, kappa: Doubles) -> Doubles:
        """Return (node, ...) equally likely angles about 0, ascending."""
        return _turned(kappa, (np.arange(NODES) + 0.5) / NODES)


@cache
def _circular_table() -> tuple[Doubles, Doubles, Doubles]:
    """Return concentrations, angles about 0 and the shares that lie below these."""
    known_K = np.logspace(-3, 8, 331)
    reach_K1 = np.minimum(np.pi, 12 / np.sqrt(known_K))[:, None]
    angle_KA = reach_K1 * np.linspace(-1, 1, 1201)
    density_KA = np.exp(-2 * known_K[:, None] * np.sin(angle_KA / 2) ** 2)
    below_KA = np.cumsum(density_KA, axis=1) - (density_KA + density_KA[:, :1]) / 2
    below_KA /= below_KA[:, -1:]
    return known_K, angle_KA, below_KA


def _turned(kappa: Doubles, level_Q: Doubles) -> Doubles:
    """Return (level, ...) angles about 0 that shares of von Mises distributions lie below.

    From a table: in units of 1 / sqrt(kappa) these angles change slowly with the logarithm of
    kappa, and towards those of a normal distribution.
    """
    known_K, angle_KA, below_KA = _circular_table()
    table_KQ = np.stack(
        [np.interp(level_Q, below, angle) for below, angle in zip(below_KA, angle_KA, strict=True)]
    )
    table_KQ *= np.sqrt(known_K)[:, None]
    asked = np.log(np.clip(kappa, known_K[0], known_K[-1]))
    found = [np.interp(asked, np.log(known_K), of_level) for of_level in table_KQ.T]
    return np.stack(found) / np.sqrt(np.clip(kappa, known_K[0], known_K[-1]))
