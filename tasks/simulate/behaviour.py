"""How the body units show: running, eye, and the path, heading and pose that follow from them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.settings.simulate import SimulateSettings
from tasks.simulate.dynamics import Trajectory
from tasks.simulate.sampling import add_noise, jitter_times, sample_times
from tasks.simulate.wiring import TURNING, Wiring

KEYPOINTS = ("nose", "left_ear", "right_ear", "body_center", "tail_base")
SKELETON_EDGES = ((0, 1), (0, 2), (1, 3), (2, 3), (3, 4))
ARENA_RADIUS_CM = 25.0
_OFFSETS_CM = np.array([[6.0, 0.0], [4.0, 1.6], [4.0, -1.6], [0.0, 0.0], [-4.5, 0.0]])
"""Keypoints ahead (first) and to the left (second) of the body's centre."""


@dataclass(frozen=True)
class Series:
    """Samples (sample,) or (sample, channel) with their times in seconds."""

    time_S: NDArray[np.float64]
    value: NDArray[np.float64]


@dataclass(frozen=True)
class Body:
    """Where the body is at each video frame.

    time_F : seconds
    center_F2 : cm from the arena's centre, x to the right and y up
    heading_F : radians, anticlockwise from x, unwrapped
    stride_F : phase of the gait in radians
    """

    time_F: NDArray[np.float64]
    center_F2: NDArray[np.float64]
    heading_F: NDArray[np.float64]
    stride_F: NDArray[np.float64]


@dataclass(frozen=True)
class Pose:
    """Tracked points in pixels (frame, keypoint, xy), and how sure the tracker is (0 to 1)."""

    time_F: NDArray[np.float64]
    position_FK2: NDArray[np.float64]
    confidence_FK: NDArray[np.float64]


def run_wheel(
    trajectory: Trajectory, wiring: Wiring, settings: SimulateSettings, rng: np.random.Generator
) -> Series:
    """Return running speed in cm/s, some 1 to 30; the unit's square, so it stays invertible."""
    time_S = sample_times(settings.duration_s, settings.running_rate_hz, start_s=0.007)
    speed_S = running_speed(trajectory.sample(time_S, wiring.index("running_speed")))
    return Series(time_S, add_noise(speed_S, settings.behaviour_noise, rng))


