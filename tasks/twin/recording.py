"""The columns of the aligned session that a network needs, on one axis with its split."""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.errors import NotFoundError
from schemas.settings.split import SplitSettings
from tasks.common.matrices import behaviour_matrix, neural_matrix
from tasks.common.smoothing import smooth_within_runs
from tasks.common.splits import TimeSplit, split_by_time
from tasks.twin.library import Floats


@dataclass(frozen=True)
class Axis:
    """The session's time axis.

    segment_T numbers the gapless stretches (-1: none); split tells training from test.
    """

    time_T: Floats
    segment_T: NDArray[np.integer]
    rate_hz: float
    split: TimeSplit


def read_axis(aligned: xr.DataTree, settings: SplitSettings) -> Axis:
    """Read the clock of an aligned tree and divide it."""
    clock = aligned.children["clock"].to_dataset(inherit=False)
    time_T = clock["time"].values.astype(np.float64)
    split = split_by_time(time_T, settings)
    return Axis(time_T, clock["segment"].values, float(clock.attrs["rate_hz"]), split)


def read_nodes(
    aligned: xr.DataTree, names: tuple[str, ...], axis: Axis, smoothing_s: float
) -> Floats:
    """Load the named units and channels only: (time, node) float64, NaN in gaps.

    Spike counts become smoothed rates, as they were for the graph. The Gaussian does not reach
    across gaps, nor from the test part into what comes before it.

    Raises
    ------
    NotFoundError
        A node of the graph is not in the aligned session.
    """
    units = neural_matrix(aligned)["activity"].rename(unit="node")
    channels = behaviour_matrix(aligned)["behaviour"].rename(channel="node")
    border_T = np.where(axis.segment_T < 0, -1, 2 * axis.segment_T + axis.split.test)
    found: dict[str, Floats] = {}
    for matrix in (units, channels):
        wanted = np.flatnonzero(np.isin(matrix["node"].values.astype(str), names))
        part = matrix.isel(node=wanted).compute()
        for column in part.T:
            values_T = column.values.astype(np.float64)
            if column["kind"] == "spikes":
                values_T = smooth_within_runs(values_T, border_T, smoothing_s * axis.rate_hz)
            found[str(column["node"].values)] = values_T
    if missing := [name for name in names if name not in found]:
        raise NotFoundError(
            f"The aligned session has no {missing}.",
            remedy="Make the causal graph again from this aligned artifact.",
        )
    return np.column_stack([found[name] for name in names])
