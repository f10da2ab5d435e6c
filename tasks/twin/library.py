"""The training part as a library of states: what each node was, and what it became."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.errors import RecordingTooShortError
from tasks.twin.network import Network

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

MIN_ROWS = 50


@dataclass(frozen=True)
class Scale:
    """Mean and SD of each node over the training samples; all arithmetic is in these units."""

    mean_N: Floats
    sd_N: Floats

    def to_units(self, values: Floats) -> Floats:
        """Return values (..., node) in SDs from the training mean."""
        return (values - self.mean_N) / self.sd_N

    def from_units(self, values: Floats) -> Floats:
        """Return values (..., node) in the recording's own units."""
        return values * self.sd_N + self.mean_N


@dataclass(frozen=True)
class Library:
    """States of every node at the same L training samples, as the kernel wants them.

    A state is the node's own delays and a few delays of each of its drivers. Coordinate c is
    node_C[c] as it was lag_C[c] samples ago; node n uses coordinates[first_N1[n]:first_N1[n + 1]].
    """

    columns_CL: Floats
    now_NL: Floats
    next_NL: Floats
    first_N1: Ints
    coordinates: Ints
    node_C: Ints
    lag_C: Ints
    margin: float
    rows_L: Ints

    @property
    def depth(self) -> int:
        """Samples of history that a state needs."""
        return int(self.lag_C.max()) + 1


def scale_of(values_TN: Floats, train_T: Bools) -> Scale:
    """Return mean and SD over the training samples, gaps left out; a constant has SD 1."""
    sd_N = np.nanstd(values_TN[train_T], axis=0)
    return Scale(np.nanmean(values_TN[train_T], axis=0), np.where(sd_N > 0, sd_N, 1.0))


def run_lengths(good_T: Bools, segment_T: NDArray[np.integer]) -> Ints:
    """Count the good samples up to and with each sample, within its own segment.

    A state of depth H at sample t lies in one gapless stretch if the count at t is at least H.
    Samples of segment -1 belong to no stretch.
    """
    index_T = np.arange(len(good_T))
    good_T = good_T & (segment_T >= 0)
    before_T = np.where(good_T, -1, index_T)
    starts_T = np.flatnonzero(np.diff(segment_T)) + 1
    before_T[starts_T] = np.maximum(before_T[starts_T], starts_T - 1)
    return np.where(good_T, index_T - np.maximum.accumulate(before_T), 0).astype(np.int64)


def build_library(
    scaled_TN: Floats,
    segment_T: NDArray[np.integer],
    train_T: Bools,
    network: Network,
    own_delays: dict[str, int],
    driver_delays: int,
    delay: int,
    margin: float,
    most: int,
) -> Library:
    """Collect every training state that, with its next value, lies in one gapless stretch.

    Parameters
    ----------
    scaled_TN : (time, node) in SDs, NaN in gaps, nodes in the network's order
    segment_T : (time,) number of the gapless stretch
    train_T : (time,) training samples; nothing else enters
    own_delays, driver_delays : delays of the node itself and of each driver
    delay : samples between two delays
    margin : share of the range of what followed its neighbours by which a value may leave it
    most : states kept; more are thinned evenly

    Raises
    ------
    RecordingTooShortError
        Fewer than 50 such states.
    """
    node_C, lag_C, coordinates, first = _coordinates(network, own_delays, driver_delays, delay)
    good_T = np.isfinite(scaled_TN).all(axis=1) & train_T
    depth = int(lag_C.max()) + 1
    rows_L = np.flatnonzero(run_lengths(good_T, segment_T)[1:] > depth)
    if len(rows_L) < MIN_ROWS:
        raise RecordingTooShortError(
            f"Only {len(rows_L)} training states of {depth} samples lie in one gapless stretch; "
            f"a twin needs {MIN_ROWS}.",
            remedy="Record longer, or lower own_delays and delay_choices.",
        )
    rows_L = rows_L[:: -(-len(rows_L) // most)]
    pairs = zip(node_C, lag_C, strict=True)
    columns_CL = np.stack([scaled_TN[rows_L - lag, node] for node, lag in pairs])
    return Library(
        columns_CL,
        np.ascontiguousarray(scaled_TN[rows_L].T),
        np.ascontiguousarray(scaled_TN[rows_L + 1].T),
        first,
        coordinates,
        node_C,
        lag_C,
        margin,
        rows_L,
    )


def _coordinates(
    network: Network, own_delays: dict[str, int], driver_delays: int, delay: int
) -> tuple[Ints, Ints, Ints, Ints]:
    """Number the coordinates (node, lag) that are used, and list those of each node."""
    at = {name: position for position, name in enumerate(network.nodes)}
    numbers: dict[tuple[int, int], int] = {}
    used: list[int] = []
    first = [0]
    for name in network.nodes:
        pairs = [(at[name], d * delay) for d in range(own_delays[name])]
        for edge in network.drivers_of(name):
            pairs += [(at[edge.driver], d * delay) for d in range(driver_delays)]
        used += [numbers.setdefault(pair, len(numbers)) for pair in pairs]
        first.append(len(used))
    node_C, lag_C = np.array(list(numbers), dtype=np.int64).T
    return node_C.copy(), lag_C.copy(), np.array(used, np.int64), np.array(first, np.int64)
