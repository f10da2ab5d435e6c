"""The files: an NWB session that validators and pynwb accept, a real video, the truth."""

from pathlib import Path

import av
import numpy as np
import pytest
import xarray as xr
from nwbinspector import Importance, inspect_nwbfile
from pynwb import NWBHDF5IO, validate

from schemas.contracts.truth import TRUTH
from schemas.settings.simulate import SimulateSettings
from tasks.simulate.animal import SimulatedAnimal, simulate_animal
from tasks.simulate.behaviour import KEYPOINTS
from tasks.simulate.nwb_session import VIDEO_NAME, write_session
from tasks.simulate.truth import describe_truth

SMALL = SimulateSettings(
    calcium_units=8, spike_units=4, independent_units=2, feedback_units=2, duration_s=20
)


@pytest.fixture(scope="module")
def animal() -> SimulatedAnimal:
    return simulate_animal(SMALL, np.random.default_rng(SMALL.seed))


@pytest.fixture(scope="module")
def session(animal: SimulatedAnimal, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_session(animal, tmp_path_factory.mktemp("simulation"))


@pytest.fixture(scope="module")
def truth(animal: SimulatedAnimal) -> xr.DataTree:
    return describe_truth(animal)


def test_the_file_is_valid_and_follows_best_practice(session: Path) -> None:
    assert not validate(path=str(session))
    messages = [
        f"{m.check_function_name} at {m.location}: {m.message}"
        for m in inspect_nwbfile(nwbfile_path=str(session))
        if m.importance is not Importance.BEST_PRACTICE_SUGGESTION
    ]
    assert not messages


def test_neurons_come_back_as_they_were(session: Path, animal: SimulatedAnimal) -> None:
    with NWBHDF5IO(str(session), "r") as io:
        file = io.read()
        series = file.processing["ophys"]["df_over_f"]["calcium"]
        np.testing.assert_array_equal(series.data[:], animal.calcium_FU)
        assert list(series.rois.table["label"][:]) == animal.unit_names("calcium")
        assert list(file.units["unit_name"][:]) == animal.unit_names("units")
        for unit, spikes in enumerate(animal.spikes):
            np.testing.assert_array_equal(file.units["spike_times"][unit], spikes)
        np.testing.assert_array_equal(file.units["obs_intervals"][0], [[0, SMALL.duration_s]])


def test_behaviour_comes_back_in_its_units(session: Path, animal: SimulatedAnimal) -> None:
    with NWBHDF5IO(str(session), "r") as io:
        behavior = io.read().processing["behavior"]
        running = behavior["wheel"]["running_speed"]
        assert running.unit == "m/s"
        np.testing.assert_allclose(
            running.data[:] * running.conversion, animal.running.value / 100, rtol=1e-6
        )
        gaze = behavior["eye_tracking"]["gaze"]
        np.testing.assert_allclose(gaze.data[:], animal.gaze.value, rtol=1e-6)
        np.testing.assert_array_equal(gaze.timestamps[:], animal.gaze.time_S)
        pupil = behavior["pupil_tracking"]["pupil_diameter"]
        np.testing.assert_array_equal(pupil.timestamps[:], gaze.timestamps[:])
        pose = behavior["body_pose"]
        assert tuple(pose.skeleton.nodes[:]) == KEYPOINTS
        for index, keypoint in enumerate(KEYPOINTS):
            found = pose.pose_estimation_series[keypoint]
            np.testing.assert_allclose(found.data[:], animal.pose.position_FK2[:, index], rtol=1e-5)


def test_tables_and_sound_come_back(session: Path, animal: SimulatedAnimal) -> None:
    with NWBHDF5IO(str(session), "r") as io:
        file = io.read()
        np.testing.assert_array_equal(file.trials["start_time"][:], animal.cues.start_R)
        pulses = file.get_events_table("sync_pulses")
        np.testing.assert_array_equal(pulses["timestamp"][:], animal.sync_P)
        audio = file.acquisition["audio"]
        assert audio.data.dtype == np.int16
        assert audio.data.shape == (int(SMALL.duration_s * SMALL.audio_rate_hz),)


def test_who_and_when(session: Path, animal: SimulatedAnimal) -> None:
    with NWBHDF5IO(str(session), "r") as io:
        file = io.read()
        assert file.subject.subject_id == f"sim{SMALL.seed}"
        assert file.session_id == animal.session.session_id
        assert file.session_start_time == animal.session.start_time


def test_the_video_has_a_frame_for_every_time(session: Path, animal: SimulatedAnimal) -> None:
    with NWBHDF5IO(str(session), "r") as io:
        camera = io.read().acquisition["camera"]
        assert list(camera.external_file[:]) == [VIDEO_NAME]
        time_F = camera.timestamps[:]
    frames = read_video(session.parent / VIDEO_NAME)
    assert frames.shape == (len(time_F), SMALL.video_size, SMALL.video_size)


def test_motion_energy_follows_running(session: Path, animal: SimulatedAnimal) -> None:
    frames = read_video(session.parent / VIDEO_NAME).astype(float)
    energy_F = np.abs(np.diff(frames, axis=0)).mean((1, 2))
    middle_F = (animal.body.time_F[1:] + animal.body.time_F[:-1]) / 2
    speed_F = np.interp(middle_F, animal.running.time_S, animal.running.value)
    assert np.corrcoef(energy_F, speed_F)[0, 1] > 0.7


def test_the_truth_keeps_its_contract(truth: xr.DataTree, animal: SimulatedAnimal) -> None:
    TRUTH.check(truth)
    assert truth.attrs["session_key"] == animal.session.key
    graph = truth["graph"].to_dataset()
    assert graph.sizes == {"effect": 16, "cause": 16}
    xr.testing.assert_equal(graph["edge"], graph["weight"] > 0)


def test_the_truth_points_from_cause_to_effect(truth: xr.DataTree, animal: SimulatedAnimal) -> None:
    graph = truth["graph"].to_dataset()
    speed = graph["weight"].sel(effect="running_speed")
    drivers = speed["cause"].values[speed.values > 0]
    assert len(drivers) == SMALL.behaviour_drivers
    row = animal.wiring.weight_NN[animal.wiring.index("running_speed")]
    assert {animal.wiring.nodes[n] for n in np.flatnonzero(row)} == set(drivers)


def test_shared_drivers_are_marked_both_ways(truth: xr.DataTree) -> None:
    shared = truth["graph/shared_driver"].values
    np.testing.assert_array_equal(shared, shared.T)
    assert shared.sum() == 2 * SMALL.hidden_drivers


def test_the_latent_state_covers_the_recording(truth: xr.DataTree, animal: SimulatedAnimal) -> None:
    latent = truth["latent"].to_dataset()
    assert latent["time"].values[[0, -1]] == pytest.approx([0, SMALL.duration_s])
    assert int(latent["recorded"].sum()) == animal.wiring.observed
    hidden = latent["node"].values[~latent["recorded"].values]
    assert all(name.startswith("latent/") for name in hidden)


@pytest.mark.parametrize(
    "changes",
    [
        {"duration_s": 4.0, "spike_rate_hz": 2.0},
        {
            "duration_s": 7.77,
            "step_s": 0.007,
            "calcium_rate_hz": 13.0,
            "camera_rate_hz": 29.97,
            "audio_rate_hz": 2000.0,
            "hidden_drivers": 0,
            "feedback_units": 0,
            "independent_units": 0,
            "blinks_per_min": 0.0,
        },
    ],
    ids=["shortest", "uneven rates, no extras"],
)
def test_unusual_settings_give_a_valid_session(changes: dict[str, float], tmp_path: Path) -> None:
    settings = SimulateSettings.model_validate({**SMALL.model_dump(), **changes})
    animal = simulate_animal(settings, np.random.default_rng(0))
    path = write_session(animal, tmp_path)
    bad = [
        m.message
        for m in inspect_nwbfile(nwbfile_path=str(path))
        if m.importance is not Importance.BEST_PRACTICE_SUGGESTION
    ]
    assert not bad
    assert len(read_video(tmp_path / VIDEO_NAME)) == len(animal.body.time_F)
    describe_truth(animal)


def read_video(path: Path) -> np.ndarray:
    """Return grey frames (frame, row, column)."""
    with av.open(str(path)) as film:
        return np.stack([frame.to_ndarray(format="gray") for frame in film.decode(video=0)])
