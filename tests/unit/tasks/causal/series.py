"""Series that are not related, and series as the nodes that cross mapping takes."""

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.causal.nodes import standardise

RATE_HZ = 10.0


def autoregressive(
    phi: float, nodes: int, length: int, rng: np.random.Generator, settle: int = 300
) -> NDArray[np.float64]:
    """Return independent AR(1) series (time, node), `settle` samples after their start."""
    noise = rng.standard_normal((length + settle, nodes))
    series_TN = np.zeros_like(noise)
    for t in range(1, len(noise)):
        series_TN[t] = phi * series_TN[t - 1] + noise[t]
    return series_TN[settle:]


def nodes_of(series_TN: NDArray[np.floating]) -> xr.Dataset:
    """Return series (time, node) as nodes n0, n1, ... of one stretch, at RATE_HZ."""
    length, nodes = series_TN.shape
    return xr.Dataset(
        {
            "value": (("time", "node"), standardise(np.asarray(series_TN, np.float64))),
            "segment": ("time", np.zeros(length, int)),
        },
        {"node": [f"n{n}" for n in range(nodes)], "time": np.arange(length) / RATE_HZ},
        {"rate_hz": RATE_HZ},
    )
