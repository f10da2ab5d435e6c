"""The camera's own clock: what it shows, which pulses it saw, which frames it lost."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from schemas.settings.simulate import SimulateSettings
from tasks.simulate.behaviour import Body, Pose
from tasks.simulate.rig import DeviceClock, drop_frames

SHORTEST_S = 30.0
JITTER_S = 5e-5


@dataclass(frozen=True)
class CameraClock:
    """The clock and the sync pulses of the camera.

    Attributes
    ----------
    clock : what the camera shows at any session time
    pulse_P : sync pulses that it recorded, in its own time
    """

    clock: DeviceClock
    pulse_P: NDArray[np.float64]

    def show(self, session_F: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the camera's time of each frame, to the microsecond as it logs them."""
        return np.round(self.clock.show(session_F), 6)


def start_camera(
    sync_P: NDArray[np.float64], settings: SimulateSettings, rng: np.random.Generator
) -> CameraClock | None:
    """Return the camera's clock with the pulses it saw; None where there is but one clock."""
    if not settings.camera_clock or settings.duration_s < SHORTEST_S:
        return None
    clock = DeviceClock(
        np.zeros(1),
        np.array([-settings.camera_offset_s]),
        settings.camera_drift_ppm,
        settings.camera_drift_ppm / 4,
        settings.duration_s,
        float(rng.uniform(0, 2 * np.pi)),
    )
    seen_P = sync_P[rng.random(len(sync_P)) >= settings.lost_pulses]
    late_P = rng.normal(0, JITTER_S, len(seen_P))
    return CameraClock(clock, np.round(clock.show(seen_P) + late_P, 6))


def lose_frames(
    body: Body, pose: Pose, settings: SimulateSettings, rng: np.random.Generator
) -> tuple[Body, Pose]:
    """Return what the camera stored; a lost frame leaves a gap, the others keep their times."""
    kept_F = drop_frames(len(body.time_F), settings.dropped_frames, rng)
    return (
        replace(
            body,
            time_F=body.time_F[kept_F],
            center_F2=body.center_F2[kept_F],
            heading_F=body.heading_F[kept_F],
            stride_F=body.stride_F[kept_F],
        ),
        Pose(pose.time_F[kept_F], pose.position_FK2[kept_F], pose.confidence_FK[kept_F]),
    )
