"""Which of several: a head of distributions over categories, see heads.py."""

import numpy as np
from torch import Tensor

from tasks.lnm.data.recording import Floats
from tasks.lnm.network.heads import LEAST_RATE, Bernoulli, Doubles, Told


class Categorical(Bernoulli):
    """One of several, each a column of 1 and 0: the means, made to sum to 1, are chances.

    Of each column by itself it is yes or no; what is drawn is one category for all of them.
    """

    def nll(self, real: Tensor, mean: Tensor, scale: Tensor, tail: Tensor) -> Tensor:
        """Return the cross entropy in nats, at the column of the true category."""
        chance = mean.clamp_min(LEAST_RATE)
        return -real * (chance / chance.sum(-1, keepdim=True)).log()

    def chance(self, told: Told) -> Doubles:
        """Return the probability of each category."""
        mean = np.maximum(np.asarray(told.mean, np.float64), LEAST_RATE)
        return np.asarray(mean / mean.sum(-1, keepdims=True))

    def sample(self, told: Told, rng: np.random.Generator) -> Doubles:
        """Draw one category for all columns."""
        return self.at(told, rng.random(told.mean.shape))

    def level(self, real: Floats, told: Told, rng: np.random.Generator) -> Doubles:
        """Return a share within the step of the true category, at all columns; NaN if unknown."""
        chance = self.chance(told)
        real = np.asarray(real, np.float64)
        width = (chance * real).sum(-1, keepdims=True)
        below = ((np.cumsum(chance, axis=-1) - chance) * real).sum(-1, keepdims=True)
        share = below + rng.random(below.shape) * width
        return np.broadcast_to(share, told.mean.shape).astype(np.float64)

    def at(self, told: Told, level: Doubles) -> Doubles:
        """Return the category that the share of the first column lies in, as `level` gives it."""
        chance = self.chance(told)
        above = np.cumsum(chance, axis=-1)[..., :-1] <= level[..., :1]
        picked = above.sum(-1, keepdims=True)
        return np.asarray((np.arange(chance.shape[-1]) == picked) + 0 * chance)
