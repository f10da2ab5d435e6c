"""How a series is embedded and what may be a neighbour: the numbers every kernel needs."""

from dataclasses import dataclass

MIN_WEIGHT = 1e-6
"""Least weight of a neighbour relative to the nearest one, as in cppEDM and kEDM."""


@dataclass(frozen=True)
class CrossMapRule:
    """Embedding and neighbourhood, all in samples.

    tau : step between two coordinates of an embedding vector, at least 1; x[t], x[t-tau], ...
    tp : how far after the vector's newest sample the predicted sample lies; any sign
    theiler : rows at most this far from the predicted row are no neighbours; 0 excludes the
        row itself only
    """

    tau: int = 1
    tp: int = 0
    theiler: int = 0

    def span(self, dimension: int) -> int:
        """Return how many samples a vector of `dimension` coordinates reaches back."""
        return (dimension - 1) * self.tau


def neighbour_count(dimension: int) -> int:
    """Return how many neighbours span a simplex in `dimension` dimensions."""
    return dimension + 1
