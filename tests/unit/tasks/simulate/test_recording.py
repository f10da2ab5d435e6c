"""What the instruments record follows from the units, and stays within its bounds."""

import numpy as np
import pytest

from schemas.settings.simulate import SimulateSettings
from tasks.simulate.animal import SimulatedAnimal, identify_session, simulate_animal
from tasks.simulate.behaviour import ARENA_RADIUS_CM, KEYPOINTS
from tasks.simulate.neurons import REFRACTORY_S

SMALL = SimulateSettings(
    calcium_units=8, spike_units=4, independent_units=2, feedback_units=2, duration_s=40
)


@pytest.fixture(scope="module")
def animal() -> SimulatedAnimal:
    return simulate_animal(SMALL, np.random.default_rng(SMALL.seed))


def test_the_same_seed_gives_the_same_animal(animal: SimulatedAnimal) -> None:
    again = simulate_animal(SMALL, np.random.default_rng(SMALL.seed))
    np.testing.assert_array_equal(animal.calcium_FU, again.calcium_FU)
    np.testing.assert_array_equal(animal.audio.count_S, again.audio.count_S)
    np.testing.assert_array_equal(animal.pose.position_FK2, again.pose.position_FK2)
    np.testing.assert_array_equal(animal.gaze.value, again.gaze.value)
    for first, second in zip(animal.spikes, again.spikes, strict=True):
        np.testing.assert_array_equal(first, second)


def test_another_seed_gives_another_animal(animal: SimulatedAnimal) -> None:
    other = simulate_animal(SMALL, np.random.default_rng(SMALL.seed + 1))
    assert not np.array_equal(animal.calcium_FU, other.calcium_FU)


def test_settings_name_the_session() -> None:
    first, same = identify_session(SMALL), identify_session(SMALL.model_copy())
    assert first.key == same.key
    longer = identify_session(SMALL.model_copy(update={"duration_s": 41.0}))
    assert longer.key != first.key
    assert longer.subject == first.subject, "the seed alone names the animal"


def test_calcium_follows_the_rates_late_and_smoothed(animal: SimulatedAnimal) -> None:
    rate_FU = animal.trajectory.rate_TN[:, : SMALL.calcium_units]
    rate_FU = rate_FU[np.rint(animal.frame_time_F / SMALL.step_s).astype(int)]
    late = 3  # frames: the phase of the decay at the units' cycle of some 1.5 s
    for rate_F, calcium_F in zip(rate_FU.T, animal.calcium_FU.T, strict=True):
        follows = np.corrcoef(rate_F[:-late], calcium_F[late:])[0, 1]
        assert follows > max(0.6, np.corrcoef(rate_F[late:], calcium_F[:-late])[0, 1])
    assert (animal.calcium_FU.std(0) < rate_FU.std(0)).all()


def test_spikes_have_the_asked_rate_and_a_refractory_period(animal: SimulatedAnimal) -> None:
    for time_S in animal.spikes:
        assert np.diff(time_S).min() > 0.9 * REFRACTORY_S
        assert 0 <= time_S[0] < time_S[-1] <= SMALL.duration_s
        assert len(time_S) / SMALL.duration_s == pytest.approx(SMALL.spike_rate_hz, rel=0.15)


def test_spikes_follow_the_rates(animal: SimulatedAnimal) -> None:
    edges = np.arange(0, SMALL.duration_s + 0.1, 0.2)
    for unit, time_S in enumerate(animal.spikes, start=SMALL.calcium_units):
        rate_B = animal.trajectory.sample(edges[:-1] + 0.1, unit)
        assert np.corrcoef(rate_B, np.histogram(time_S, edges)[0])[0, 1] > 0.6


def test_behaviour_stays_in_its_physical_range(animal: SimulatedAnimal) -> None:
    assert np.nanmin(animal.pupil.value) > 0.8
    assert np.nanmax(animal.pupil.value) < 4.5
    assert np.nanmax(np.abs(animal.gaze.value)) < 30
    assert -2 < animal.running.value.min() < animal.running.value.max() < 45
    assert np.hypot(*animal.body.center_F2.T).max() < ARENA_RADIUS_CM


