"""What each kind of stream is cleaned to, on data with a known answer."""

import json
from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from schemas.settings.clean_behaviour import MotionCleaning
from schemas.settings.clean_neural import LfpCleaning
from schemas.settings.preprocess import PreprocessSettings
from tasks.preprocess.audio import measure_audio
from tasks.preprocess.calcium import clean_calcium, measure_of
from tasks.preprocess.eye import clean_eye
from tasks.preprocess.lfp import clean_lfp
from tasks.preprocess.motion import clean_motion
from tasks.preprocess.pose import clean_pose, find_axis
from tasks.preprocess.spikes import assess_spikes

Factory = Callable[..., xr.Dataset]
DEFAULTS = PreprocessSettings()
RAW = "/processing/ophys/Fluorescence/RoiResponseSeries"


def test_fluorescence_becomes_dff_around_a_drifting_baseline(make_columns: Factory) -> None:
    rng = np.random.default_rng(0)
    time = np.arange(6000) / 10
    baseline = 200 + 0.1 * time
    events = (rng.random(6000) < 0.01).astype(float)
    transients = np.convolve(events, np.exp(-np.arange(60) / 10))[:6000]
    fluorescence = baseline * (1 + 0.5 * transients)
    stream = make_columns("calcium", fluorescence[:, None], time, source=RAW)
    cleaned = clean_calcium("fluorescence", stream, DEFAULTS).compute()
    error = cleaned["activity"].values[:, 0] - 0.5 * transients
    assert np.abs(error).max() < 0.05
    np.testing.assert_array_equal(cleaned["activity_raw"], stream["activity"])
    assert cleaned["activity"].attrs["units"] == "1"
    operations = [step["operation"] for step in json.loads(cleaned.attrs["provenance"])]
    assert operations[0] == "baseline_percentile_dff"


def test_dff_stays_as_it_is(make_columns: Factory) -> None:
    values = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    source = "/processing/ophys/DfOverF/RoiResponseSeries"
    stream = make_columns("calcium", values, np.arange(50.0), source=source)
    cleaned = clean_calcium("df_over_f", stream, DEFAULTS).compute()
    np.testing.assert_array_equal(cleaned["activity"], values)
    assert "activity_raw" not in cleaned


def test_normalised_fluorescence_stays_as_it_is(make_columns: Factory) -> None:
    values = np.random.default_rng(0).normal(size=(50, 3))
    stream = make_columns("calcium", values, np.arange(50.0), source=RAW)
    np.testing.assert_array_equal(clean_calcium("x", stream, DEFAULTS)["activity"], values)


def test_useless_units_are_set_aside_with_a_reason(make_columns: Factory) -> None:
    values = np.random.default_rng(0).normal(size=(50, 4)) + 100
    values[:, 1], values[:, 2], values[:40, 3] = 5.0, np.nan, np.nan
    stream = make_columns("calcium", values, np.arange(50.0), source=RAW)
    cleaned = clean_calcium("x", stream, DEFAULTS).compute()
    assert cleaned["keep"].values.tolist() == [True, False, False, False]
    assert cleaned["reason"].values.tolist() == [
        "",
        "constant",
        "0% of its samples are finite",
        "20% of its samples are finite",
    ]
    assert cleaned["valid"].values[:, 3].sum() == 10


@pytest.mark.parametrize(
    ("name", "source", "measure"),
    [
        ("df_over_f", "/processing/ophys/DfOverF/RoiResponseSeries", "dff"),
        ("dff_traces", "/processing/ophys/traces", "dff"),
        ("deconvolved", "/processing/ophys/Fluorescence/Deconvolved", "deconvolved"),
        ("neuropil", "/processing/ophys/Fluorescence/Neuropil", "neuropil"),
        ("neuropil_corrected", "/processing/ophys/Fluorescence/x", "fluorescence"),
        ("fluorescence", RAW, "fluorescence"),
    ],
)
def test_measure_is_read_off_the_path(name: str, source: str, measure: str) -> None:
    assert measure_of(name, xr.Dataset(attrs={"source": source})) == measure


def test_decimation_keeps_slow_waves_and_removes_what_would_alias(make_columns: Factory) -> None:
    time = np.arange(10_000) / 2500
    slow, alias = np.sin(2 * np.pi * 10 * time), np.sin(2 * np.pi * 490 * time)
    chosen = PreprocessSettings(lfp=LfpCleaning(reference=False))
    stream = make_columns("lfp", np.stack([slow, slow + alias], 1), time, rate_hz=2500.0)
    cleaned = clean_lfp("lfp", stream, chosen).compute()
    np.testing.assert_allclose(np.diff(cleaned["time"]), 1 / 500)
    assert "rate_hz" not in cleaned.attrs
    expected = np.sin(2 * np.pi * 10 * cleaned["time"].values)
    inner = slice(20, -20)
    np.testing.assert_allclose(cleaned["voltage"][inner, 0], expected[inner], atol=2e-3)
    np.testing.assert_allclose(cleaned["voltage"][inner, 1], expected[inner], atol=5e-3)