def running_speed(rate: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn the unit's rate into cm/s."""
    return 15.0 * rate**2


def watch_eye(
    trajectory: Trajectory, wiring: Wiring, settings: SimulateSettings, rng: np.random.Generator
) -> tuple[Series, Series]:
    """Return gaze (sample, 2) in degrees and pupil diameter in mm; NaN during blinks."""
    regular_S = sample_times(settings.duration_s, settings.eye_rate_hz, start_s=0.004)
    time_S = jitter_times(regular_S, 0.01 / settings.eye_rate_hz, rng)
    gaze_S2 = np.stack(
        [trajectory.sample(time_S, wiring.index(name)) for name in ("gaze/x", "gaze/y")], axis=1
    )
    gaze_S2 = add_noise(20.0 * (gaze_S2 - 0.9), settings.behaviour_noise, rng)
    pupil_S = 1.0 + 1.5 * trajectory.sample(time_S, wiring.index("pupil_diameter"))
    pupil_S = add_noise(pupil_S, settings.behaviour_noise, rng)
    closed_S = _draw_blinks(time_S, settings, rng)
    gaze_S2[closed_S] = np.nan
    pupil_S[closed_S] = np.nan
    return Series(time_S, gaze_S2), Series(time_S, pupil_S)


def move_body(
    trajectory: Trajectory, wiring: Wiring, settings: SimulateSettings, rng: np.random.Generator
) -> Body:
    """Walk through a round arena at the running speed, turning as the turning unit says.

    Beyond 60 % of the radius the animal also steers back to the centre, so that it never leaves.
    """
    regular_F = sample_times(settings.duration_s, settings.camera_rate_hz, start_s=0.02)
    time_F = jitter_times(regular_F, 0.01 / settings.camera_rate_hz, rng)
    speed_F = running_speed(trajectory.sample(time_F, wiring.index("running_speed")))
    turning_F = trajectory.sample(time_F, wiring.index(TURNING))
    turning_F = 4.0 * (turning_F - turning_F.mean())  # rad/s
    center_F2, heading_F = _walk(time_F, speed_F, turning_F, rng.uniform(0, 2 * np.pi))
    # A stride is some 6 cm long, so its frequency follows the speed.
    stride_F = 2 * np.pi * np.cumsum(speed_F * np.gradient(time_F)) / 6.0
    return Body(time_F, center_F2, heading_F, stride_F)


def track_pose(body: Body, settings: SimulateSettings, rng: np.random.Generator) -> Pose:
    """Return the keypoints as a tracker would give them: jitter, and rare losses it admits.

    About one point in 200 is lost: off by several pixels, with a confidence below 0.5.
    """
    forward_F2 = np.stack([np.cos(body.heading_F), np.sin(body.heading_F)], axis=1)
    left_F2 = np.stack([-forward_F2[:, 1], forward_F2[:, 0]], axis=1)
    sway_F = 0.8 * np.sin(body.stride_F)
    side_FK = np.broadcast_to(_OFFSETS_CM[:, 1], (len(sway_F), len(KEYPOINTS))).copy()
    side_FK[:, KEYPOINTS.index("tail_base")] += sway_F
    point_FK2 = (
        body.center_F2[:, None]
        + _OFFSETS_CM[None, :, :1] * forward_F2[:, None]
        + side_FK[:, :, None] * left_F2[:, None]
    )
    position_FK2 = to_pixels(point_FK2, settings) + rng.normal(0, 0.2, point_FK2.shape)
    confidence_FK = rng.beta(60, 2, point_FK2.shape[:2])
    lost_FK = rng.random(confidence_FK.shape) < 0.005
    position_FK2[lost_FK] += rng.normal(0, 8.0, (lost_FK.sum(), 2))
    confidence_FK[lost_FK] = rng.uniform(0.05, 0.5, lost_FK.sum())
    return Pose(body.time_F, position_FK2, confidence_FK)


def to_pixels(point_cm: NDArray[np.float64], settings: SimulateSettings) -> NDArray[np.float64]:
    """Turn (..., xy) in cm into (..., xy) in pixels, y pointing down as in images."""
    scale = settings.video_size / (2 * (ARENA_RADIUS_CM + 5.0))
    return np.asarray(settings.video_size / 2 + scale * point_cm * np.array([1.0, -1.0]))


def _walk(
    time_F: NDArray[np.float64],
    speed_F: NDArray[np.float64],
    turning_F: NDArray[np.float64],
    heading: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    center_F = np.zeros(len(time_F), np.complex128)
    heading_F = np.full(len(time_F), heading)
    for frame in range(1, len(time_F)):
        step_s = time_F[frame] - time_F[frame - 1]
        here, heading = center_F[frame - 1], heading_F[frame - 1]
        homeward = np.angle(-here * np.exp(-1j * heading)) if here else 0.0
        urgency = np.clip(abs(here) / ARENA_RADIUS_CM - 0.6, 0, None) * 20.0
        turn = turning_F[frame] + urgency * homeward
        heading_F[frame] = heading + step_s * turn
        center_F[frame] = here + step_s * speed_F[frame] * np.exp(1j * heading_F[frame])
    return np.stack([center_F.real, center_F.imag], axis=1), heading_F


def _draw_blinks(
    time_S: NDArray[np.float64], settings: SimulateSettings, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return which samples fall into a blink of 0.1 to 0.2 s."""
    blinks = rng.poisson(settings.blinks_per_min * settings.duration_s / 60)
    start_B = rng.uniform(0, settings.duration_s, blinks)
    stop_B = start_B + rng.uniform(0.1, 0.2, blinks)
    inside_SB = (time_S[:, None] >= start_B) & (time_S[:, None] < stop_B)
    return np.asarray(inside_SB.any(axis=1))
