"""A cross-map problem on its padded axis: what the engines for CPU and GPU have in common."""

import functools

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tasks.causal.kernels.targets import TargetSet, divide_targets, reachable
from tasks.causal.kernels.vectors import LANES
from tasks.causal.padding import pad_axis
from tasks.causal.problem import CrossMapProblem

_SHORTEST_LIST, _LONGEST_LIST = 32, 256
"""Bounds on the neighbours kept sorted where smaller libraries walk them."""


class PaddedProblem:
    """Series, targets and rows to predict, laid out for kernels.

    Attributes
    ----------
    problem : what is mapped
    axis : the padded time axis
    sets : targets by shared neighbours
    """

    def __init__(self, problem: CrossMapProblem) -> None:
        self.problem = problem
        self.axis = pad_axis(problem.segment_T, problem.rule, problem.longest, LANES)
        self._series_NP = self.axis.spread(problem.without_gaps(problem.libraries_NT))
        self._reachable_P = reachable(self.axis, problem.rule.tp)
        self._row_R = np.ascontiguousarray(self.axis.row_T[:: problem.stride])
        self.sets = divide_targets(problem, self.axis)

    def vectors(self, library: int) -> int:
        """Return how many rows the smallest full library of this series has."""
        return min(int(self._exists(library, each).sum()) for each in self.sets)

    def _dimension(self, library: int, each: TargetSet) -> int:
        return each.dimension or int(self.problem.dimension_N[library])

    def _exists(self, library: int, each: TargetSet) -> NDArray[np.bool_]:
        """Return which padded rows hold a vector and an observed target."""
        exists_P = each.seen_P.copy()
        finite_P = np.isfinite(self._series_NP[library])
        for e in range(self._dimension(library, each)):
            exists_P &= np.roll(finite_P, e * self.problem.rule.tau)
        return exists_P


@functools.cache
def list_length(count: int, fraction: float) -> int:
    """Return how long lists must be for 99 % of them to hold `count` members.

    fraction : part of all rows that are members
    """
    others = stats.nbinom.ppf(0.99, count, min(fraction, 1.0))
    return max(count, min(max(count + int(others), _SHORTEST_LIST), _LONGEST_LIST))