def test_decimation_does_not_read_across_gaps_or_missing_samples(make_columns: Factory) -> None:
    time = np.arange(5000) / 2500 + (np.arange(5000) >= 2503) * 10.0
    level = np.where(np.arange(5000) < 2503, 1.0, 1000.0)
    level[500:505] = np.nan
    chosen = PreprocessSettings(lfp=LfpCleaning(reference=False))
    cleaned = clean_lfp("lfp", make_columns("lfp", level[:, None], time), chosen).compute()
    first = cleaned["time"].values < 5
    valid = cleaned["valid"].values[:, 0]
    np.testing.assert_allclose(cleaned["voltage"].values[first & valid, 0], 1.0, rtol=1e-6)
    np.testing.assert_allclose(cleaned["voltage"].values[~first, 0], 1000.0, rtol=1e-6)
    # 500 is missing; around 505 more than half of the filter is.
    assert cleaned["time"].values[~valid].tolist() == time[[500, 505]].tolist()
    assert cleaned["time"].values[~first][0] == time[2503]


def test_bad_channels_are_marked_and_left_out_of_the_reference(make_columns: Factory) -> None:
    rng = np.random.default_rng(0)
    common = rng.normal(size=(2000, 1)) * 5
    own = rng.normal(size=(2000, 20)) * 0.1
    values = common + own
    values[:, 3] = rng.normal(size=2000) * 1e3
    values[:, 4] = 7.0
    cleaned = clean_lfp("lfp", make_columns("lfp", values, np.arange(2000) / 500), DEFAULTS)
    assert np.flatnonzero(~cleaned["keep"].values).tolist() == [3, 4]
    rest = np.delete(np.arange(20), [3, 4])
    assert float(np.abs(cleaned["voltage"].values[:, rest] - own[:, rest]).max()) < 0.2


def test_blinks_are_masked_in_all_channels_and_short_ones_filled(make_columns: Factory) -> None:
    time = np.arange(2000) / 200
    size = 3 + 0.1 * np.sin(time)
    gaze = 100 + 10 * time
    size[400:410] = 0.0
    size[800:900] = np.nan
    stream = make_columns("eye", np.stack([size, gaze], 1), time, names=["pupil_size", "gaze_x"])
    cleaned = clean_eye("eye", stream, DEFAULTS).compute()
    masked = np.flatnonzero(cleaned["likely_blink"].values[:, 1])
    assert masked.tolist() == [*range(398, 412), *range(798, 902)]
    assert np.flatnonzero(cleaned["filled"].values[:, 1]).tolist() == [*range(398, 412)]
    np.testing.assert_allclose(cleaned["value"].values[398:412, 1], gaze[398:412])
    assert not cleaned["valid"].values[798:902].any()
    np.testing.assert_array_equal(cleaned["value_raw"], stream["value"])


def test_looking_far_away_is_no_outlier(make_columns: Factory) -> None:
    gaze = np.zeros((1000, 2))
    gaze[500:503] = 50.0
    stream = make_columns("eye", gaze, np.arange(1000) / 100, names=["x", "y"])
    assert clean_eye("pupil_position", stream, DEFAULTS)["valid"].all()


def test_wheel_glitches_are_masked_and_runs_are_not(make_columns: Factory) -> None:
    rng = np.random.default_rng(0)
    speed = np.abs(rng.normal(size=3000)) * 0.01
    speed[1000:1400] += 20.0  # a run after a long rest
    speed[2000] = 1e4
    stream = make_columns("motion", speed[:, None], np.arange(3000) / 60)
    chosen = PreprocessSettings(motion=MotionCleaning(cutoff_hz=0))
    cleaned = clean_motion("running", stream, chosen).compute()
    assert np.flatnonzero(~cleaned["valid"].values[:, 0]).tolist() == [2000]
    np.testing.assert_array_equal(cleaned["value"][:1999], stream["value"][:1999])


def test_angles_are_smoothed_on_the_circle(make_columns: Factory) -> None:
    rng = np.random.default_rng(0)
    north = rng.normal(size=(1000, 1)) * 5 % 360
    stream = make_columns("motion", north, np.arange(1000) / 60, wrap_period=360.0)
    smooth = clean_motion("compass", stream, DEFAULTS)["value"].values
    assert np.abs((smooth + 180) % 360 - 180).max() < 15


