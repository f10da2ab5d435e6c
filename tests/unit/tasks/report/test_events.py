"""Around events: rates and means of known answer, which events are looked at, odd sessions."""

import numpy as np
import pytest
import xarray as xr

from schemas.settings.report import ReportSettings
from tasks.report.events import write_events
from tasks.report.evidence import Evidence
from tasks.report.responses import (
    choose_anchors,
    find_events,
    mean_around,
    order_by_peak,
    rate_around,
    read_trains,
    score_rows,
    unit_rates,
)

SETTINGS = ReportSettings()
EVENTS = np.arange(10.0, 200.0, 5.0)


def table(kind: str, **columns: np.ndarray) -> xr.Dataset:
    dim = {"events": "event", "intervals": "interval"}[kind]
    return xr.Dataset(
        {name: (dim, values, {"units": "s"}) for name, values in columns.items()},
        attrs={"stream_kind": kind, "source": "/", "primary": next(iter(columns))},
    )


def behaviour_only(**more: xr.Dataset) -> Evidence:
    """Return a session of trials with a cue and a choice, licks after the cue, one reward."""
    cue_s = EVENTS + 0.5
    lick_s = np.sort(np.concatenate([cue_s + 0.2, cue_s + 0.4]))
    tables = {
        "trials": table(
            "intervals", start_time=EVENTS, stop_time=EVENTS + 4, cue_time=cue_s,
            choice=np.ones(len(EVENTS)), reaction_time=np.full(len(EVENTS), 0.2),
        ),
        "cues": table("events", event_time=cue_s),
        "licks": table("events", event_time=lick_s),
        "reward": table("events", event_time=np.array([50.0])),
        **more,
    }  # fmt: skip
    tree = xr.DataTree.from_dict({"/": xr.Dataset(), **{f"/{n}": t for n, t in tables.items()}})
    return Evidence(trees={"preprocessed": tree})


def test_trials_come_first_and_no_moment_twice() -> None:
    found = find_events(behaviour_only().trees["preprocessed"])
    # Seconds within the trials are moments; reaction times are not.
    assert set(found) == {"trials", "trials/cue_time", "cues", "licks", "reward"}
    assert [a.name for a in choose_anchors(found, 9)] == ["trials", "trials/cue_time", "licks"]
    assert [a.name for a in choose_anchors(found, 1)] == ["trials"]


def test_unknown_times_and_invalid_ones_are_no_events() -> None:
    some = np.where(np.arange(len(EVENTS)) % 2, EVENTS, np.nan)
    tree = behaviour_only(
        late=table("events", event_time=some[::-1]),
        invalid_times=table("intervals", start_time=EVENTS, stop_time=EVENTS + 1),
        pulses=table("events", event_time=EVENTS).assign_attrs(description="Edges. [line: sync]"),
    ).trees["preprocessed"]
    found = find_events(tree)
    assert not {"invalid_times", "pulses"} & set(found)
    np.testing.assert_array_equal(found["late"], EVENTS[1::2])


def test_rates_are_those_of_the_recording() -> None:
    edges = np.linspace(-1, 2, 31)
    times = np.sort(np.concatenate([EVENTS + 0.25, EVENTS + 0.26, EVENTS - 30]))
    rate = rate_around(times, EVENTS[6:], edges)
    expected = np.zeros(30)
    expected[12] = 2 / 0.1
    # Those 30 s before an event are 5 s events themselves.
    expected[10] = np.isin(EVENTS[6:], EVENTS - 30).mean() / 0.1
    np.testing.assert_allclose(rate, expected)


