"""Which time axis a session gets."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import NothingToDoError, SettingsError
from schemas.settings.align import AlignSettings
from tasks.align.clock import ascending, choose_axis, rate_axis, stream_axis
from tasks.common.segments import merge_spans

Factory = Callable[..., xr.Dataset]


def test_calcium_gives_its_own_clock(make_columns: Factory, make_spikes: Factory) -> None:
    time = np.arange(50) / 7.3
    few = make_columns("calcium", np.ones((50, 2)), time, set_aside={0: "constant"})
    many = make_columns("calcium", np.ones((50, 2)), time + 0.01)
    streams = {"a": few, "b": many, "units": make_spikes([np.arange(5.0)])}
    axis = choose_axis(streams, AlignSettings())
    assert axis.reference == "b"
    np.testing.assert_array_equal(axis.time, time + 0.01)


def test_spikes_give_bins_and_behaviour_its_rate(
    make_columns: Factory, make_spikes: Factory
) -> None:
    fast = make_columns("motion", np.ones((500, 1)), np.arange(500) / 100)
    slow = make_columns("eye", np.ones((50, 1)), np.arange(50) / 10)
    spiking = choose_axis({"u": make_spikes([np.array([1.0, 3.0])]), "m": fast}, AlignSettings())
    assert (spiking.rate_hz, len(spiking.time), spiking.low[0]) == (10.0, 20, 1.0)
    assert choose_axis({"m": fast, "e": slow}, AlignSettings()).rate_hz == 30.0
    assert choose_axis({"e": slow}, AlignSettings()).reference == "e"


def test_a_named_reference_is_used_or_refused(make_columns: Factory) -> None:
    streams = {"m": make_columns("motion", np.ones((9, 1)), np.arange(9.0))}
    chosen = AlignSettings(time_axis="stream", reference="m")
    assert choose_axis(streams, chosen).reference == "m"
    with pytest.raises(SettingsError, match="It has: m"):
        choose_axis(streams, AlignSettings(time_axis="stream", reference="x"))


def test_tables_alone_are_nothing_to_do() -> None:
    table = xr.Dataset(attrs={"stream_kind": "events"})
    with pytest.raises(NothingToDoError):
        choose_axis({"licks": table}, AlignSettings())


def test_bins_of_a_stream_meet_halfway_and_do_not_straddle_gaps() -> None:
    axis = stream_axis("s", np.array([0.0, 1.0, 2.0, 10.0, 11.0]), 2.5)
    assert axis.low.tolist() == [-0.5, 0.5, 1.5, 9.5, 10.5]
    assert axis.high.tolist() == [0.5, 1.5, 2.5, 10.5, 11.5]
    assert axis.segment.tolist() == [0, 0, 0, 1, 1]


@given(
    st.lists(st.tuples(st.floats(0, 50), st.floats(0.01, 5)), min_size=1, max_size=8),
    st.sampled_from([1.0, 10.0, 30.0]),
)
def test_bins_of_a_rate_are_even_and_inside_the_stretches(
    raw: list[tuple[float, float]], rate: float
) -> None:
    spans = merge_spans(np.array([(a, a + length) for a, length in raw]), 0.0)
    assert (spans[1:, 0] > spans[:-1, 1]).all()
    try:
        axis = rate_axis(spans, rate)
    except NothingToDoError:
        assert (spans[:, 1] - spans[:, 0] < 1 / rate).all()
        return
    np.testing.assert_allclose(axis.high - axis.low, 1 / rate)
    assert (axis.low[1:] >= axis.high[:-1] - 1e-5).all()
    holder = np.searchsorted(spans[:, 0], axis.time, side="right") - 1
    assert (axis.low >= spans[holder, 0] - 1e-6).all()
    assert (axis.high <= spans[holder, 1] + 1e-5).all()


def test_repeated_and_late_times_count_once() -> None:
    time = np.array([0.0, 1.0, 1.0, 0.5, 2.0, 2.0, 3.0])
    assert np.flatnonzero(ascending(time)).tolist() == [0, 1, 4, 6]
    assert ascending(np.zeros(0)).tolist() == []


def test_events_are_an_axis_of_separate_moments(make_columns: Factory) -> None:
    licks = xr.Dataset(
        {"event_time": ("event", [5.0, 1.0, 1.04, np.nan])}, attrs={"stream_kind": "events"}
    )
    streams = {"m": make_columns("motion", np.ones((9, 1)), np.arange(9.0)), "licks": licks}
    axis = choose_axis(streams, AlignSettings(time_axis="events", reference="licks"))
    assert axis.time.tolist() == [1.0, 1.04, 5.0]
    np.testing.assert_allclose(axis.low, [0.95, 1.02, 4.95])
    np.testing.assert_allclose(axis.high, [1.02, 1.09, 5.05])
    assert axis.segment.tolist() == [0, 1, 2]
    with pytest.raises(SettingsError, match="It has: licks"):
        choose_axis(streams, AlignSettings(time_axis="events", reference="m"))
