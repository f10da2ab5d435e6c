"""A simulated animal: its brain, what its body does, and what was recorded of both."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from schemas.entities import Session, Subject
from schemas.settings.simulate import SimulateSettings
from tasks.common.progress import report_progress
from tasks.simulate.behaviour import Body, Pose, Series, move_body, run_wheel, track_pose, watch_eye
from tasks.simulate.camera_clock import CameraClock, lose_frames, start_camera
from tasks.simulate.dynamics import Trajectory, integrate_network
from tasks.simulate.events import Audio, Cues, pulse_sync, record_audio, schedule_cues
from tasks.simulate.neurons import emit_spikes, image_calcium
from tasks.simulate.wiring import Wiring, draw_wiring

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
"""Every simulated session starts then: the same settings must give the same session."""


@dataclass(frozen=True)
class SimulatedAnimal:
    """Everything about one simulated session; the truth is in `wiring` and `trajectory`.

    All times are the session's; what the file says of the camera is on its own clock, `camera`.
    """

    settings: SimulateSettings
    session: Session
    wiring: Wiring
    trajectory: Trajectory
    frame_time_F: NDArray[np.float64]
    calcium_FU: NDArray[np.float32]
    spikes: list[NDArray[np.float64]]
    running: Series
    gaze: Series
    pupil: Series
    body: Body
    pose: Pose
    cues: Cues
    sync_P: NDArray[np.float64]
    camera: CameraClock | None
    audio: Audio
    floor_seed: int

    def unit_names(self, stream: str) -> list[str]:
        """Return the names of a stream's neurons, in order, without the stream's own name."""
        nodes = self.wiring.nodes[: self.wiring.neurons]
        return [name for node in nodes for head, name in [node.split("/")] if head == stream]


def simulate_animal(settings: SimulateSettings, rng: np.random.Generator) -> SimulatedAnimal:
    """Draw a causal graph, let it run, and record it; the same seed gives the same animal.

    Parameters
    ----------
    settings : sizes, timescales and noise
    rng : the only source of randomness
    """
    wiring = draw_wiring(settings, rng)
    report_progress("simulate", 0, 3, f"{len(wiring.nodes)} coupled units")
    trajectory = integrate_network(wiring, settings, rng)
    report_progress("simulate", 1, 3, "recording")
    frame_time_F, calcium_FU = image_calcium(trajectory, settings, rng)
    running = run_wheel(trajectory, wiring, settings, rng)
    gaze, pupil = watch_eye(trajectory, wiring, settings, rng)
    body = move_body(trajectory, wiring, settings, rng)
    cues = schedule_cues(settings, rng)
    spikes = emit_spikes(trajectory, settings, rng)
    pose = track_pose(body, settings, rng)
    sync_P = pulse_sync(settings, rng)
    # Of its own: the camera's faults must not change what the animal does.
    faults = np.random.default_rng([settings.seed, 1])
    camera = start_camera(sync_P, settings, faults)
    body, pose = lose_frames(body, pose, settings, faults)
    return SimulatedAnimal(
        settings=settings,
        session=identify_session(settings),
        wiring=wiring,
        trajectory=trajectory,
        frame_time_F=frame_time_F,
        calcium_FU=calcium_FU,
        spikes=spikes,
        running=running,
        gaze=gaze,
        pupil=pupil,
        body=body,
        pose=pose,
        cues=cues,
        sync_P=sync_P,
        camera=camera,
        audio=record_audio(running, cues, settings, rng),
        floor_seed=int(rng.integers(2**31)),
    )


def identify_session(settings: SimulateSettings) -> Session:
    """Name the animal after its seed and the session after its settings."""
    subject = Subject(
        subject_id=f"sim{settings.seed}",
        species="Mus musculus",
        sex="U",
        age="P90D",
        description="Simulated: a network of coupled Mackey-Glass units with a known graph.",
    )
    return Session(
        subject=subject,
        session_id=settings.param_set("simulate").hash[:8],
        start_time=START,
        description="A simulated session whose causal graph is known.",
    )
