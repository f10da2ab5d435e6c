"""How noise is fitted to what was answered: powers, factors and tails of least cost."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import torch

from tasks.lnm.data.recording import Bools, Floats, Ints
from tasks.lnm.network.distributions import HEADS
from tasks.lnm.network.heads import Doubles, HeadName, StudentT, Told
from tasks.lnm.scores.gains import FEWEST_BLOCKS

POWERS = (0.0, 0.5, 1.0)
TAILS = (0.0, 0.03, 0.07, 0.12, 0.2, 0.28, 0.4)
FACTORS = np.geomspace(0.3, 1.6, 18)
CLUMPING = (0.0, 0.05, 0.1, 0.2, 0.3, 0.45, 0.65, 1.0, 1.5, 2.5)
"""Standard deviations of rates over the rate that are tried; 0 is Poisson."""
WIDER = (1.0, 1.05, 1.1, 1.15, 1.2)
FAR = np.concatenate([np.linspace(0, 8, 801), np.geomspace(8.1, 1e4, 300)])


class Asked(NamedTuple):
    """What was asked of some columns on validation, in z-scores; counts and angles in own units.

    real_TV, mean_TV : truth and mean
    scale_TV : as the network gives it
    spread_V : what the network's scale is a multiple of
    unit_V : what scales are multiplied by to be in the units of the truth
    """

    real_TV: Floats
    mean_TV: Floats
    scale_TV: Floats
    spread_V: Floats
    unit_V: Floats

    def take(self, own: Ints) -> "Asked":
        """Return some columns."""
        return Asked(*(part[..., own] for part in self))

    def thin(self, rows: slice) -> "Asked":
        """Return some rows."""
        real_TV, mean_TV, scale_TV = (part[rows] for part in self[:3])
        return self._replace(real_TV=real_TV, mean_TV=mean_TV, scale_TV=scale_TV)


@dataclass(frozen=True)
class Fit:
    """Values of one target and what they cost under a head.

    relative_TV : the network's scale over what it is a multiple of
    prior : values of the target as a whole that each column is given beside its own
    """

    name: HeadName
    asked: Asked
    known_TV: Bools
    relative_TV: Floats
    missed_TV: Floats
    prior: float

    @classmethod
    def of(cls, asked: Asked, name: HeadName, prior: float) -> "Fit":
        known_TV = np.isfinite(asked.real_TV) & np.isfinite(asked.mean_TV)
        relative_TV = np.where(known_TV, asked.scale_TV / asked.spread_V, 1.0)
        missed_TV = np.where(known_TV, asked.real_TV - asked.mean_TV, 0.0)
        missed_TV /= asked.spread_V * asked.unit_V
        # Cosine and sine are of one angle, whose cost is that of both.
        return cls(
            name, asked, known_TV, relative_TV, missed_TV, 1e9 if name == "von_mises" else prior
        )

    def choose(self, blocks_T: Ints) -> Doubles:
        """Return (factor, power, tail) x (column)."""
        columns = self.missed_TV.shape[1]
        every, least_V = np.arange(columns), np.full(columns, np.inf)
        best_PV = np.ones((3, columns))
        for power, tails, factor_AV in self._tried():
            total_KAV = self._cost(factor_AV[:, None], power, np.array(tails)).sum(2)
            cost_XV = self._shrink(total_KAV).reshape(-1, columns)
            first_V = cost_XV.argmin(0)
            tail_V, factor_V = np.divmod(first_V, len(factor_AV))
            told = np.broadcast_arrays(factor_AV[factor_V, every], power, np.array(tails)[tail_V])
            better_V = cost_XV[first_V, every] < least_V
            least_V = np.where(better_V, cost_XV[first_V, every], least_V)
            best_PV[:, better_V] = np.stack(told)[:, better_V]
        if self.name != "negative_binomial":
            best_PV[0] *= self._widen(best_PV, blocks_T)
        # Stored so that the scale needs no spread: factor * scale ** power.
        best_PV[0] *= self.asked.spread_V ** (1 - best_PV[1])
        return best_PV

    def _tried(self) -> Iterator[tuple[float, Sequence[float], Doubles]]:
        """Yield powers with the tails and (choice, column) factors that are tried with each."""
        columns = self.missed_TV.shape[1]
        if self.name == "negative_binomial":
            # The network's scale is that of continuous columns; clumping is each unit's own.
            yield 0.0, (0.0,), np.array(CLUMPING)[:, None] * np.ones(columns)
            return
        for power in POWERS:
            ratio_TV = np.where(self.known_TV, self.relative_TV ** (2 * power), 0.0)
            missed_V, ratio_V = (self.missed_TV**2).sum(0), ratio_TV.sum(0)
            own_V, number_V = missed_V / ratio_V, self.known_TV.sum(0)
            pooled = missed_V.sum() / ratio_V.sum()
            square_V = (number_V * own_V + self.prior * pooled) / (number_V + self.prior)
            base_V = np.sqrt(np.maximum(square_V, 1e-12))
            tails = TAILS if self.name == "student_t" else (0.0,)
            yield power, tails, FACTORS[:, None] * base_V

    def _cost(self, factor: Doubles, power: float | Doubles, tail_K: Doubles) -> Doubles:
        """Return (tail, ..., time, column) CRPS over each column's root mean square error, or nats.

        factor : of shape that goes with (..., time, column)
        """
        scale = factor * self.relative_TV**power
        if self.name == "student_t":
            size_V = np.sqrt((self.missed_TV**2).sum(0) / self.known_TV.sum(0))
            scored = (
                scale
                / np.maximum(size_V, 1e-9)
                * _interpolate(np.abs(self.missed_TV) / scale, tail_K)
            )
        else:
            if self.name == "von_mises":
                scale = scale * self.asked.spread_V * self.asked.unit_V
            real_TV, mean_TV = (np.where(self.known_TV, a, 1.0) for a in self.asked[:2])
            arrays = np.broadcast_arrays(real_TV, mean_TV, scale, 0.0)
            told = (torch.from_numpy(np.array(a, np.float64)) for a in arrays)
            scored = HEADS[self.name].nll(*told).numpy()[None]
        return np.where(self.known_TV, scored, 0.0)

    def _shrink(self, total: Doubles) -> Doubles:
        """Return (..., column) mean costs, drawn to those of all columns together."""
        number_V = self.known_TV.sum(0)
        pooled = total.sum(-1, keepdims=True) / number_V.sum()
        return np.asarray((total + self.prior * pooled) / (number_V + self.prior))

    def _widen(self, best_PV: Doubles, blocks_T: Ints) -> float:
        """Return the most that costs surely no more: within one standard error over blocks.

        The next hour is never quite like validation, and one that is too narrow errs worse.
        """
        factor_V, power_V, tail_V = best_PV
        if blocks_T[-1] + 1 < FEWEST_BLOCKS:
            return WIDER[-1]
        tails, tail_at_V = np.unique(tail_V, return_inverse=True)

        def ask(wider: float) -> Doubles:
            cost_KTV = self._cost(wider * factor_V, power_V, tails)
            own_TV = np.take_along_axis(cost_KTV, tail_at_V[None, None], axis=0)[0]
            return np.asarray(own_TV.mean(1))

        least_T = ask(1.0)
        number_B = np.bincount(blocks_T)
        widest = 1.0
        for wider in WIDER[1:]:
            more_T = ask(wider) - least_T
            more_B = np.bincount(blocks_T, more_T) / np.maximum(number_B, 1)
            if more_B.mean() <= more_B.std(ddof=1) / np.sqrt(len(more_B)):
                widest = wider
        return widest


def _interpolate(share: Doubles, tail_K: Doubles) -> Doubles:
    """Return (tail, ...) CRPS of t distributions of scale 1 at some distances, as np.interp does.

    Where the distances lie among FAR is looked up once for all tails.
    """
    share = np.minimum(share, FAR[-1])
    at = np.minimum(np.searchsorted(FAR, share, side="right") - 1, len(FAR) - 2)
    beyond = share - FAR[at]
    return np.stack([_ranked(k)[at] + _rise(k)[at] * beyond for k in tail_K.tolist()])


@cache
def _ranked(tail: float) -> Doubles:
    """Return the CRPS of a t of scale 1 at the distances FAR."""
    zeros = np.zeros_like(FAR)
    return StudentT().crps(FAR, Told(zeros, zeros + 1, zeros + tail))


@cache
def _rise(tail: float) -> Doubles:
    """Return how steeply it rises behind each distance but the last."""
    return np.asarray(np.diff(_ranked(tail)) / np.diff(FAR))