def test_units_are_told_apart_whatever_the_order_of_spikes() -> None:
    rng = np.random.default_rng(0)
    time_S = np.concatenate([EVENTS + 0.35, EVENTS + 1.05])
    unit_S = np.repeat([3, 1], len(EVENTS))
    order = rng.permutation(len(time_S))
    spikes = xr.Dataset(
        {
            "spike_time": ("spike", time_S[order]),
            "unit_index": ("spike", unit_S[order]),
            "keep": ("unit", [True, True, False, True]),
        },
        {"unit": ["u0", "u1", "u2", "u3"]},
    )
    trains = read_trains(spikes, 9)
    assert trains.unit_U.tolist() == ["u0", "u1", "u3"]
    rate_TU = unit_rates(trains, EVENTS, np.linspace(0, 2, 21))
    assert rate_TU.shape == (20, 3)
    assert not rate_TU[:, 0].any()
    np.testing.assert_allclose(rate_TU[10, 1], 10)
    np.testing.assert_allclose(rate_TU[3, 2], 10)
    np.testing.assert_allclose(rate_TU.sum(0), [0, 10, 10])


def test_rates_are_of_the_time_that_a_unit_was_observed() -> None:
    spikes = xr.Dataset(
        {
            "spike_time": ("spike", EVENTS + 0.25),
            "unit_index": ("spike", np.zeros(len(EVENTS), int)),
            # The other unit is never seen; this one from each event on, in spans that overlap,
            # and only up to the 20th.
            "observed_unit": ("span", np.zeros(40, int)),
            "observed_start": ("span", np.repeat(EVENTS[:20], 2)),
            "observed_stop": ("span", np.repeat(EVENTS[:20], 2) + np.tile([1.0, 1.5], 20)),
        },
        {"unit": ["u0", "u1"]},
    )
    edges = np.linspace(-1, 2, 31)
    rate_TU = unit_rates(read_trains(spikes, 9), EVENTS, edges)
    assert np.isnan(rate_TU[:, 1]).all()
    assert np.isnan(rate_TU[:10, 0]).all()
    assert np.isnan(rate_TU[25:, 0]).all()
    # Of all events a spike, 20 of them observed.
    np.testing.assert_allclose(rate_TU[12, 0], len(EVENTS) / 20 / 0.1)
    assert not rate_TU[13:25, 0].any()


def test_means_and_intervals_are_those_of_the_valid_samples() -> None:
    time = np.arange(0, 210, 0.1)
    rng = np.random.default_rng(1)
    since = (time[:, None] - EVENTS).clip(0)
    since = np.where(time[:, None] >= EVENTS - 1e-9, since, np.inf).min(1)
    values = 5 + np.stack([np.isclose(since, 0.3) * 2.0, np.full(len(time), 1.0)], 1)
    values += rng.normal(0, 0.1, values.shape)
    values[(time > 50) & (time < 60)] = np.nan
    signal = xr.DataArray(values, dims=("time", "channel"), coords={"time": time})
    found = mean_around(signal.chunk({"time": 100}), EVENTS, 1, 2)
    assert found is not None
    at = int(np.argmin(np.abs(found.lag_T - 0.3)))
    assert found.mean_TC[at, 0] == pytest.approx(7, abs=0.1)
    others = np.delete(np.arange(len(found.lag_T)), at)
    np.testing.assert_allclose(found.mean_TC[others, 0], 5, atol=0.1)
    np.testing.assert_allclose(found.half_TC, 1.96 * 0.1 / np.sqrt(36), rtol=0.6)


def test_a_clock_too_slow_for_the_window_gives_no_mean() -> None:
    signal = xr.DataArray(
        np.zeros((10, 1)), dims=("time", "channel"), coords={"time": np.arange(10) * 30.0}
    )
    assert mean_around(signal, EVENTS, 1, 2) is None


def test_units_are_scored_by_what_they_did_before_and_ordered_by_their_peak() -> None:
    lag_T = np.arange(-10, 20) / 10
    late, early, silent, unseen = np.ones((4, 30)) * 3
    late[25], early[12], silent[:10] = 9, -8, 0
    unseen[:10] = np.nan
    score_CT = score_rows(np.stack([late, early, silent, unseen, np.full(30, 4.0)], 1), lag_T)
    np.testing.assert_allclose(score_CT[0, 25], 6 / late.std())
    np.testing.assert_allclose(score_CT[1, 12], -11 / early.std())
    np.testing.assert_allclose(score_CT[2, 10:], 3 / silent.std())
    assert np.isnan(score_CT[3, :10]).all()
    assert not score_CT[3:, 10:].any()
    assert order_by_peak(score_CT).tolist() == [3, 4, 2, 1, 0]


