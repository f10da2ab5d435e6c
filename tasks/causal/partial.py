"""Which edges another node explains: partial cross mapping among the survivors."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.settings.causal import CausalSettings
from tasks.causal.engine import open_engine
from tasks.causal.lags import lagged
from tasks.causal.nodes import standardise
from tasks.causal.pairs import Pairs, closer_backend, thread_count
from tasks.causal.problem import CrossMapProblem
from tasks.causal.rule import CrossMapRule
from tasks.common.progress import track

_MEDIATORS = 3
"""Nodes tried as the explanation of one edge: those most strongly tied to both ends."""


@dataclass(frozen=True)
class PartialSkills:
    """What is left of each edge once another node is accounted for.

    skill_E : (edge,) lowest partial skill over the nodes tried; NaN where none was
    by_E : (edge,) the node that leaves so little; -1 where none was tried
    """

    skill_E: NDArray[np.float32]
    by_E: NDArray[np.intp]


def partial_skills(
    nodes: xr.Dataset,
    pairs: Pairs,
    skill_E: NDArray[np.floating],
    lag_E: NDArray[np.integer],
    dimension_N: NDArray[np.integer],
    settings: CausalSettings,
) -> PartialSkills:
    """Measure how much of each cause an effect recovers beyond what a third node passes on.

    For an edge x -> y and another cause z of y that is tied to x: y's history recovers z, and the
    history of that recovered z recovers x. If x reaches y only through z (or both only have z in
    common), y knows no more of x than that: the correlation of x with its recovery from y,
    less what the detour recovers, is near zero. Every recovery is made at the edge's own delay.

    skill_E : (edge,) skill of the full library; lag_E : (edge,) delays in samples

    References
    ----------
    Leng et al. 2020, doi:10.1038/s41467-020-16238-0
    """
    tried = mediators(pairs, skill_E)
    lowest_E = np.full(len(pairs), np.nan, np.float32)
    by_E = np.full(len(pairs), -1, np.intp)
    segment_T = nodes["segment"].to_numpy()

    def explain(part: tuple[int, NDArray[np.intp]]) -> None:
        effect, edges = part
        if not any(tried[edge] for edge in edges):
            return
        causes = pairs.cause_E[edges]
        then_CT = np.concatenate(
            [
                lagged(pairs.series_NT[cause], segment_T, [-lag])
                for cause, lag in zip(causes, lag_E[edges], strict=True)
            ]
        )
        recover = partial(_predict, pairs, segment_T, settings)
        recovered_TC = recover(
            pairs.series_NT[[effect]], dimension_N[[effect]], then_CT, dimension_N[causes], 1
        )
        for place, via in enumerate(causes):
            at = np.flatnonzero([via in tried[edge] for edge in edges])
            if not at.size:
                continue
            via_1T = standardise(recovered_TC[:, [place]].astype(np.float64)).T
            detour_TC = recover(
                via_1T, dimension_N[[via]], then_CT[at], dimension_N[causes[at]], pairs.stride
            )
            for edge, x_T, y_T, given_T in zip(
                edges[at], then_CT[at], recovered_TC[:, at].T, detour_TC.T, strict=True
            ):
                left = partial_correlation(x_T, y_T, given_T)
                if np.isfinite(left) and not left >= lowest_E[edge]:
                    lowest_E[edge], by_E[edge] = left, via

    parts = list(pairs.by_effect())
    with ThreadPoolExecutor(thread_count(settings)) as pool:
        for _ in track(pool.map(explain, parts), "indirect edges", len(parts)):
            pass
    return PartialSkills(lowest_E, by_E)


def mediators(pairs: Pairs, skill_E: NDArray[np.floating]) -> list[list[int]]:
    """Return for each edge the nodes that may explain it: causes of its effect tied to its cause.

    Of many, those whose weaker tie is strongest.
    """
    tie: dict[tuple[int, int], float] = {}
    for cause, effect, skill in zip(pairs.cause_E, pairs.effect_E, skill_E, strict=True):
        tie[int(cause), int(effect)] = float(skill)
    found = []
    causes_of = {effect: pairs.cause_E[edges] for effect, edges in pairs.by_effect()}
    for cause, effect in zip(pairs.cause_E.tolist(), pairs.effect_E.tolist(), strict=True):
        strength = {}
        for via in causes_of[effect].tolist():
            to_cause = max(tie.get((cause, via), -1.0), tie.get((via, cause), -1.0))
            if via != cause and to_cause > -1:
                strength[via] = min(tie[via, effect], to_cause)
        found.append(sorted(strength, key=lambda via: (-strength[via], via))[:_MEDIATORS])
    return found


def partial_correlation(
    x_T: NDArray[np.floating], y_T: NDArray[np.floating], given_T: NDArray[np.floating]
) -> float:
    """Return the correlation of x and y once a third series is regressed out of both.

    NaN with fewer than ten common samples, or if x or y holds nothing else than the third.
    """
    columns = np.stack([x_T, y_T, given_T]).astype(np.float64)
    columns = columns[:, np.isfinite(columns).all(0)]
    if columns.shape[1] < 10 or (columns.std(1) < 1e-9).any():
        return np.nan
    xy, xz, yz = np.asarray(np.corrcoef(columns))[[0, 0, 1], [1, 2, 2]]
    rest = (1 - xz**2) * (1 - yz**2)
    return float((xy - xz * yz) / np.sqrt(rest)) if rest > 1e-12 else np.nan


def _predict(
    pairs: Pairs,
    segment_T: NDArray[np.integer],
    settings: CausalSettings,
    library_1T: NDArray[np.floating],
    dimension_1: NDArray[np.integer],
    targets_CT: NDArray[np.floating],
    dimension_C: NDArray[np.integer],
    stride: int,
) -> NDArray[np.floating]:
    """Return what one library recovers of targets that are moved in time already (time, target)."""
    by_target = dimension_C if settings.dimension_by == "target" else None
    rule = CrossMapRule(pairs.rule.tau, 0, pairs.rule.theiler)
    problem = CrossMapProblem(
        library_1T, targets_CT, segment_T, dimension_1, rule, by_target, stride
    )
    return open_engine(problem, closer_backend(settings), 1).predictions(0)
