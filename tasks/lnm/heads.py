"""How values scatter about a predicted mean: one family of distributions for each kind of column.

The mean is the business of skip, network and gates, and no head moves it. A head says how wide
the scatter is (`scale`) and how heavy its tails are (`tail`). A new family is a class with these
methods and a name in `HEADS`.
"""

import math
from collections.abc import Mapping
from functools import cache
from typing import Literal, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special, stats
from torch import Tensor

from tasks.lnm.recording import Floats, Ints

HeadName = Literal["student_t", "negative_binomial", "bernoulli", "von_mises"]
Doubles = NDArray[np.float64]

LEAST_TAIL = 1e-4
"""One over degrees of freedom so many that a t distribution is a normal one."""
LEAST_RATE = 1e-6
POISSON = 1e-6
"""Below this square of the scale the variance of counts is their mean."""
NODES = 128
"""Equally likely angles that stand for a distribution on the circle."""


class Told(NamedTuple):
    """What a head is told, in the columns' own units; each (..., column).

    mean : expected value, of counts and probabilities too
    scale : of a t, in own units; of counts, standard deviation of the rate over the rate; of
        angles, radians
    tail : one over the degrees of freedom of a t
    """

    mean: Floats
    scale: Floats
    tail: Floats

    def take(self, own: Ints) -> "Told":
        """Return what is told of some columns."""
        return Told(*(part[..., own] for part in self))


class Head(Protocol):
    """A family of distributions; real and told arrays (..., column), NaN where unknown."""

    def nll(self, real: Tensor, mean: Tensor, scale: Tensor, tail: Tensor) -> Tensor:
        """Return the negative log-likelihood in nats."""

    def sd(self, told: Told) -> Doubles:
        """Return the standard deviation."""

    def cdf(self, real: Floats, told: Told) -> tuple[Doubles, Doubles]:
        """Return the probabilities of a value below, and of one below or equal to the real one."""

    def quantile(self, told: Told, level: float) -> Doubles:
        """Return the value that a share `level` lies below."""

    def sample(self, told: Told, rng: np.random.Generator) -> Doubles:
        """Draw a value of each."""

    def crps(self, real: Floats, told: Told) -> Doubles:
        """Return the continuous ranked probability score, in own units; lower is better."""


class StudentT:
    """Continuous values: a t distribution, normal where its tail is 0."""

    def nll(self, real: Tensor, mean: Tensor, scale: Tensor, tail: Tensor) -> Tensor:
        """Return the negative log-likelihood in nats."""
        nu = 1 / tail.clamp_min(LEAST_TAIL)
        flat = torch.lgamma(nu / 2) - torch.lgamma((nu + 1) / 2) + 0.5 * (nu * math.pi).log()
        share = ((real - mean) / scale) ** 2 / nu
        return flat + scale.log() + (nu + 1) / 2 * torch.log1p(share)

    def sd(self, told: Told) -> Doubles:
        """Return the standard deviation; there is one beyond two degrees of freedom."""
        return np.asarray(told.scale / np.sqrt(1 - 2 * told.tail), np.float64)

    def cdf(self, real: Floats, told: Told) -> tuple[Doubles, Doubles]:
        """Return the probability of a value below the real one, twice."""
        below = stats.t.cdf((real - told.mean) / told.scale, _freedom(told))
        return below, below

    def quantile(self, told: Told, level: float) -> Doubles:
        """Return the value that a share `level` lies below."""
        return np.asarray(told.mean + told.scale * stats.t.ppf(level, _freedom(told)))

    def sample(self, told: Told, rng: np.random.Generator) -> Doubles:
        """Draw a value of each."""
        drawn = rng.standard_t(np.broadcast_to(_freedom(told), told.mean.shape))
        return np.asarray(told.mean + told.scale * drawn)

    def crps(self, real: Floats, told: Told) -> Doubles:
        """Return the CRPS (Jordan et al. 2019, doi:10.18637/jss.v090.i12)."""
        nu = _freedom(told)
        z = (real - told.mean) / told.scale
        density = stats.t.pdf(z, nu) * (nu + z**2) / (nu - 1)
        beta = special.betaln(0.5, nu - 0.5) - 2 * special.betaln(0.5, nu / 2)
        apart = 2 * np.sqrt(nu) / (nu - 1) * np.exp(beta)
        return np.asarray(told.scale * (z * (2 * stats.t.cdf(z, nu) - 1) + 2 * density - apart))


