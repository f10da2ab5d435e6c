"""The table of unit quality says what preprocessing measured."""

import numpy as np
import xarray as xr

from tasks.report.unit_quality import tell_unit_quality


def test_each_figure_is_told_by_its_spread() -> None:
    units = xr.Dataset(
        {
            "firing_rate": ("unit", np.arange(11.0), {"units": "Hz"}),
            "amplitude_cutoff": ("unit", np.full(11, np.nan), {"units": "1"}),
        }
    )
    page = str(tell_unit_quality({"units": units, "trials": xr.Dataset()}))
    assert "spikes a second" in page
    assert "Hz" in page
    assert "too small" not in page
    for told in ("5", "1", "9", "11"):
        assert f">{told}<" in page, told


def test_nothing_is_told_without_units() -> None:
    assert str(tell_unit_quality({"trials": xr.Dataset()})) == ""