def test_speed_and_heading_of_an_animal_that_walks_a_line(make_pose: Factory) -> None:
    time = np.arange(300) / 30
    tail = np.stack([10 * time, 5 * time], 1)
    position = np.stack([tail, tail + 3.0], axis=2)[..., None]
    confidence = np.ones((300, 2, 1))
    confidence[100:103, 1] = 0.1
    confidence[200:240, 1] = 0.1
    stream = make_pose(position, time, confidence, ["tailbase", "snout"])
    cleaned = clean_pose("pose", stream, DEFAULTS).compute()
    np.testing.assert_allclose(cleaned["speed"], np.hypot(10, 5), rtol=1e-6)
    sure = cleaned["valid"].all("keypoint").values[:, 0]
    np.testing.assert_allclose(cleaned["heading"].values[sure, 0], np.pi / 4, rtol=1e-6)
    assert np.flatnonzero(cleaned["filled"].values[:, 1, 0]).tolist() == [100, 101, 102]
    assert np.flatnonzero(~sure).tolist() == [*range(200, 240)]


def test_one_point_has_a_course_where_it_moves(make_pose: Factory) -> None:
    position = np.zeros((40, 2, 1, 1))
    position[20:, 1, 0, 0] = -np.arange(20)
    cleaned = clean_pose("pose", make_pose(position, np.arange(40) / 30), DEFAULTS).compute()
    assert np.isnan(cleaned["heading"].values[:15]).all()
    np.testing.assert_allclose(cleaned["heading"].values[25:, 0], -np.pi / 2)
    assert cleaned["heading"].attrs["derived_from"] == "course"


def test_front_and_back_are_guessed_or_given() -> None:
    points = ["leftear", "rightear", "snout", "tailbase"]
    assert find_axis(points, DEFAULTS.pose) == ("snout", "tailbase")
    assert find_axis(["paw_l", "paw_r"], DEFAULTS.pose) == ("", "")


def test_envelope_and_bands_follow_a_tone(make_columns: Factory) -> None:
    time = np.arange(16_000) / 16_000
    loud = (time >= 0.5) * np.sin(2 * np.pi * 3000 * time)
    stream = make_columns("audio", loud[:, None], time, names=["mic"])
    cleaned = measure_audio("sound", stream, DEFAULTS).compute()
    np.testing.assert_allclose(np.diff(cleaned["time"]), 0.01)
    envelope = cleaned["value"].sel(channel="envelope")
    np.testing.assert_allclose(envelope[cleaned["time"] > 0.52], np.sqrt(0.5), rtol=0.01)
    assert float(envelope[cleaned["time"] < 0.48].max()) == 0
    loudest = cleaned["value"].values[-1, 1:].argmax()
    # 3 kHz is 1,876 mel of 2,840; the bands are 316 mel apart.
    assert loudest == 5


def test_quality_of_units_with_known_faults(make_spikes: Factory) -> None:
    rng = np.random.default_rng(0)
    good = np.arange(0, 100, 0.5) + rng.random(200) * 0.1
    merged = np.sort(np.concatenate([good, good[:100] + 0.0005]))
    stream = make_spikes([good, merged, np.array([3.0, 50.0]), np.zeros(0)])
    assessed = assess_spikes("units", stream, DEFAULTS)
    np.testing.assert_allclose(assessed["isi_violations"], [0, 100 / 299, 0, 0])
    assert assessed["keep"].values.tolist() == [True, False, False, False]
    assert assessed["reason"].values[2] == "2 spikes, fewer than 20"
    assert float(assessed["presence_ratio"][0]) > 0.95
    span = np.ptp(stream["spike_time"].values)
    np.testing.assert_allclose(assessed["firing_rate"][0], 200 / span)


def test_firing_rate_counts_observed_time_only(make_spikes: Factory) -> None:
    stream = make_spikes([np.linspace(0, 9.9, 100)]).assign(
        observed_start=("observation", [0.0, 90.0]),
        observed_stop=("observation", [10.0, 100.0]),
        observed_unit=("observation", [0, 0]),
    )
    assert float(assess_spikes("units", stream, DEFAULTS)["firing_rate"][0]) == 5.0


def test_spikes_out_of_observation_and_overlaps_of_it_do_not_count(make_spikes: Factory) -> None:
    train = np.arange(-100, 200, 0.5)
    stream = make_spikes([train, train, train]).assign(
        observed_start=("observation", [50.25, 0.25, 5.25]),
        observed_stop=("observation", [60.25, 10.25, 20.25]),
        observed_unit=("observation", [1, 0, 0]),
    )
    assessed = assess_spikes("units", stream, DEFAULTS)
    np.testing.assert_allclose(assessed["firing_rate"], [2.0, 2.0, 0.0])
    assert assessed["keep"].values.tolist() == [True, True, False]
