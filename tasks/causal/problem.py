"""What is cross mapped with what: the input every engine takes."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasks.causal.rule import CrossMapRule

Precision = Literal["float32", "float16"]


@dataclass(frozen=True)
class CrossMapProblem:
    """Libraries, targets and the embedding, on one time axis.

    Series should be standardised: the engines work in float32. Non-finite values, and samples of
    segment -1, are gaps.

    libraries_NT : (library, time) series whose history is embedded: the effects
    targets_MT : (target, time) series to be recovered: the causes
    segment_T : (time,) number of the gapless stretch, -1 where there are no data
    dimension_N : (library,) embedding dimension of each library
    rule : tau, tp and Theiler window
    dimension_M : (target,) if given, a library is embedded for each target in the target's own
        dimension (as kEDM and mpEDM do), else in the library's (as pyEDM does)
    stride : only every so many samples are predicted; all of them are neighbours still
    precision : that series are rounded to; the arithmetic stays what it is
    """

    libraries_NT: NDArray[np.floating]
    targets_MT: NDArray[np.floating]
    segment_T: NDArray[np.integer]
    dimension_N: NDArray[np.integer]
    rule: CrossMapRule
    dimension_M: NDArray[np.integer] | None = None
    stride: int = 1
    precision: Precision = "float32"

    @cached_property
    def longest(self) -> int:
        """The highest dimension that is embedded."""
        dimensions = self.dimension_N if self.dimension_M is None else self.dimension_M
        return int(dimensions.max())

    def without_gaps(self, series_NT: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return series with NaN wherever they hold no data: outside segments, and infinities."""
        there_NT = (self.segment_T >= 0) & np.isfinite(series_NT)
        return self.rounded(np.where(there_NT, series_NT, np.nan))

    def rounded(self, series_NT: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return series in the problem's precision, as numbers of the engines."""
        if self.precision == "float32":
            return series_NT
        return series_NT.astype(np.float16).astype(np.float32)

    def dimension(self, library: int, target: int) -> int:
        """Return the dimension that `library` is embedded in to recover `target`."""
        if self.dimension_M is None:
            return int(self.dimension_N[library])
        return int(self.dimension_M[target])
