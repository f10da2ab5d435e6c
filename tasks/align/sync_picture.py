"""The picture beside a sync artifact: how each clock drifted, and what the pulses say of it."""

from io import StringIO

import numpy as np
import xarray as xr
from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from numpy.typing import NDArray


def draw_sync(clocks: xr.DataTree) -> str:
    """Return an SVG: a row a clock, offset less its mean drift on the left, residuals right."""
    rows = max(len(clocks.children), 1)
    figure = Figure(figsize=(10, 2.8 * rows), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots(rows, 2, squeeze=False)
    for (left, right), (name, node) in zip(axes, clocks.children.items(), strict=True):
        told = node.to_dataset(inherit=False)
        title = f"{name}: {told.attrs['verdict']}"
        left.set_title(title, loc="left", fontsize=10)
        left.set(xlabel="device time [s]", ylabel="offset less its mean drift [ms]")
        right.set(xlabel="device time [s]", ylabel="residual [ms]")
        if not told.sizes["point"]:
            left.text(0.5, 0.5, told.attrs["reason"], ha="center", wrap=True, fontsize=8)
            continue
        for pulse_s, sway_ms in straighten(told):
            left.plot(pulse_s, sway_ms, "-", color="#4f7cff")
        right.plot(told["pulse_time"], 1e3 * told["residual"], ".", ms=2, color="#4f7cff")
    text = StringIO()
    # Without a date: the same clocks must give the same bytes.
    with rc_context({"svg.hashsalt": "tectum"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def straighten(told: xr.Dataset) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return the sync points of each segment less a straight line through them, in ms."""
    device, group = told["device_time"].values, told["segment"].values
    offset_ms = 1e3 * (told["reference_time"].values - device)
    parts = []
    for number in np.unique(group):
        own = group == number
        line = np.polyfit(device[own] - device[own][0], offset_ms[own], 1)
        sway = offset_ms[own] - np.polyval(line, device[own] - device[own][0])
        parts.append((device[own], sway))
    return parts