class NegativeBinomial:
    """Counts whose rate itself scatters: variance = mean + (scale * mean)^2; Poisson at scale 0."""

    def nll(self, real: Tensor, mean: Tensor, scale: Tensor, tail: Tensor) -> Tensor:
        """Return the negative log-likelihood in nats.

        Written with logarithms of 1 + a, where a is the square of the scale, so that it turns into
        the Poisson's without a difference of large numbers.
        """
        mean, spread = mean.clamp_min(LEAST_RATE), scale**2
        exact = spread.clamp_min(POISSON)
        size = 1 / exact
        rising = torch.lgamma(real + size) - torch.lgamma(size) + real * exact.log()
        near = real * (real - 1) / 2 * spread
        clumped = torch.where(spread > POISSON, rising, near)
        over = torch.where(
            spread > POISSON, torch.log1p(exact * mean) / exact, mean - spread * mean**2 / 2
        )
        missed = real * (torch.log1p(spread * mean) - mean.log()) + over
        return missed - clumped + torch.lgamma(real + 1)

    def sd(self, told: Told) -> Doubles:
        """Return the standard deviation."""
        return np.asarray(np.sqrt(told.mean + (told.scale * told.mean) ** 2), np.float64)

    def cdf(self, real: Floats, told: Told) -> tuple[Doubles, Doubles]:
        """Return the probabilities of a count below, and of one below or equal to the real one."""
        count = np.round(real)
        at_most = self._at_most(count, told)
        below = np.where(count > 0, self._at_most(count - 1, told), 0 * at_most)
        return np.asarray(below), at_most

    def quantile(self, told: Told, level: float) -> Doubles:
        """Return the least count that a share `level` is not above."""
        rate, size = _rate(told), _size(told)
        of_clumped = stats.nbinom.ppf(level, size, size / (size + rate))
        found = np.where(told.scale**2 > POISSON, of_clumped, stats.poisson.ppf(level, rate))
        return np.asarray(found, np.float64)

    def sample(self, told: Told, rng: np.random.Generator) -> Doubles:
        """Draw a count of each: a Poisson count of a rate that is itself drawn."""
        rate, size = np.nan_to_num(_rate(told)), np.nan_to_num(_size(told), nan=1.0)
        drawn = np.where(size < 1 / POISSON, rate * rng.gamma(size) / size, rate)
        return np.where(np.isfinite(told.mean), rng.poisson(drawn), np.nan)

    def crps(self, real: Floats, told: Told) -> Doubles:
        """Return the CRPS: the summed squares of what the probabilities miss the truth by."""
        real, rate = np.broadcast_arrays(np.round(real), _rate(told))
        spread = 1 / _size(told)
        far = rate + 12 * np.sqrt(rate + spread * rate**2) + 12
        most = int(np.nanmax(np.maximum(far, np.nan_to_num(real)), initial=0))
        log_p = -np.where(spread > POISSON, np.log1p(spread * rate) / spread, rate)
        log_q = np.log(rate) - np.log1p(spread * rate)
        at_most, crps = np.zeros_like(rate), np.zeros_like(rate)
        for count in range(most + 1):
            at_most += np.exp(log_p)
            crps += (at_most - (real <= count)) ** 2
            log_p = log_p + log_q + np.log1p(spread * count) - math.log(count + 1)
        return np.where(np.isfinite(real), crps, np.nan)

    def _at_most(self, count: Floats, told: Told) -> Doubles:
        rate, size = _rate(told), _size(told)
        of_clumped = stats.nbinom.cdf(count, size, size / (size + rate))
        found = np.where(told.scale**2 > POISSON, of_clumped, stats.poisson.cdf(count, rate))
        return np.asarray(found, np.float64)


class Bernoulli:
    """Yes or no, as 1 and 0: the mean is the probability of yes."""

    def nll(self, real: Tensor, mean: Tensor, scale: Tensor, tail: Tensor) -> Tensor:
        """Return the negative log-likelihood in nats."""
        chance = mean.clamp(LEAST_RATE, 1 - LEAST_RATE)
        return -(real * chance.log() + (1 - real) * torch.log1p(-chance))

    def sd(self, told: Told) -> Doubles:
        """Return the standard deviation."""
        chance = _chance(told)
        return np.sqrt(chance * (1 - chance))

    def cdf(self, real: Floats, told: Told) -> tuple[Doubles, Doubles]:
        """Return the probabilities of a value below, and of one below or equal to the real one."""
        no = 1 - _chance(told)
        yes = np.asarray(real) > 0.5
        known = 0 * real
        return np.where(yes, no, 0.0) + known, np.where(yes, 1.0, no) + known

    def quantile(self, told: Told, level: float) -> Doubles:
        """Return 1 if no is less likely than `level`, else 0."""
        chance = _chance(told)
        return (level > 1 - chance) + 0 * chance

    def sample(self, told: Told, rng: np.random.Generator) -> Doubles:
        """Draw 0 or 1 for each."""
        chance = _chance(told)
        return (rng.random(chance.shape) < chance) + 0 * chance

    def crps(self, real: Floats, told: Told) -> Doubles:
        """Return the CRPS, which is the Brier score."""
        return np.asarray((_chance(told) - real) ** 2)


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

    def quantile(self, told: Told, level: float) -> Doubles:
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

    def _polar(self, told: Told) -> tuple[Doubles, Doubles]:
        cosine, sine = np.split(np.asarray(told.mean, np.float64), 2, axis=-1)
        both = np.split(np.asarray(told.scale, np.float64), 2, axis=-1)
        square = np.nan_to_num((both[0] ** 2 + both[1] ** 2) / 2, nan=1.0)
        return np.arctan2(sine, cosine), 1 / np.maximum(square, 1e-8)

    def _nodes(self, told: Told) -> Doubles:
        """Return (node, ..., column) cosines and sines of equally likely angles."""
        ahead, kappa = self._polar(told)
        angle = ahead + _turned(kappa, (np.arange(NODES) + 0.5) / NODES)
        return np.concatenate([np.cos(angle), np.sin(angle)], axis=-1)


HEADS: Mapping[HeadName, Head] = {
    "student_t": StudentT(),
    "negative_binomial": NegativeBinomial(),
    "bernoulli": Bernoulli(),
    "von_mises": VonMises(),
}


def _freedom(told: Told) -> Doubles:
    return np.asarray(1 / np.maximum(told.tail, LEAST_TAIL), np.float64)


def _rate(told: Told) -> Doubles:
    return np.asarray(np.maximum(told.mean, LEAST_RATE), np.float64)


def _size(told: Told) -> Doubles:
    return np.asarray(1 / np.maximum(np.asarray(told.scale, np.float64) ** 2, POISSON))


def _chance(told: Told) -> Doubles:
    return np.clip(np.asarray(told.mean, np.float64), LEAST_RATE, 1 - LEAST_RATE)


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