def test_blinks_hide_gaze_and_pupil_at_once() -> None:
    blinking = SMALL.model_copy(update={"blinks_per_min": 20.0})
    animal = simulate_animal(blinking, np.random.default_rng(0))
    closed = np.isnan(animal.pupil.value)
    assert 0.01 < closed.mean() < 0.15
    np.testing.assert_array_equal(np.isnan(animal.gaze.value).all(1), closed)


def test_the_body_moves_as_fast_as_the_wheel_turns(animal: SimulatedAnimal) -> None:
    step_F = np.linalg.norm(np.diff(animal.body.center_F2, axis=0), axis=1)
    speed_F = step_F / np.diff(animal.body.time_F)
    wheel_F = np.interp(animal.body.time_F[1:], animal.running.time_S, animal.running.value)
    assert np.corrcoef(speed_F, wheel_F)[0, 1] > 0.98


def test_the_pose_has_the_shape_of_the_animal(animal: SimulatedAnimal) -> None:
    sure = (animal.pose.confidence_FK > 0.5).all(1)
    assert 0.9 < sure.mean() <= 1
    point_FK2 = animal.pose.position_FK2[sure]
    nose, tail = KEYPOINTS.index("nose"), KEYPOINTS.index("tail_base")
    length_F = np.linalg.norm(point_FK2[:, nose] - point_FK2[:, tail], axis=1)
    assert length_F.std() < 0.1 * length_F.mean()


def test_the_audio_is_loud_when_the_animal_runs_and_when_a_cue_sounds(
    animal: SimulatedAnimal,
) -> None:
    rate = int(animal.audio.rate_hz)
    loud_B = np.abs(animal.audio.count_S.astype(float)).reshape(-1, rate).mean(1)
    cued_B = np.zeros(len(loud_B), bool)
    for start in animal.cues.start_R:
        cued_B[int(start) : int(start + 0.5) + 1] = True
    speed_B = np.interp(np.arange(len(loud_B)) + 0.5, animal.running.time_S, animal.running.value)
    assert np.corrcoef(loud_B[~cued_B], speed_B[~cued_B])[0, 1] > 0.3
    assert loud_B[cued_B].mean() > 2 * loud_B[~cued_B].mean()


def test_sync_intervals_are_uneven(animal: SimulatedAnimal) -> None:
    gaps = np.diff(animal.sync_P)
    assert gaps.min() > 0.69
    assert gaps.max() < 1.31
    assert gaps.std() > 0.1
    assert len(np.unique(gaps.round(3))) > 0.8 * len(gaps)


def test_the_camera_has_a_clock_of_its_own(animal: SimulatedAnimal) -> None:
    assert animal.camera is not None
    clock = animal.camera.clock
    ahead = animal.sync_P - clock.show(animal.sync_P)
    assert ahead[0] == pytest.approx(SMALL.camera_offset_s, abs=1e-3)
    ppm = 1e6 * (ahead[-1] - ahead[0]) / (animal.sync_P[-1] - animal.sync_P[0])
    assert ppm == pytest.approx(SMALL.camera_drift_ppm, rel=0.3)
    assert set(np.diff(animal.camera.pulse_P) > 0) == {True}
    assert len(animal.camera.pulse_P) <= len(animal.sync_P)
    alone = simulate_animal(
        SMALL.model_copy(update={"camera_clock": False}), np.random.default_rng(SMALL.seed)
    )
    assert alone.camera is None
    np.testing.assert_array_equal(alone.audio.count_S, animal.audio.count_S)


def test_lost_frames_leave_gaps() -> None:
    lossy = SMALL.model_copy(update={"dropped_frames": 0.05})
    rng = np.random.default_rng(0)
    animal = simulate_animal(lossy, rng)
    whole = simulate_animal(
        SMALL.model_copy(update={"dropped_frames": 0.0}), np.random.default_rng(0)
    )
    lost = ~np.isin(whole.body.time_F, animal.body.time_F)
    assert 0.01 < lost.mean() < 0.15
    np.testing.assert_array_equal(animal.pose.time_F, animal.body.time_F)
    np.testing.assert_array_equal(animal.pose.position_FK2, whole.pose.position_FK2[~lost])
