"""The columns of the aligned session that a network needs, on one axis with its split."""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from schemas.errors import NotFoundError
from schemas.settings.split import SplitSettings
from tasks.common.matrices import behaviour_matrix, neural_matrix
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


def read_nodes(aligned: xr.DataTree, names: tuple[str, ...]) -> Floats:
    """Load the named units and channels only: (time, node) float64, NaN in gaps.

    Raises
    ------
    NotFoundError
        A node of the graph is not in the aligned session.
    """
    units = neural_matrix(aligned)["activity"].rename(unit="node")
    channels = behaviour_matrix(aligned)["behaviour"].rename(channel="node")
    found: dict[str, NDArray[np.float64]] = {}
    for matrix in (units, channels):
        wanted = np.isin(matrix["node"].values.astype(str), names)
        part = matrix.isel(node=np.flatnonzero(wanted)).compute()
        for column, name in enumerate(part["node"].values.astype(str)):
            found[str(name)] = part.values[:, column].astype(np.float64)
    if missing := [name for name in names if name not in found]:
        raise NotFoundError(
            f"The aligned session has no {missing}.",
            remedy="Make the causal graph again from this aligned artifact.",
        )
    return np.column_stack([found[name] for name in names])
