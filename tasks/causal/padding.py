"""A time axis with room between its segments.

NaN rows before, between and after the segments make it impossible to embed or predict across a
border: any such vector holds a NaN. The kernels then need to know about NaN only.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.causal.rule import CrossMapRule


@dataclass(frozen=True)
class PaddedAxis:
    """Where each sample lies on the padded axis, and what each padded row may not use.

    row_T : (time,) padded row of each sample
    position_P : (padded,) sample at or before each padded row
    left_P, right_P : (padded,) rows in [left, right) are inside the Theiler window of the row
    """

    row_T: NDArray[np.int64]
    position_P: NDArray[np.int32]
    left_P: NDArray[np.int64]
    right_P: NDArray[np.int64]

    @property
    def length(self) -> int:
        """Number of padded rows."""
        return len(self.position_P)

    def spread(self, values_NT: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return series (series, time) on the padded axis, float32, NaN in between."""
        padded = np.full((len(values_NT), self.length), np.nan, np.float32)
        padded[:, self.row_T] = values_NT
        return padded


def pad_axis(
    segment_T: NDArray[np.integer], rule: CrossMapRule, longest: int, lanes: int
) -> PaddedAxis:
    """Lay out the padded axis for vectors of up to `longest` dimensions and vectors of `lanes`."""
    length = len(segment_T)
    border_T = np.r_[False, segment_T[1:] != segment_T[:-1]]
    between = max(rule.tau, abs(rule.tp))
    # Kernels read `lanes` rows at once, and a vector's oldest coordinate from each of them.
    head = max(lanes + rule.span(longest), between)
    row_T = head + np.arange(length) + between * np.cumsum(border_T)
    total = int(row_T[-1]) + 1 + max(lanes, between)
    before_P = np.searchsorted(row_T, np.arange(total), side="right")
    position_P = np.clip(before_P - 1, 0, None)
    # The window counts samples, not seconds: a gap only makes the excluded time longer.
    low = np.clip(position_P - rule.theiler, 0, length - 1)
    high = np.clip(position_P + rule.theiler, 0, length - 1)
    return PaddedAxis(row_T, position_P.astype(np.int32), row_T[low], row_T[high] + 1)
