"""From a device's clock to the session's: straight lines between sync points, nothing beyond."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_lsq_spline

Times = NDArray[np.float64]

PULSES_PER_KNOT = (20, 50, 125, 310, 780, 1950, 4900, 12200)
"""How close the bends of a drift may follow each other. No closer than 20 pulses: a line that
follows the jitter of each pulse would make its own residuals small and every rival look wrong."""
MOST_KNOTS = 400
OUTLIER = 5.0
"""In standard deviations."""


@dataclass(frozen=True)
class ClockLine:
    """Straight lines through knots: offset (session minus device) over device time.

    Attributes
    ----------
    knot_K, offset_K : seconds
    noise_s : robust standard deviation of the pulses about the lines
    """

    knot_K: Times
    offset_K: Times
    noise_s: float

    def predict(self, device_T: Times) -> Times:
        """Return session times; beyond the knots the outermost lines go on."""
        return device_T + extend_lines(device_T, self.knot_K, self.offset_K)

    @property
    def drift_ppm(self) -> Times:
        """Rate of the session's clock against the device's between knots, in ppm."""
        return 1e6 * np.diff(self.offset_K) / np.diff(self.knot_K)


@dataclass(frozen=True)
class ClockMap:
    """Sync points of one device: what its times are on the session's clock.

    Attributes
    ----------
    device_N, reference_N : seconds, ascending within a segment
    segment_N : which stretch between two clock resets a point belongs to
    start_S, stop_S, segment_S : device times in which the map holds, and their segment
    epoch_G : of each segment, how often the device's clock had run backwards before it
    resets : how often it ran backwards in all
    """

    device_N: Times
    reference_N: Times
    segment_N: NDArray[np.int32]
    start_S: Times
    stop_S: Times
    segment_S: NDArray[np.int32]
    epoch_G: NDArray[np.int32]
    resets: int = 0

    def convert(self, device_T: Times, extrapolate_s: float = 0.0) -> Times:
        """Return device times on the session's clock; NaN where the map does not reach.

        Parameters
        ----------
        device_T : seconds, in recorded order; a step backwards is a reset of the clock
        extrapolate_s : how far to go beyond the first and the last matched pulse
        """
        session_T = np.full(len(device_T), np.nan)
        epoch_T = count_resets(device_T)
        if epoch_T.max(initial=0) != self.resets:
            return session_T  # Which of them ran on which stretch of the clock cannot be told.
        for span in range(len(self.start_S)):
            start, stop = self._reach(span, extrapolate_s)
            group = self.segment_S[span]
            inside = (device_T >= start) & (device_T <= stop) & (epoch_T == self.epoch_G[group])
            own = self.segment_N == group
            offset_N = self.reference_N[own] - self.device_N[own]
            offset_T = extend_lines(device_T[inside], self.device_N[own], offset_N)
            session_T[inside] = device_T[inside] + offset_T
        return session_T

    def _reach(self, span: int, extrapolate_s: float) -> tuple[float, float]:
        first, last = span == 0, span == len(self.start_S) - 1
        return (
            self.start_S[span] - extrapolate_s * first,
            self.stop_S[span] + extrapolate_s * last,
        )


def count_resets(device_T: Times) -> NDArray[np.int32]:
    """Return how often the clock had run backwards before each sample."""
    back = np.diff(device_T, prepend=device_T[:1]) < 0
    return np.cumsum(back).astype(np.int32)


def extend_lines(at_T: Times, knot_K: Times, value_K: Times) -> Times:
    """Interpolate linearly between knots and go on with the outermost lines."""
    if len(knot_K) < 2:
        return np.full(len(at_T), value_K[0])
    left_T = np.clip(np.searchsorted(knot_K, at_T) - 1, 0, len(knot_K) - 2)
    slope_K = np.diff(value_K) / np.diff(knot_K)
    return np.asarray(value_K[left_T] + slope_K[left_T] * (at_T - knot_K[left_T]))


def fit_line(device_M: Times, reference_M: Times) -> ClockLine:
    """Fit straight lines to matched pulses, as many bends as the pulses bear out.

    The number of bends is that of the least Bayesian information criterion; pulses further than
    five standard deviations away do not count.

    Parameters
    ----------
    device_M, reference_M : seconds, strictly ascending, three or more
    """
    centre, level = float(device_M.mean()), float(np.median(reference_M - device_M))
    # Centred: a clock of 1e9 s and offsets of microseconds do not mix in one equation.
    at_M, offset_M = device_M - centre, reference_M - device_M - level
    kept_M = np.ones(len(at_M), bool)
    knot_K, value_K = _choose_bends(at_M, offset_M)
    for _ in range(3):
        residual_M = offset_M - np.interp(at_M, knot_K, value_K)
        kept = np.abs(residual_M) <= OUTLIER * robust_deviation(residual_M[kept_M]) + 1e-9
        if kept.sum() < 3 or np.array_equal(kept, kept_M):
            break
        kept_M = kept
        knot_K, value_K = _choose_bends(at_M[kept_M], offset_M[kept_M])
    left = offset_M[kept_M] - extend_lines(at_M[kept_M], knot_K, value_K)
    spent = np.sqrt(len(left) / max(len(left) - len(knot_K), 1))
    return ClockLine(knot_K + centre, value_K + level, float(robust_deviation(left) * spent))


def _choose_bends(at_M: Times, offset_M: Times) -> tuple[Times, Times]:
    tried = [_fit_knots(at_M, offset_M, [])]
    for step in PULSES_PER_KNOT:
        if 2 * step <= len(at_M) <= MOST_KNOTS * step:
            bends = round(len(at_M) / step) - 1
            places = np.linspace(0, len(at_M) - 1, bends + 2).round().astype(int)[1:-1]
            tried.append(_fit_knots(at_M, offset_M, list(at_M[places])))
    return min(tried, key=lambda fit: fit[2])[:2]


def _fit_knots(at_M: Times, offset_M: Times, inner: list[float]) -> tuple[Times, Times, float]:
    """Return knots, their offsets, and the Bayesian information criterion."""
    ends = [at_M[0], at_M[-1]]
    knots = np.array([ends[0], ends[0], *inner, ends[1], ends[1]])
    value_K = np.asarray(make_lsq_spline(at_M, offset_M, knots, k=1).c, np.float64)
    knot_K = knots[1:-1]
    square = float(np.mean((offset_M - np.interp(at_M, knot_K, value_K)) ** 2))
    count = len(at_M)
    # 1e-18: a nanosecond; exact trains would otherwise pay any price for rounding errors.
    criterion = count * np.log(square + 1e-18) + len(knot_K) * np.log(count)
    return knot_K, value_K, float(criterion)


def robust_deviation(residual_M: Times) -> float:
    """Return the standard deviation that a normal distribution of the same median would have."""
    if not residual_M.size:
        return 0.0
    return float(1.4826 * np.median(np.abs(residual_M - np.median(residual_M))))
