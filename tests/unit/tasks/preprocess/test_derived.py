"""What cleaning derives, on data with a known answer."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from schemas.settings.clean_behaviour import AudioFeatures, EyeCleaning, MotionCleaning
from schemas.settings.clean_neural import CalciumCleaning, LfpCleaning
from schemas.settings.preprocess import PreprocessSettings
from tasks.preprocess import spike_quality
from tasks.preprocess.audio import measure_audio, tabulate_calls
from tasks.preprocess.calcium import clean_calcium, measure_of, pair_neuropil
from tasks.preprocess.deconvolve import infer_spikes
from tasks.preprocess.eye import clean_eye
from tasks.preprocess.invalid import mask_invalid_times
from tasks.preprocess.lfp import clean_lfp
from tasks.preprocess.motion import clean_motion
from tasks.preprocess.pose import clean_pose
from tasks.preprocess.saccades import tabulate_saccades
from tasks.preprocess.spikes import assess_spikes
from tasks.preprocess.streams import set_aside_duplicates

Factory = Callable[..., xr.Dataset]
DEFAULTS = PreprocessSettings()


def test_contamination_is_the_share_of_other_neurons(make_spikes: Factory) -> None:
    rng = np.random.default_rng(0)
    length, refractory = 4000.0, 0.003

    def neuron(rate: float) -> np.ndarray:
        return np.cumsum(refractory + rng.exponential(1 / rate, int(rate * length)))

    mixed = np.sort(np.concatenate([neuron(18.0), rng.uniform(0, length, int(2 * length))]))
    stream = make_spikes([neuron(20.0), mixed])
    chosen = DEFAULTS.model_copy(
        update={"spikes": DEFAULTS.spikes.model_copy(update={"refractory_s": refractory})}
    )
    found = assess_spikes("units", stream, chosen)
    share = 2 * length / len(mixed)
    assert float(found["contamination"][0]) == 0
    assert float(found["contamination"][1]) == pytest.approx(share, rel=0.15)
    assert np.isnan(found["amplitude_cutoff"]).all()


def test_cut_off_amplitudes_are_estimated(make_spikes: Factory) -> None:
    rng = np.random.default_rng(0)
    whole, cut = rng.normal(10, 2, 20_000), rng.normal(10, 2, 20_000)
    cut = cut[cut > 9]
    stream = make_spikes([np.sort(rng.uniform(0, 1e4, len(a))) for a in (whole, cut)])
    stream["spike_amplitude"] = ("spike", np.concatenate([whole, cut]))
    lost = assess_spikes("units", stream, DEFAULTS)["amplitude_cutoff"].values
    assert lost[0] < 0.01
    # Of the whole bell 31 % is missing; measured against what is left, up to 45 %.
    assert 0.2 < lost[1] < 0.46


@settings(max_examples=6, deadline=None)
@given(group=st.integers(1, 60), seed=st.integers(0, 5))
def test_units_in_groups_are_units_at_once(group: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 40, 6)
    stream = xr.Dataset(
        {
            "spike_time": (
                "spike",
                np.concatenate([np.sort(rng.uniform(0, 1, c)) for c in counts]),
            ),
            "unit_index": ("spike", np.repeat(np.arange(6), counts)),
        },
        {"unit": [f"u{n}" for n in range(6)]},
        {"stream_kind": "spikes", "source": "/units", "primary": "spike_time"},
    )
    whole = assess_spikes("units", stream, DEFAULTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spike_quality, "GROUP_SPIKES", group)
        xr.testing.assert_identical(whole, assess_spikes("units", stream.chunk(spike=7), DEFAULTS))


def test_neuropil_is_subtracted_where_it_is_paired(make_columns: Factory) -> None:
    rng = np.random.default_rng(0)
    time = np.arange(4000) / 10
    around = 50 + 20 * np.sin(time)[:, None] + np.zeros((4000, 2))
    cell = 100 + 30 * (rng.random((4000, 2)) < 0.01)
    streams = {
        "fluorescence": make_columns("calcium", cell + 0.7 * around, time, source="/F/Raw"),
        "neuropil": make_columns("calcium", around, time, source="/F/Neuropil"),
    }
    paired = pair_neuropil(streams)
    assert "neuropil" not in paired["neuropil"]
    cleaned = clean_calcium("fluorescence", paired["fluorescence"], DEFAULTS).compute()
    np.testing.assert_allclose(cleaned["activity"], cell / 100 - 1, atol=1e-6)
    np.testing.assert_array_equal(cleaned["activity_raw"], streams["fluorescence"]["activity"])
    assert "neuropil" not in cleaned


def test_planes_imaged_at_once_do_not_share_cells(make_columns: Factory) -> None:
    """Tables of two planes often have as many cells of the same names."""
    time, base = np.arange(600) / 10, np.ones((600, 2))
    plane = {n: {"rois": f"processing/plane{n}/PlaneSegmentation"} for n in range(2)}
    streams = {
        "neuropil_0": make_columns("calcium", 100 * base, time, source="/Neuropil", **plane[0]),
        "neuropil_1": make_columns("calcium", 900 * base, time, source="/Neuropil", **plane[1]),
        "dff_0": make_columns("calcium", base, time, source="/DfOverF", **plane[0]),
        "raw_1": make_columns("calcium", 3000 * base, time, source="/F/Raw", **plane[1]),
    }
    paired = pair_neuropil(streams)
    np.testing.assert_array_equal(paired["raw_1"]["neuropil"], 900 * base)
    used = {name: stream.assign_attrs(measure=measure_of(name, stream))
            for name, stream in streams.items()}  # fmt: skip
    aside = {
        n: set(d["reason"].values) for n, d in set_aside_duplicates(used).items() if "keep" in d
    }
    assert aside == {
        "neuropil_0": {"the same cells as in 'dff_0'"},
        "neuropil_1": {"the same cells as in 'raw_1'"},
    }


def test_noise_level_is_that_of_rupprecht(make_columns: Factory) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0, 0.1, (9000, 1))
    stream = make_columns("calcium", values, np.arange(9000) / 30, source="/DfOverF/a")
    cleaned = clean_calcium("df_over_f", stream, DEFAULTS)
    nu = 100 * np.median(np.abs(np.diff(values[:, 0]))) / np.sqrt(30)
    assert float(cleaned["noise_level"][0]) == pytest.approx(nu)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), decay_s=st.floats(0.05, 2.0))
def test_oasis_is_non_negative_least_squares(seed: int, decay_s: float) -> None:
    values = np.random.default_rng(seed).normal(0.3, 1.0, 25)
    g = np.exp(-1 / (decay_s * 10))
    kernel = np.tril(g ** (np.arange(25)[:, None] - np.arange(25)))
    expected, _ = nnls(kernel, values)
    made = infer_spikes(values[None], np.zeros(25, int), 10.0, decay_s)[0]
    np.testing.assert_allclose(made[1:], expected[1:], atol=1e-8)


def test_deconvolution_is_beside_the_activity(make_columns: Factory) -> None:
    rng = np.random.default_rng(0)
    spikes = (rng.random(2000) < 0.02).astype(float)
    values = np.convolve(spikes, np.exp(-np.arange(200) / 30))[:2000] + rng.normal(0, 0.05, 2000)
    stream = make_columns("calcium", values[:, None], np.arange(2000) / 30, source="/DfOverF/a")
    chosen = PreprocessSettings(calcium=CalciumCleaning(deconvolve=True))
    cleaned = clean_calcium("df_over_f", stream, chosen).compute()
    np.testing.assert_array_equal(cleaned["activity"], stream["activity"])
    assert np.corrcoef(cleaned["deconvolved"].values[:, 0], spikes)[0, 1] > 0.9


def hum_and_waves() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    time = np.arange(20_000) / 1000
    waves = 5 * np.sin(2 * np.pi * 7 * time)[:, None] + rng.normal(size=(20_000, 3))
    hum = 4 * np.sin(2 * np.pi * 50 * time) + np.sin(2 * np.pi * 150 * time + 1)
    return time, np.stack([waves, waves + hum[:, None]])


def test_hum_is_found_and_taken_out(make_columns: Factory) -> None:
    time, (clean, noisy) = hum_and_waves()
    chosen = PreprocessSettings(lfp=LfpCleaning(reference=False))
    with_hum = clean_lfp("lfp", make_columns("lfp", noisy, time), chosen).compute()
    without = clean_lfp("lfp", make_columns("lfp", clean, time), chosen).compute()
    assert with_hum.attrs["line_noise_hz"] == 50
    assert without.attrs["line_noise_hz"] == 0
    left = (with_hum["voltage"] - without["voltage"]).values[200:-200]
    assert left.std() < 0.3  # of 2.9 before
    off = PreprocessSettings(lfp=LfpCleaning(reference=False, notch="off"))
    assert clean_lfp("lfp", make_columns("lfp", noisy, time), off).attrs["line_noise_hz"] == 0


def test_band_power_is_the_power_of_a_wave_in_its_band(make_columns: Factory) -> None:
    time, (clean, _) = hum_and_waves()
    cleaned = clean_lfp("lfp", make_columns("lfp", clean, time), DEFAULTS).compute()
    power = cleaned["band_power"].mean("band_time").isel(channel=0)
    # A sine of amplitude 5 has the power 12.5; the noise is spread over 500 Hz.
    assert float(power.sel(band="theta")) == pytest.approx(12.5, rel=0.05)
    assert float(power.sel(band="low_gamma")) == pytest.approx(2 * 50 / 1000, rel=0.3)
    assert np.allclose(np.diff(cleaned["band_time"]), 0.25)


def test_saccades_and_fixations_of_a_staircase(make_columns: Factory) -> None:
    rng = np.random.default_rng(0)
    time = np.arange(5000) / 500
    place = np.zeros(5000)
    for at in range(500, 5000, 500):
        place[at : at + 15] += np.linspace(0, 1, 15)
        place[at + 15 :] += 1
    gaze = np.stack([place, np.zeros(5000)], 1) * 10 + rng.normal(0, 0.02, (5000, 2))
    stream = make_columns("eye", gaze, time, names=["gaze_x", "gaze_y"])
    chosen = PreprocessSettings(eye=EyeCleaning(gaze_distance=100.0))
    cleaned = clean_eye("eye", stream, chosen)
    np.testing.assert_allclose(
        cleaned["gaze_degrees"].values[:, 0], np.degrees(np.arctan2(gaze[:, 0], 100))
    )
    found = tabulate_saccades("eye", cleaned, chosen)
    moves, rests = found["eye_saccades"], found["eye_fixations"]
    assert moves.sizes["interval"] == 9
    np.testing.assert_allclose(moves["start_time"], np.arange(1, 10), atol=0.01)
    assert float(moves["amplitude"][0]) == pytest.approx(np.degrees(np.arctan(0.1)), rel=0.05)
    assert np.abs(moves["direction"]).max() < 0.1
    assert rests.sizes["interval"] == 10
    np.testing.assert_allclose(rests["across"][0], 0, atol=0.01)
    slow = make_columns("eye", gaze[::10], time[::10], names=["gaze_x", "gaze_y"])
    assert tabulate_saccades("eye", clean_eye("eye", slow, chosen), chosen) == {}


def test_pupil_area_gives_the_diameter(make_columns: Factory) -> None:
    area = np.pi * (2 + 0.1 * np.sin(np.arange(500) / 9)) ** 2 / 4
    stream = make_columns("eye", area[:, None], np.arange(500) / 30, names=["pupil_area"])
    cleaned = clean_eye("eye", stream, DEFAULTS)
    np.testing.assert_allclose(cleaned["pupil_diameter"], 2 * np.sqrt(area / np.pi))
    np.testing.assert_allclose(cleaned["pupil_area"], area)


def test_a_wheels_angle_becomes_speed(make_columns: Factory) -> None:
    time = np.arange(3000) / 60
    angle = np.stack([(2 * np.pi * 0.5 * time) % (2 * np.pi)], 1)
    stream = make_columns("motion", angle, time, wrap_period=2 * np.pi)
    stream["value"].attrs["units"] = "rad"
    chosen = PreprocessSettings(motion=MotionCleaning(wheel_radius_cm=5.0))
    cleaned = clean_motion("wheel_position", stream, chosen)
    np.testing.assert_allclose(cleaned["value"], np.pi * 5, rtol=1e-6)
    assert cleaned["value"].attrs["units"] == "cm/s"
    np.testing.assert_array_equal(cleaned["value_raw"], angle)


def test_a_wheels_angle_goes_on_where_it_jumps_back(make_columns: Factory) -> None:
    time = np.arange(3000) / 60
    angle = np.stack([(2 * np.pi * 0.5 * time) % (2 * np.pi)], 1)
    stream = make_columns("motion", angle, time)
    stream["value"].attrs["units"] = "rad"
    cleaned = clean_motion("wheel_position", stream, DEFAULTS)
    # Filters feel the ends.
    middle = slice(60, -60)
    np.testing.assert_allclose(cleaned["value"][middle, 0], np.pi * time[middle], atol=1e-3)
    np.testing.assert_array_equal(cleaned["value_raw"], angle)


def test_an_accelerometer_without_gravity(make_columns: Factory) -> None:
    time = np.arange(4000) / 100
    shake = 0.2 * np.sin(2 * np.pi * 8 * time) * (time > 20)
    stream = make_columns(
        "motion", np.stack([shake, 0 * time, 9.81 + 0 * time], 1), time, names=["x", "y", "z"]
    )
    movement = clean_motion("accelerometer", stream, DEFAULTS)["movement"].values
    np.testing.assert_allclose(movement[:1800], 0, atol=1e-3)
    np.testing.assert_allclose(movement[2200:-200], np.abs(shake)[2200:-200], atol=0.01)


def test_egocentric_points_do_not_turn_with_the_animal(make_pose: Factory) -> None:
    angle = np.arange(300) / 20
    tail = np.stack([50 * np.cos(angle / 3), angle], 1)
    ahead = np.stack([np.cos(angle), np.sin(angle)], 1)
    side = np.stack([-np.sin(angle), np.cos(angle)], 1)
    points = np.stack([tail, tail + 4 * ahead, tail + 2 * ahead + side], 2)[..., None]
    stream = make_pose(points, np.arange(300) / 30, keypoints=["tailbase", "snout", "left_paw"])
    chosen = DEFAULTS.model_copy(
        update={"pose": DEFAULTS.pose.model_copy(update={"smooth_s": 0.0})}
    )
    seen = clean_pose("pose", stream, chosen)["egocentric"].values[..., 0]
    np.testing.assert_allclose(seen[:, :, 0], 0, atol=1e-9)
    np.testing.assert_allclose(seen[:, :, 1], np.tile([4.0, 0.0], (300, 1)), atol=1e-9)
    np.testing.assert_allclose(seen[:, :, 2], np.tile([2.0, 1.0], (300, 1)), atol=1e-9)


def test_ultrasonic_calls_are_counted(make_columns: Factory) -> None:
    rng = np.random.default_rng(0)
    rate = 100_000
    time = np.arange(3 * rate) / rate
    calls = [0.5, 0.8, 2.0]
    sound = rng.normal(0, 0.01, 3 * rate)
    for start in calls:
        during = (time >= start) & (time < start + 0.06)
        sound[during] += 0.5 * np.sin(2 * np.pi * 35_000 * time[during])
    stream = make_columns("audio", sound[:, None], time)
    cleaned = measure_audio("mic", stream, DEFAULTS)
    table = tabulate_calls("mic", cleaned)["mic_calls"]
    np.testing.assert_allclose(table["start_time"], calls, atol=0.02)
    assert cleaned["channel"].values[-1] == "call_rate"
    assert cleaned.sizes["channel"] == 1 + AudioFeatures().mel_bands + 1
    rates = cleaned["value"].values[:, -1]
    assert rates.max() == 2
    slow = make_columns("audio", sound[::5, None], time[::5])
    assert tabulate_calls("mic", measure_audio("mic", slow, DEFAULTS)) == {}


def test_invalid_times_mask_every_stream(make_columns: Factory, make_pose: Factory) -> None:
    time = np.arange(100) / 10
    table = xr.Dataset(
        {"start_time": ("interval", [2.0, np.nan]), "stop_time": ("interval", [3.0, 9.0])},
        attrs={"stream_kind": "intervals", "source": "/invalid_times", "primary": "start_time"},
    )
    streams = {
        "running": clean_motion("r", make_columns("motion", np.ones((100, 1)), time), DEFAULTS),
        "pose": clean_pose("p", make_pose(np.zeros((100, 2, 1, 1)), time), DEFAULTS),
        "invalid_times": table,
    }
    masked = mask_invalid_times(streams, DEFAULTS)
    for name in ("running", "pose"):
        valid = masked[name]["valid"].values.reshape(100)
        assert np.flatnonzero(~valid).tolist() == [*range(20, 31)], name
    assert mask_invalid_times({"running": streams["running"]}, DEFAULTS) == {
        "running": streams["running"]
    }