def test_a_session_of_behaviour_alone_shows_events_by_trial() -> None:
    section = write_events(behaviour_only(), SETTINGS)
    assert not section.empty
    assert [c.title for c in section.charts] == [
        "Around trials", "Around trials/cue_time", "Around licks",
    ]  # fmt: skip
    names = [trace.name for trace in section.charts[1].figure.data]
    assert names.count("licks") == 2
    assert "Not drawn around: cues, reward." in section.html


def test_units_in_an_order_of_chance_show_no_sequence() -> None:
    rng = np.random.default_rng(2)
    time_S = np.sort(rng.uniform(0, 210, 100_000))
    spikes = xr.Dataset(
        {
            "spike_time": ("spike", time_S, {"units": "s"}),
            "unit_index": ("spike", rng.integers(0, 50, len(time_S))),
        },
        {"unit": [f"u{n}" for n in range(50)]},
        {"stream_kind": "spikes", "source": "/units", "primary": "spike_time"},
    )
    section = write_events(behaviour_only(units=spikes), SETTINGS)
    image = next(t for t in section.charts[0].figure.data if t.type == "heatmap")
    peaks = np.abs(np.asarray(image.z, float) - 50).argmax(1)
    assert abs(np.corrcoef(np.arange(50), peaks)[0, 1]) < 0.6


def test_a_session_with_too_few_events_says_so() -> None:
    tree = xr.DataTree.from_dict(
        {"/": xr.Dataset(), "/reward": table("events", event_time=EVENTS[:4])}
    )
    section = write_events(Evidence(trees={"preprocessed": tree}), SETTINGS)
    assert section.empty
    assert "has 5 entries or more" in section.html


def with_spikes(trees: dict[str, xr.DataTree], clock: str) -> dict[str, xr.DataTree]:
    """Return a session whose units are counted on its clock; they may have a clock of their own."""
    cleaned = trees["preprocessed"].copy()
    cleaned["units"].attrs["clock"] = clock
    time = trees["aligned"]["clock"]["time"].values
    counts = xr.Dataset(
        {
            "counts": (("time", "unit"), np.ones((len(time), 4))),
            "valid": ("time", np.ones(len(time), bool)),
        },
        {"time": time, "unit": [f"unit_{n}" for n in (0, 1, 3, 4)]},
        {"stream_kind": "spikes", "source": "/units", "primary": "counts"},
    )
    aligned = trees["aligned"].assign({"units": xr.DataTree(counts)})
    return {**trees, "preprocessed": cleaned, "aligned": aligned}


@pytest.mark.parametrize("clock", ["", "probe"])
def test_an_aligned_session_shows_neurons_behaviour_and_events(
    trees: dict[str, xr.DataTree], clock: str
) -> None:
    section = write_events(Evidence(trees=with_spikes(trees, clock)), SETTINGS)
    assert [c.title for c in section.charts] == ["Around trials", "Around licks"]
    figure = section.charts[0].figure
    images = [t for t in figure.data if t.type == "heatmap"]
    assert sorted(len(image.y) for image in images) == [4, 14]
    # A colour bar beside each.
    assert len({image.colorbar.y for image in images}) == 2
    # Single spikes, but for those on another clock, which only their counts are not.
    steps = {len(image.y): image.dx for image in images}
    assert steps[14] == pytest.approx(0.1)
    assert steps[4] == pytest.approx(0.1 if clock else 0.02)
    assert {"running/speed", "licks"} <= {str(t.name) for t in figure.data}
