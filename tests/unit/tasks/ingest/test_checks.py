"""Each defect, planted beyond the inspector's 200 rows and at a block's border, is found there."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.settings.ingest import IngestSettings
from tasks.ingest.check import check_streams
from tasks.ingest.clock_findings import clock_findings, group_spans
from tasks.ingest.scan_spikes import scan_spikes
from tasks.ingest.scan_times import scan_times
from tasks.ingest.scan_values import scan_values

ROWS = 128
BLOCK_MIB = ROWS * 8 / 2**20
"""Blocks of 128 float64."""

SIZE = 1000
PLACES = (ROWS * 2 - 1, ROWS * 2, 555)
"""The last sample of a block, the first of the next, one in the middle; all beyond 200."""


def sampled(times=None, values=None, kind="motion", **attrs) -> xr.Dataset:
    times = np.arange(SIZE) / 10 if times is None else np.asarray(times, np.float64)
    if values is None:
        values = np.sin(np.arange(len(times)))[:, None]
    coords = {"time": ("time", times), "channel": [str(n) for n in range(values.shape[1])]}
    attrs = {"stream_kind": kind, "source": "acquisition/x", "primary": "value", **attrs}
    return xr.Dataset({"value": (("time", "channel"), values)}, coords, attrs)


def trains(times, owner, units=3, observed=None) -> xr.Dataset:
    variables = {
        "spike_time": ("spike", np.asarray(times, np.float64)),
        "unit_index": ("spike", np.asarray(owner, np.int32)),
    }
    if observed is not None:
        for column, name in enumerate(("observed_unit", "observed_start", "observed_stop")):
            values = [row[column] for row in observed]
            variables[name] = ("observation", np.asarray(values, float if column else np.int32))
    attrs = {"stream_kind": "spikes", "source": "units", "primary": "spike_time"}
    return xr.Dataset(variables, {"unit": [f"u{n}" for n in range(units)]}, attrs)


def table(kind="intervals", name="intervals/trials", **columns) -> xr.Dataset:
    dim = "interval" if kind == "intervals" else "event"
    attrs = {"stream_kind": kind, "source": name, "primary": next(iter(columns))}
    return xr.Dataset({n: (dim, np.asarray(v)) for n, v in columns.items()}, attrs=attrs)


def check(*streams, **named):
    given = {**{f"s{n}": stream for n, stream in enumerate(streams)}, **named}
    tree = xr.DataTree.from_dict(given)
    return check_streams(tree, IngestSettings(block_mib=BLOCK_MIB)).findings


def only(findings, code):
    assert [finding.code for finding in findings] == [code]
    return findings[0]


def good_trains(count=400):
    times = np.concatenate([np.sort(np.random.default_rng(u).random(count)) * 90 for u in range(3)])
    return times, np.repeat(np.arange(3), count)


def test_clean_streams_give_no_finding():
    assert check(
        sampled(),
        sampled(rate_hz=10.0),
        trains(*good_trains(), observed=[(n, 0.0, 90.0) for n in range(3)]),
        table(start_time=[0.0, 2.0], stop_time=[1.0, 3.0]),
        table("events", event_time=np.arange(300.0), duration=np.full(300, np.nan)),
    ) == []  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("code", "plant", "value"),
    [
        ("timestamps_nan", lambda t, i: np.nan, "nan"),
        ("timestamps_infinite", lambda t, i: np.inf, "inf"),
        ("timestamps_repeated", lambda t, i: t[i - 1], None),
        ("timestamps_reversed", lambda t, i: t[i - 1] - 0.01, None),
    ],
)
def test_a_bad_time_is_found_where_it_is(place, code, plant, value):
    times = np.arange(SIZE) / 10
    times[place] = plant(times, place)
    found = [f for f in check(sampled(times)) if f.severity == "warning"]
    finding = only(found, code)
    assert (finding.sample, finding.where) == (place, "acquisition/x")
    assert finding.time_s == pytest.approx(place / 10, abs=0.12)
    assert finding.repair
    assert finding.remedy
    if value:
        assert finding.value == value


@pytest.mark.parametrize("place", PLACES)
def test_a_gap_is_found_where_it_begins(place):
    times = np.arange(SIZE) / 10 + np.where(np.arange(SIZE) >= place, 5.0, 0.0)
    finding = only(check(sampled(times)), "gaps")
    assert finding.sample == place
    assert finding.time_s == pytest.approx((place - 1) / 10)
    assert finding.value == "5.1 s"


@pytest.mark.parametrize("place", PLACES)
def test_jitter_is_found_where_it_begins(place):
    times = np.arange(SIZE) / 10
    times[place + 1 : place + 60 : 2] += 0.04
    finding = only(check(sampled(times)), "jitter")
    assert finding.sample == place + 1
    assert finding.value == "0.14 s"


@pytest.mark.parametrize(
    ("kind", "rate_hz"),
    [("video", 1 / 300), ("lfp", 1e8), ("lfp", 0.1), ("pose", 30_000.0), ("audio", 2.0)],
)
def test_an_absurd_rate_is_named(kind, rate_hz):
    stream = sampled(np.arange(SIZE) / rate_hz, kind=kind)
    if kind == "video":
        stream = stream.assign(frame_index=("time", np.arange(SIZE)))
    if kind == "pose":
        position = np.random.default_rng(0).random((SIZE, 2, 1, 1))
        names = {"space": ["x", "y"], "keypoint": ["nose"], "individual": ["a"]}
        stream = xr.Dataset(
            {"position": (("time", *names), position)},
            {"time": stream["time"], **names},
            {**stream.attrs, "primary": "position"},
        )
    finding = only(check(stream), "rate_absurd")
    assert float(finding.value.removesuffix(" Hz")) == pytest.approx(rate_hz, rel=0.01)


def test_times_that_span_weeks_are_no_seconds():
    only(check(sampled(np.arange(SIZE) * 3600.0, kind="signal")), "duration_absurd")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_a_value_that_is_no_number_is_found_where_it_is(place, odd):
    values = np.random.default_rng(0).random((SIZE, 2))
    values[place, 1] = odd
    finding = only(check(sampled(values=values)), "missing_values")
    assert (finding.sample, finding.time_s) == (place, place / 10)
    assert "1 of 2 channels" in finding.what


def test_columns_that_are_constant_or_no_number_are_named():
    values = np.random.default_rng(0).random((SIZE, 3))
    values[:, 0], values[:, 2] = 4.5, np.nan
    constant, empty = check(sampled(values=values))
    assert (constant.code, constant.value) == ("constant_channels", "4.5")
    assert empty.what == "1 of 3 channels hold no numbers: 2."


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("code", "plant"),
    [
        ("spikes_nan", lambda t, i: np.nan),
        ("spikes_unsorted", lambda t, i: t[i - 1] - 1e-6),
        ("spikes_repeated", lambda t, i: t[i - 1]),
    ],
)
def test_an_odd_spike_is_found_where_it_is(place, code, plant):
    times, owner = good_trains()
    times[place] = plant(times, place)
    finding = only(check(trains(times, owner)), code)
    assert finding.sample == place
    assert f"u{place // 400} (1)" in finding.what


@pytest.mark.parametrize("place", PLACES)
def test_a_spike_out_of_observation_is_found_where_it_is(place):
    times, owner = good_trains()
    own, rest = place // 400, {0, 1, 2} - {place // 400}
    before, after = times[place] - 1e-9, times[place] + 1e-9
    observed = [(own, 0.0, before), (own, after, 90.0), *((n, 0.0, 90.0) for n in rest)]
    finding = only(check(trains(times, owner, observed=observed)), "spikes_outside_observation")
    assert (finding.sample, finding.time_s) == (place, times[place])


def test_intervals_within_each_other_count_as_observed():
    stream = trains([5.0], [0], units=1, observed=[(0, 0.0, 10.0), (0, 2.0, 3.0)])
    assert check(stream) == []


def test_a_stream_that_breaks_its_check_is_left_out_and_the_others_are_checked():
    broken = only(check(trains([1.0, 2.0], [0, 7]), sampled()), "stream_unreadable")
    assert broken.severity == "error"


def test_spike_times_that_are_no_seconds_are_named():
    times, owner = good_trains()
    only(check(trains(np.floor(times * 30_000), owner)), "spikes_are_sample_numbers")
    finding = only(check(trains(times / 1000, owner)), "spike_rate_absurd")
    assert finding.value.startswith("4,4")


def test_silent_units_are_named():
    times, owner = good_trains()
    assert only(check(trains(times, owner, units=4)), "silent_units").sample == 3


@pytest.mark.parametrize("place", PLACES)
def test_odd_rows_of_tables_are_found_where_they_are(place):
    start = np.arange(SIZE, dtype=float)
    stop = start + 0.5
    missing, backward, late, long = (stop.copy() for _ in range(4))
    missing[place], backward[place], long[place] = np.nan, start[place] - 0.1, start[place] + 1.5
    late = start.copy()
    late[place] -= 2.2
    for code, columns, row in (
        ("intervals_nan", {"start_time": start, "stop_time": missing}, place),
        ("intervals_reversed", {"start_time": start, "stop_time": backward}, place),
        ("intervals_overlap", {"start_time": start, "stop_time": long}, place + 1),
        ("intervals_unsorted", {"start_time": late, "stop_time": stop}, place),
        ("missing_times", {"start_time": start, "stop_time": stop, "cue_time": missing}, place),
    ):
        assert only(check(table(**columns)), code).sample == row
    lasted = np.where(np.arange(SIZE) == place, -1.0, np.nan)
    finding = only(check(table("events", event_time=start, duration=lasted)), "durations_negative")
    assert (finding.sample, finding.time_s, finding.value) == (place, place, "-1.000000 s")


def test_an_event_without_a_time_or_too_early_is_found():
    times = np.arange(SIZE, dtype=float)
    times[300], times[700] = np.nan, 5.0
    nan, early = check(table("events", event_time=times))
    assert (nan.code, nan.sample, early.code, early.sample) == (
        "timestamps_nan", 300, "timestamps_reversed", 700
    )  # fmt: skip


def test_two_streams_that_claim_different_clocks_are_named():
    boot = sampled(np.arange(SIZE) / 10 + 50_000)
    boot.attrs["source"] = "acquisition/boot"
    finding = only(check(sampled(), boot), "clocks_disagree")
    assert finding.where == "acquisition/x, acquisition/boot"
    assert finding.time_s == 50_000


def test_streams_within_a_session_are_on_one_clock():
    spans = {"a": (0.0, 3600.0), "b": (3700.0, 3800.0), "c": (7000.0, 9000.0)}
    assert clock_findings(spans) == []
    assert len(group_spans({**spans, "d": (1e5, 1e5 + 60)})) == 2


def test_spans_before_the_session_and_far_after_it_are_named():
    codes = [f.code for f in clock_findings({"a": (-5.0, 10.0), "b": (1e6, 1e6 + 10)})]
    assert codes == ["clock_not_session", "times_before_session", "clocks_disagree"]


steps = st.sampled_from([0.1, 0.1, 0.1, 0.0, -0.3, 0.13, 2.0, np.nan, np.inf])


@given(st.lists(steps, max_size=60), st.integers(1, 9))
@settings(max_examples=150)
def test_times_in_blocks_are_scanned_as_the_whole(parts, rows):
    finite = np.cumsum([p if np.isfinite(p) else 0.1 for p in parts])
    times = xr.Variable(("time",), np.where(np.isfinite(parts), finite, parts))
    assert repr(scan_times(times, rows * 8 / 2**20)) == repr(scan_times(times, 1.0))


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from([*range(9), np.nan, np.inf])), max_size=50
    ),
    st.integers(1, 9),
)
@settings(max_examples=150)
def test_spikes_in_blocks_are_scanned_as_the_whole(spikes, rows):
    owner = sorted(unit for unit, _ in spikes)
    stream = trains(
        [t for _, t in spikes], owner, units=4, observed=[(0, 1, 4), (0, 3, 5), (2, 2, 9)]
    )
    assert repr(scan_spikes(stream, rows * 8 / 2**20)) == repr(scan_spikes(stream, 1.0))


@given(st.lists(st.lists(st.sampled_from([0.0, 1.0, np.nan, -np.inf]), min_size=3, max_size=3)),
       st.integers(1, 9))  # fmt: skip
@settings(max_examples=150)
def test_values_in_blocks_are_scanned_as_the_whole(rows, block):
    values = xr.Variable(("time", "channel"), np.array(rows, float).reshape(-1, 3))
    assert repr(scan_values(values, block * 24 / 2**20)) == repr(scan_values(values, 1.0))
