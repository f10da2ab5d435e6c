"""The clocks of a session: related, in doubt, or not there."""

import numpy as np
import pytest
import xarray as xr

from schemas.contracts.sync import SYNC
from schemas.settings.report import ReportSettings
from tasks.report.alignment import write_alignment
from tasks.report.elements import Chart
from tasks.report.evidence import Evidence
from tasks.report.sync import write_clocks

HOSTILE = "<script>alert('x')</script>"
Trees = dict[str, xr.DataTree]


def clock(*, related: bool) -> xr.Dataset:
    """Return a clock of 100 pulses, of which the device lacks one and has one more."""
    seconds = {"units": "s"}
    size = 100 if related else 0
    pulse = np.arange(float(size))
    reference = pulse + 3.0 + 3e-5 * pulse
    partner = np.arange(size)
    partner[30:31] = -1
    points, spans = (pulse[[0, 50, 99]], 1) if related else (pulse, 0)
    figures = {
        "offset_s": 3.0, "drift_ppm": 30.0, "drift_least_ppm": 29.0, "drift_greatest_ppm": 31.0,
        "residual_median_s": 1e-4, "residual_p95_s": 2e-4, "residual_max_s": 4e-4,
    }  # fmt: skip
    return xr.Dataset(
        {
            "device_time": ("point", points, seconds),
            "reference_time": ("point", points * 1.00003 + 3, seconds),
            "segment": ("point", np.zeros(len(points), np.int32)),
            "span_start": ("span", pulse[:spans], seconds),
            "span_stop": ("span", pulse[::-1][:spans], seconds),
            "span_segment": ("span", np.zeros(spans, np.int32)),
            "epoch": ("stretch", np.zeros(spans, np.int32)),
            "pulse_time": ("pulse", pulse, seconds),
            "partner": ("pulse", partner),
            "residual": ("pulse", np.where(partner < 0, np.nan, 1e-4), seconds),
            "reference_pulse_time": ("reference_pulse", reference, seconds),
            "missing": ("reference_pulse", partner < 0),
        },
        attrs={
            "stream_kind": "sync", "reference": "sync", "device": HOSTILE, "resets": 0,
            "streams": '["pose", "video"]', "extrapolate_s": 0.0, "evidence": "intervals",
            "verdict": "synchronised" if related else "ambiguous", "segments": spans,
            "reason": "" if related else f"{HOSTILE} match as well when shifted by +1 s",
            "matched": max(size - 1, 0), "missing_count": spans, "spurious_count": spans,
            "margin": 0.99, **(figures if related else {}),
        },
    )  # fmt: skip


@pytest.mark.parametrize("related", [True, False])
def test_clocks_are_told_and_drawn(trees: Trees, related: bool) -> None:
    root = trees["aligned"].to_dataset(inherit=False)
    sync = xr.DataTree.from_dict({"/": root, "/camera": clock(related=related)})
    SYNC.check(sync)
    evidence = Evidence(trees={**trees, "sync": sync})
    charts = [block for block in write_clocks(evidence) if isinstance(block, Chart)]
    assert [chart.key for chart in charts] == ["sync-0"] * related
    section = write_alignment(evidence, ReportSettings())
    text = section.html + "".join(chart.figure.to_json() for chart in charts)
    assert "<script" not in text
    assert ("synchronised" in text) == related
    assert ("2 streams could not be aligned" in text) == (not related)


def test_a_session_with_one_clock_says_nothing_of_clocks(trees: Trees) -> None:
    assert write_clocks(Evidence(trees=trees)) == []
    assert "Clocks" not in write_alignment(Evidence(trees=trees), ReportSettings()).html
