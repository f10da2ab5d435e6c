"""Delay of an edge: how long before its effect a cause acts."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from schemas.settings.causal import CausalSettings
from tasks.causal.engine import open_engine
from tasks.causal.pairs import Pairs, closer_backend, thread_count
from tasks.causal.problem import CrossMapProblem
from tasks.causal.rule import CrossMapRule
from tasks.common.progress import track

_TARGETS_AT_ONCE = 256
_MOST_LAGS = 41
_LEAST = 3
_EQUAL = 1e-4


def scan_lags(
    nodes: xr.Dataset, pairs: Pairs, dimension_N: NDArray[np.integer], settings: CausalSettings
) -> xr.Dataset:
    """Recover each edge's cause at other times than the effect's present.

    An effect holds its cause's past: its history recovers the cause best as it was one delay ago.
    Under strong forcing (synchrony) the reverse pair shows skill as well, but recovers best what
    is still to come. All lags of an edge are compared on the same samples.

    Returns
    -------
    Dataset with `lag_skill` (edge, lag), coords `lag` in seconds, positive where the cause is
    recovered as it was before; `lag_s` (edge), where the skill is highest, the nearest to zero of
    equals; NaN where no skill is defined

    References
    ----------
    Ye et al. 2015, doi:10.1038/srep14750
    """
    rate_hz = float(nodes.attrs["rate_hz"])
    lag_L = lag_samples(settings.max_lag_s, rate_hz)
    series_NT, segment_T = pairs.series_NT, nodes["segment"].to_numpy()
    skill_EL = np.full((len(pairs), len(lag_L)), np.nan, np.float32)

    def scan(part: tuple[int, NDArray[np.intp]]) -> None:
        effect, edges = part
        targets = [
            lagged(series_NT[cause], segment_T, settings.tp - lag_L)
            for cause in pairs.cause_E[edges]
        ]
        by_target = (
            dimension_N[pairs.cause_E[edges]].repeat(len(lag_L))
            if settings.dimension_by == "target"
            else None
        )
        rule = CrossMapRule(pairs.rule.tau, 0, pairs.rule.theiler)
        problem = CrossMapProblem(
            series_NT[[effect]], np.concatenate(targets), segment_T, dimension_N[[effect]], rule,
            by_target, pairs.stride,
        )  # fmt: skip
        found = open_engine(problem, closer_backend(settings), 1).skills([0])[0, 0]
        skill_EL[edges] = found.reshape(len(edges), len(lag_L))

    parts = list(_parts(pairs, max(1, _TARGETS_AT_ONCE // len(lag_L))))
    with ThreadPoolExecutor(thread_count(settings)) as pool:
        for _ in track(pool.map(scan, parts), "delays", len(parts)):
            pass
    best_E = best_lag(skill_EL, lag_L)
    lag_s = np.where(np.isfinite(skill_EL).any(1), lag_L[best_E] / rate_hz, np.nan)
    return xr.Dataset(
        {"lag_skill": (("edge", "lag"), skill_EL), "lag_s": ("edge", lag_s.astype(np.float32))},
        {"lag": lag_L / rate_hz},
    )


def lag_samples(longest_s: float, rate_hz: float) -> NDArray[np.int64]:
    """Return the lags tried, symmetric round zero, at most 41 of them.

    Three samples either way at least: a slow recording has no finer delays. Zero tries none.
    """
    longest = max(_LEAST, round(longest_s * rate_hz)) if longest_s else 0
    step = max(1, -(-longest // (_MOST_LAGS // 2)))
    return np.arange(-(longest // step), longest // step + 1) * step


def best_lag(skill_EL: NDArray[np.floating], lag_L: NDArray[np.integer]) -> NDArray[np.intp]:
    """Return the position of each edge's highest skill; of equals the nearest to zero."""
    filled = np.where(np.isfinite(skill_EL), skill_EL, -np.inf)
    equal = filled >= filled.max(1, keepdims=True) - _EQUAL
    return np.where(equal, np.abs(lag_L), np.inf).argmin(1)


def lagged(
    series_T: NDArray[np.floating], segment_T: NDArray[np.integer], ahead_L: ArrayLike
) -> NDArray[np.float32]:
    """Return y[t + ahead] (lag, time); NaN where any of the lags leaves the segment or is a gap."""
    steps_L = np.asarray(ahead_L)
    moved_LT = np.full((len(steps_L), len(series_T)), np.nan, np.float32)
    at_T = np.arange(len(series_T))
    for moved_T, ahead in zip(moved_LT, steps_L, strict=True):
        there_T = np.clip(at_T + ahead, 0, len(series_T) - 1)
        same = (at_T + ahead == there_T) & (segment_T[there_T] == segment_T) & (segment_T >= 0)
        moved_T[same] = series_T[there_T[same]]
    moved_LT[:, ~np.isfinite(moved_LT).all(0)] = np.nan
    return moved_LT


def _parts(pairs: Pairs, most: int) -> Iterator[tuple[int, NDArray[np.intp]]]:
    for effect, edges in pairs.by_effect():
        for start in range(0, len(edges), most):
            yield effect, edges[start : start + most]
