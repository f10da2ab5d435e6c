"""How good the units of each neural stream are: figures that preprocessing measured."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from markupsafe import Markup

from tasks.report.elements import Cell, details, format_number, table

FIGURES: Mapping[str, str] = {
    "firing_rate": "spikes a second",
    "isi_violations": "intervals that break the refractory period",
    "contamination": "spikes of other neurons",
    "presence_ratio": "parts of the session with spikes",
    "amplitude_cutoff": "spikes too small to be found",
    "noise": "noise, standard deviation",
    "noise_level": "noise level nu (Rupprecht et al. 2021)",
}
"""Variable of a stream, one value a unit -> what it says."""


def tell_unit_quality(streams: Mapping[str, xr.Dataset]) -> Markup:
    """Return the spread of each figure over the units of each stream; nothing without units."""
    rows = [
        _row(name, words, stream[figure])
        for name, stream in streams.items()
        for figure, words in FIGURES.items()
        if figure in stream and np.isfinite(stream[figure].values).any()
    ]
    columns = ["stream", "figure", "median", "10 % of units below", "90 % below", "unit", "units"]
    return details("Quality of the units", table(columns, rows)) * bool(rows)


def _row(name: str, words: str, figure: xr.DataArray) -> list[Cell]:
    values = np.asarray(figure.values, np.float64)
    known = values[np.isfinite(values)]
    low, middle, high = np.quantile(known, [0.1, 0.5, 0.9])
    unit = str(figure.attrs.get("units", ""))
    spread: list[Cell] = [format_number(float(v)) for v in (middle, low, high)]
    return [name, words, *spread, "" if unit == "1" else unit, int(known.size)]
