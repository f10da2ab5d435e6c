"""Units around events as images, ordered by events that are not drawn."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from plotly import graph_objects as go

from schemas.settings.report import ReportSettings
from tasks.report.envelope import spread_rows
from tasks.report.figures import distinct_labels, label, matrix, spread
from tasks.report.responses import (
    Times,
    Trains,
    mean_around,
    order_by_peak,
    score_rows,
    unit_rates,
)


class Row(NamedTuple):
    """One of the plots below one another."""

    name: str
    height: int
    traces: list[go.Scatter | go.Heatmap]
    names: int = 0
    """How many names its axis has, 0 where it is of numbers."""


def spike_rows(spikes: Mapping[str, Trains], event_s: Times, edges: Times) -> Iterator[Row]:
    """Yield an image of each stream of spikes around events, by single spikes."""
    lag_T = (edges[1:] + edges[:-1]) / 2
    for name, trains in spikes.items():
        if len(trains.unit_U):
            halves = [unit_rates(trains, half_s, edges) for half_s in _halves(event_s)]
            yield _image_row(name, lag_T, halves, trains.unit_U)


def neuron_rows(
    neurons: xr.DataArray | None,
    event_s: Times,
    window: tuple[float, float],
    settings: ReportSettings,
) -> Iterator[Row]:
    """Yield an image of each stream on the clock around events."""
    if neurons is None:
        return
    for name in dict.fromkeys(neurons["stream"].values.tolist()):
        own = np.flatnonzero(neurons["stream"].values == name)
        units = own[spread_rows(len(own), settings.max_rows)]
        activity = neurons.isel(unit=units)
        halves = [mean_around(activity, half_s, *window) for half_s in _halves(event_s)]
        means = [half.mean_TC for half in halves if half is not None]
        if halves[0] is not None and len(means) == 2:
            yield _image_row(name, halves[0].lag_T, means, activity["unit"].values)


def _halves(event_s: Times) -> tuple[Times, Times]:
    """Return every other event, and the rest.

    Rows ordered by what is drawn would show a sequence in noise too.
    """
    return event_s[::2], event_s[1::2]


def _image_row(
    name: str, lag_T: Times, halves: list[NDArray[np.float64]], units: NDArray[np.generic]
) -> Row:
    """Draw the second half of the events, units by when they change most in the first."""
    order = order_by_peak(score_rows(halves[0], lag_T))
    score_UT = score_rows(halves[1], lag_T)
    most = max(abs(value) for value in spread(score_UT, (0.005, 0.995)))
    trace = matrix(
        score_UT[order],
        -most,
        most,
        colours="RdBu_r",
        title="SD",
        x0=float(lag_T[0]),
        dx=float(lag_T[1] - lag_T[0]),
        y=distinct_labels(units[order]),
        hovertemplate="%{y}<br>%{x:.3f} s<br>%{z:.1f} SD<extra></extra>",
        showlegend=False,
    )
    height = max(90, min(360, 60 + 3 * len(units)))
    return Row(
        f"{label(name)}, ordered by the other half of the events", height, [trace], len(units)
    )
