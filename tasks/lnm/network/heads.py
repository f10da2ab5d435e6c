"""How values scatter about a predicted mean: one family of distributions for each kind of column.

The mean is the business of skip, network and gates, and no head moves it. A head says how wide
the scatter is (`scale`) and how heavy its tails are (`tail`). A new family is a class with these
methods and a name in distributions.HEADS; angles have theirs in circle.py, categories in
categories.py.
"""

import math
from typing import Literal, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special, stats
from torch import Tensor

from tasks.lnm.data.recording import Floats, Ints

HeadName = Literal["student_t", "negative_binomial", "bernoulli", "von_mises", "categorical"]
Doubles = NDArray[np.float64]

LEAST_TAIL = 1e-4
"""One over degrees of freedom so many that a t distribution is a normal one."""
LEAST_RATE = 1e-6
POISSON = 1e-6
"""Below this square of the scale the variance of counts is their mean."""


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

    def quantile(self, told: Told, level: float | Doubles) -> Doubles:
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

    def quantile(self, told: Told, level: float | Doubles) -> Doubles:
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

    def quantile(self, told: Told, level: float | Doubles) -> Doubles:
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

    def chance(self, told: Told) -> Doubles:
        """Return the probability of yes."""
        return np.clip(np.asarray(told.mean, np.float64), LEAST_RATE, 1 - LEAST_RATE)

    def sd(self, told: Told) -> Doubles:
        """Return the standard deviation."""
        chance = self.chance(told)
        return np.sqrt(chance * (1 - chance))

    def cdf(self, real: Floats, told: Told) -> tuple[Doubles, Doubles]:
        """Return the probabilities of a value below, and of one below or equal to the real one."""
        no = 1 - self.chance(told)
        yes = np.asarray(real) > 0.5
        known = 0 * real
        return np.where(yes, no, 0.0) + known, np.where(yes, 1.0, no) + known

    def quantile(self, told: Told, level: float | Doubles) -> Doubles:
        """Return 1 if no is less likely than `level`, else 0."""
        chance = self.chance(told)
        return (np.asarray(level) > 1 - chance) + 0 * chance

    def sample(self, told: Told, rng: np.random.Generator) -> Doubles:
        """Draw 0 or 1 for each."""
        chance = self.chance(told)
        return (rng.random(chance.shape) < chance) + 0 * chance

    def crps(self, real: Floats, told: Told) -> Doubles:
        """Return the CRPS, which is the Brier score."""
        return np.asarray((self.chance(told) - real) ** 2)


def _freedom(told: Told) -> Doubles:
    return np.asarray(1 / np.maximum(told.tail, LEAST_TAIL), np.float64)


def _rate(told: Told) -> Doubles:
    return np.asarray(np.maximum(told.mean, LEAST_RATE), np.float64)


def _size(told: Told) -> Doubles:
    return np.asarray(1 / np.maximum(np.asarray(told.scale, np.float64) ** 2, POISSON))
