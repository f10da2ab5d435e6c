"""The predicted distributions of many columns at once, each by the head of its kind."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tasks.lnm.data.recording import Bools, Columns, Floats, Ints, Scaler
from tasks.lnm.network.categories import Categorical
from tasks.lnm.network.circle import VonMises
from tasks.lnm.network.heads import (
    Bernoulli,
    Doubles,
    Head,
    HeadName,
    NegativeBinomial,
    StudentT,
    Told,
)

HEADS: Mapping[HeadName, Head] = {
    "student_t": StudentT(),
    "negative_binomial": NegativeBinomial(),
    "bernoulli": Bernoulli(),
    "von_mises": VonMises(),
    "categorical": Categorical(),
}


def choose_heads(
    columns: Columns, values_TV: Floats, train: Bools, scaler: Scaler
) -> tuple[HeadName, ...]:
    """Return the head of each column.

    Spike counts are negative binomial (Poisson where that is enough), angles on the circle von
    Mises, categories of which one holds categorical, columns that are only ever 0 or 1 in training
    yes or no, all others Student's t.
    """
    heads: list[HeadName] = ["student_t"] * len(columns.names)
    for column in np.flatnonzero(~columns.counts & (scaler.low_V == 0) & (scaler.high_V == 1)):
        values_T = values_TV[train, column]
        if np.isin(values_T[np.isfinite(values_T)], (0.0, 1.0)).all():
            heads[column] = "bernoulli"
    for column in np.flatnonzero(columns.counts):
        heads[column] = "negative_binomial"
    for cosine, sine in columns.angles.values():
        heads[cosine] = heads[sine] = "von_mises"
    for category in [category for choice in columns.choices.values() for category in choice]:
        heads[category] = "categorical"
    return tuple(heads)


@dataclass(frozen=True)
class Distribution:
    """What is predicted of some columns.

    told : (..., column) what the heads are told; NaN where nothing is predicted
    groups : each head with the numbers of its columns; of angles first cosines, then sines; of
        categories once for each that is chosen among
    angles : names of the angles among them
    """

    told: Told
    groups: Sequence[tuple[Head, Ints]]
    angles: Sequence[str]

    @classmethod
    def of(cls, told: Told, heads: Sequence[HeadName], columns: Columns) -> "Distribution":
        """Give each column its head; a cosine without its sine is no angle.

        Nor is a category without the others more than yes or no.
        """
        whole = [part for pair in zip(*columns.angles.values(), strict=True) for part in pair]
        names = np.array(heads, dtype=object)
        lone = [v for v in np.flatnonzero(names == "von_mises") if v not in whole]
        names[lone] = "student_t"
        chosen = [np.array(choice) for choice in columns.choices.values()]
        lone = [v for v in np.flatnonzero(names == "categorical") if v not in np.r_[-1, *chosen]]
        names[lone] = "bernoulli"
        together = {"von_mises": [np.array(whole)], "categorical": chosen}
        groups = [
            (head, own)
            for name, head in HEADS.items()
            for own in together.get(name, [np.flatnonzero(names == name)])
            if len(own)
        ]
        return cls(told, groups, tuple(columns.angles))

    @property
    def chances(self) -> tuple[Ints, Doubles]:
        """The columns that are yes or no, or categories, and (..., column) their probabilities."""
        found = [
            (own, head.chance(self.told.take(own)))
            for head, own in self.groups
            if isinstance(head, Bernoulli)
        ]
        if not found:
            return np.zeros(0, np.int64), np.empty((*self.told.mean.shape[:-1], 0))
        every = np.concatenate([own for own, _ in found])
        order = every.argsort()
        return every[order], np.concatenate([chance for _, chance in found], axis=-1)[..., order]

    def sd(self) -> Doubles:
        """Return standard deviations."""
        return self._each(lambda head, told, own: head.sd(told))

    def quantile(self, level: float) -> Doubles:
        """Return the values that a share `level` lies below."""
        return self._each(lambda head, told, own: head.quantile(told, level))

    def sample(self, rng: np.random.Generator) -> Doubles:
        """Draw a value of each; cosine and sine of an angle together, and one of all categories."""
        return self._each(lambda head, told, own: head.sample(told, rng))

    def levels(self, real: Floats, rng: np.random.Generator) -> Doubles:
        """Return the share of each distribution below its true value, uniform if all is right.

        Of counts and yes or no a random share within the step; of angles the same at both halves,
        of categories at all.
        """

        def below(head: Head, told: Told, own: Ints) -> Doubles:
            if isinstance(head, VonMises | Categorical):
                return head.level(real[..., own], told, rng)
            low, high = head.cdf(real[..., own], told)
            return np.asarray(low + rng.random(low.shape) * (high - low))

        return self._each(below)

    def at(self, levels: Floats) -> Doubles:
        """Return the values that have these shares below them: the inverse of `levels`."""

        def value(head: Head, told: Told, own: Ints) -> Doubles:
            level = np.asarray(levels[..., own], np.float64)
            if isinstance(head, VonMises | Categorical):
                return head.at(told, level)
            return head.quantile(told, level)

        return self._each(value)

    def crps(self, real: Floats) -> Doubles:
        """Return the continuous ranked probability scores, in own units."""
        return self._each(lambda head, told, own: head.crps(real[..., own], told))

    def covered(self, real: Floats, share: float) -> Doubles:
        """Return how much of each true value lies inside the central `share`, 0 to 1.

        A count is in part inside where its probability is spread over the edge, so that the true
        distribution covers `share` on average (Czado et al. 2009, doi:10.1111/j.1541-0420.2009).
        """
        low, high = (1 - share) / 2, (1 + share) / 2

        def inside(head: Head, told: Told, own: Ints) -> Doubles:
            below, at_most = head.cdf(real[..., own], told)
            width = at_most - below
            part = np.clip(np.minimum(at_most, high) - np.maximum(below, low), 0, None)
            whole = (at_most >= low) & (at_most <= high) & np.isfinite(at_most)
            known = 0 * at_most
            return np.where(width > 1e-9, part / np.maximum(width, 1e-9), whole) + known

        return self._each(inside)

    def directions(self, level: float | None = None) -> Doubles:
        """Return (..., angle) circular means, or quantiles about them, in radians."""
        for head, own in self.groups:
            if isinstance(head, VonMises):
                return head.direction(self.told.take(own), level)
        return np.empty((*self.told.mean.shape[:-1], 0))

    def _each(self, ask: Callable[[Head, Told, Ints], Doubles]) -> Doubles:
        out = np.full(self.told.mean.shape, np.nan)
        for head, own in self.groups:
            out[..., own] = ask(head, self.told.take(own), own)
        return out


def circular_error(real: Floats, answered: Floats) -> Doubles:
    """Return how far directions (radians) lie apart on the circle, 0 to pi."""
    return np.abs(np.angle(np.exp(1j * (np.asarray(real, np.float64) - answered))))
