"""Defects are found over the full length, named, and repaired only in order."""

import h5py
import numpy as np
import pynwb
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from pynwb.behavior import Position, SpatialSeries

from schemas.settings.ingest import IngestSettings
from tasks.ingest.check import CheckReport, check_streams
from tasks.ingest.opening import read_recording
from tasks.ingest.repair import in_order, repair_streams
from tasks.ingest.scan_times import scan_times

SETTINGS = IngestSettings(block_mib=0.001)
"""Blocks of 131 float64: defects fall on both sides of a border, and on it."""


def series(values, **clock) -> pynwb.TimeSeries:
    return pynwb.TimeSeries(name="x", data=values, unit="V", **clock)


def open_and_check(path) -> tuple[CheckReport, xr.DataTree, set[str]]:
    with read_recording(path, SETTINGS) as opened:
        report = check_streams(opened.streams, SETTINGS, opened.assumed_equal)
        found = {f.code for f in [*opened.findings, *report.findings]}
        return report, repair_streams(opened.streams, SETTINGS.block_mib).compute(), found


@pytest.mark.parametrize(
    ("position", "value", "code", "left"),
    [
        (131, np.nan, "timestamps_nan", 999),
        (262, "repeat", "timestamps_repeated", 999),
        (500, -3.0, "timestamps_reversed", 999),
        (777, 1e9, "timestamps_reversed", 999),
    ],
)
def test_a_bad_timestamp_anywhere_is_found_and_only_its_sample_goes(
    new_file, save, position, value, code, left
):
    times = np.arange(1000) / 100
    times[position] = times[position - 1] if value == "repeat" else value
    nwbfile = new_file()
    nwbfile.add_acquisition(series(np.arange(1000.0), timestamps=times))
    _, repaired, found = open_and_check(save(nwbfile))
    assert code in found
    kept = repaired["x"].to_dataset()
    assert kept.sizes["time"] == left
    assert np.all(np.diff(kept["time"]) > 0)
    assert position not in kept["value"][:, 0]


def test_samples_stay_with_their_times(new_file, save):
    times = np.array([0.0, 1.0, np.nan, 2.0, 2.0, 3.0])
    nwbfile = new_file()
    nwbfile.add_acquisition(series(np.arange(6.0), timestamps=times))
    _, repaired, _ = open_and_check(save(nwbfile))
    assert repaired["x/value"][:, 0].values.tolist() == [0, 1, 3, 5]


def replace_timestamps(path, times) -> None:
    """Make a file that pynwb itself would refuse to write."""
    with h5py.File(path, "r+") as file:
        attrs = dict(file["acquisition/x/timestamps"].attrs)
        del file["acquisition/x/timestamps"]
        file["acquisition/x/timestamps"] = times
        file["acquisition/x/timestamps"].attrs.update(attrs)


def test_lengths_that_disagree_are_named(new_file, save):
    nwbfile = new_file()
    nwbfile.add_acquisition(series(np.arange(7.0), timestamps=np.arange(7.0)))
    path = save(nwbfile)
    replace_timestamps(path, np.arange(5.0))
    _, repaired, found = open_and_check(path)
    assert "length_mismatch" in found
    assert repaired["x"].sizes["time"] == 5


def test_transposed_data_are_turned(new_file, save):
    nwbfile = new_file()
    nwbfile.add_acquisition(series(np.arange(12.0).reshape(2, 6), timestamps=np.arange(2.0)))
    path = save(nwbfile)
    replace_timestamps(path, np.arange(6.0))
    _, repaired, found = open_and_check(path)
    assert "data_transposed" in found
    assert repaired["x/value"].values[:, 1].tolist() == [6, 7, 8, 9, 10, 11]


def test_constant_and_empty_columns_are_named(new_file, save):
    data = np.random.default_rng(0).random((300, 3))
    data[:, 1] = 4.0
    data[:, 2] = np.nan
    nwbfile = new_file()
    nwbfile.add_acquisition(series(data, rate=10.0))
    report, _, found = open_and_check(save(nwbfile))
    assert {"constant_channels", "empty_channels"} <= found
    assert "1 of 3 channels never change: 1." in {f.what for f in report.findings}


def test_frame_numbers_are_recognised(new_file, save):
    nwbfile = new_file()
    nwbfile.add_acquisition(series(np.arange(200.0), timestamps=np.arange(200.0)))
    assert "timestamps_are_frame_numbers" in open_and_check(save(nwbfile))[2]


def test_a_clock_that_is_not_the_sessions_is_recognised(new_file, save):
    nwbfile = new_file()
    nwbfile.add_acquisition(series(np.arange(20.0), timestamps=1e6 + np.arange(20.0)))
    assert "clock_not_session" in open_and_check(save(nwbfile))[2]


def test_gaps_are_counted(new_file, save):
    times = np.arange(400) / 10 + np.repeat([0, 5, 20, 30], 100)
    nwbfile = new_file()
    nwbfile.add_acquisition(series(np.arange(400.0), timestamps=times))
    report = open_and_check(save(nwbfile))[0]
    gaps = [f.what for f in report.findings if f.code == "gaps"]
    assert gaps == ["3 gap(s), the longest 15.1 s, where samples usually come every 0.1 s."]


def test_spikes_are_sorted_and_those_out_of_observation_named(new_file, save):
    nwbfile = new_file()
    nwbfile.add_unit(spike_times=[1.0, 3.0, 2.0], obs_intervals=[[0.0, 10.0]])
    nwbfile.add_unit(spike_times=[0.5, 11.0], obs_intervals=[[0.0, 1.0], [5.0, 10.0]])
    nwbfile.add_unit(spike_times=[], obs_intervals=[[0.0, 10.0]])
    report, repaired, found = open_and_check(save(nwbfile))
    assert found == {"spikes_unsorted", "spikes_outside_observation", "silent_units"}
    assert repaired["units/spike_time"].values.tolist() == [1.0, 2.0, 3.0, 0.5, 11.0]
    assert repaired["units/unit_index"].values.tolist() == [0, 0, 0, 1, 1]
    assert "1 spikes are outside the intervals in which their unit was observed: unit_1 (1)." in {
        f.what for f in report.findings
    }


def test_events_are_sorted_with_their_columns(rich_file, save):
    _, repaired, found = open_and_check(save(rich_file()))
    assert "timestamps_reversed" in found
    assert repaired["rewards/event_time"].values.tolist() == [1.0, 2.0, 3.0]
    assert repaired["rewards/size"].values.tolist() == [2, 9, 5]


def test_an_empty_stream_stored_as_one_nan_holds_no_event(new_file, save):
    nwbfile = new_file()
    lick = pynwb.TimeSeries(name="lick_time", data=[1.0], unit="second", timestamps=[np.nan])
    nwbfile.add_acquisition(lick)
    _, repaired, found = open_and_check(save(nwbfile))
    assert found == {"empty_stream"}
    assert repaired["lick_time"].sizes["event"] == 0


def test_points_with_different_clocks_become_streams_of_their_own(new_file, save):
    points = [
        SpatialSeries(name=n, data=np.zeros((9, 2)), timestamps=np.arange(9.0) + shift,
                      reference_frame="box")
        for n, shift in (("a", 0.0), ("b", 0.5))
    ]  # fmt: skip
    nwbfile = new_file()
    nwbfile.create_processing_module("behavior", "b").add(Position(spatial_series=points))
    _, repaired, found = open_and_check(save(nwbfile))
    assert "clocks_differ" in found
    assert set(repaired.children) == {"position_a", "position_b"}


def test_a_difference_between_clocks_that_probing_missed_is_found_by_the_check(new_file, save):
    other = np.arange(9.0)
    other[2] += 0.25
    points = [
        SpatialSeries(name=n, data=np.zeros((9, 2)), timestamps=t, reference_frame="box")
        for n, t in (("a", np.arange(9.0)), ("b", other))
    ]
    nwbfile = new_file()
    nwbfile.create_processing_module("behavior", "b").add(Position(spatial_series=points))
    report = open_and_check(save(nwbfile))[0]
    assert [f.severity for f in report.findings if f.code == "clocks_differ"] == ["error"]


def test_edges_that_are_not_equally_many_are_named(new_file, save):
    nwbfile = new_file()
    for name, n in (("rising_time", 5), ("falling_time", 6)):
        times = np.arange(1.0, n + 1)
        nwbfile.add_acquisition(
            pynwb.TimeSeries(name=name, data=np.ones(n), unit="second", timestamps=times)
        )
    assert "edges_disagree" in open_and_check(save(nwbfile))[2]


times_lists = st.lists(
    st.one_of(st.integers(-5, 20).map(float), st.just(float("nan"))), min_size=0, max_size=40
)


@given(times_lists)
def test_order_keeps_an_increasing_subset_and_no_longer_one_exists(values):
    times = np.array(values, np.float64)
    kept = times[in_order(times)]
    assert np.all(np.isfinite(kept))
    assert np.all(np.diff(kept) > 0)
    assert len(kept) == longest_increasing_naive(times[np.isfinite(times)])


def longest_increasing_naive(values) -> int:
    best = [1] * len(values)
    for i in range(len(values)):
        for j in range(i):
            if values[j] < values[i]:
                best[i] = max(best[i], best[j] + 1)
    return max(best, default=0)


@given(times_lists, st.integers(1, 7))
def test_a_scan_in_blocks_finds_what_one_look_finds(values, block):
    times = np.array(values, np.float64)
    scan = scan_times(xr.Variable(("time",), times), block * 8 / 2**20)
    steps = np.diff(times[np.isfinite(times)])
    assert (scan.nan.count, scan.repeated.count, scan.reversed.count) == (
        int(np.isnan(times).sum()), int((steps == 0).sum()), int((steps < 0).sum())
    )  # fmt: skip
    bad = [i for i in range(len(times)) if np.isnan(times[i]) or times[i] <= last_finite(times[:i])]
    first = [odd.sample for odd in (scan.nan, scan.repeated, scan.reversed) if odd.count]
    assert min(first, default=-1) == (bad[0] if bad else -1)


def last_finite(times) -> float:
    finite = times[np.isfinite(times)]
    return float(finite[-1]) if len(finite) else -np.inf
