"""Behaviour as NWB objects: running, eye, pose, camera, microphone, trials, sync pulses."""

import numpy as np
from ndx_pose import PoseEstimation, PoseEstimationSeries, Skeleton, Skeletons
from numpy.typing import NDArray
from pynwb import H5DataIO, NWBFile, ProcessingModule, TimeSeries
from pynwb.behavior import BehavioralTimeSeries, EyeTracking, PupilTracking, SpatialSeries
from pynwb.device import Device
from pynwb.event import EventsTable
from pynwb.image import ImageSeries

from tasks.simulate.animal import SimulatedAnimal
from tasks.simulate.behaviour import KEYPOINTS, SKELETON_EDGES
from tasks.simulate.events import AUDIO_CONVERSION, CUE_S


def add_running(behavior: ProcessingModule, animal: SimulatedAnimal) -> None:
    """Add `running_speed` in cm/s, stored as m/s with a conversion as the SI unit demands."""
    wheel = TimeSeries(
        name="running_speed",
        description="Speed of the running wheel.",
        data=H5DataIO(animal.running.value.astype(np.float32), compression="gzip"),
        unit="m/s",
        conversion=0.01,
        starting_time=float(animal.running.time_S[0]),
        rate=animal.settings.running_rate_hz,
    )
    behavior.add(BehavioralTimeSeries(name="wheel", time_series=wheel))


def add_eye(behavior: ProcessingModule, animal: SimulatedAnimal) -> None:
    """Add `gaze` (degrees) and `pupil_diameter` (mm) on the eye tracker's own clock."""
    gaze = SpatialSeries(
        name="gaze",
        description="Direction of gaze; NaN while the eye is closed.",
        data=H5DataIO(animal.gaze.value.astype(np.float32), compression="gzip"),
        reference_frame="(0, 0) is straight ahead; x to the right, y up.",
        unit="degrees",
        timestamps=H5DataIO(animal.gaze.time_S, compression="gzip"),
    )
    pupil = TimeSeries(
        name="pupil_diameter",
        description="Diameter of the pupil; NaN while the eye is closed.",
        data=H5DataIO(animal.pupil.value.astype(np.float32), compression="gzip"),
        unit="mm",
        timestamps=gaze,
    )
    behavior.add(EyeTracking(name="eye_tracking", spatial_series=gaze))
    behavior.add(PupilTracking(name="pupil_tracking", time_series=pupil))


def add_camera(file: NWBFile, animal: SimulatedAnimal, video_name: str) -> ImageSeries:
    """Add `camera`, an external video beside the file, with a time for every frame."""
    device = file.add_device(Device(name="overhead_camera", description="Simulated camera."))
    size = animal.settings.video_size
    time_F = animal.body.time_F
    camera = ImageSeries(
        name="camera",
        description="The arena from above.",
        comments=f"Lost frames are absent. {name_clock(animal)}",
        external_file=[video_name],
        starting_frame=[0],
        format="external",
        dimension=[size, size],
        unit="n.a.",
        timestamps=H5DataIO(
            animal.camera.show(time_F) if animal.camera else time_F, compression="gzip"
        ),
        device=device,
    )
    file.add_acquisition(camera)
    return camera


def add_pose(behavior: ProcessingModule, animal: SimulatedAnimal, camera: ImageSeries) -> None:
    """Add `body_pose`: the tracked keypoints of the camera's frames."""
    skeleton = Skeleton(
        name="mouse", nodes=list(KEYPOINTS), edges=np.array(SKELETON_EDGES, np.uint8)
    )
    series: list[PoseEstimationSeries] = []
    for index, keypoint in enumerate(KEYPOINTS):
        series.append(
            PoseEstimationSeries(
                name=keypoint,
                description=f"Tracked position of {keypoint}.",
                data=H5DataIO(
                    animal.pose.position_FK2[:, index].astype(np.float32), compression="gzip"
                ),
                confidence=H5DataIO(
                    animal.pose.confidence_FK[:, index].astype(np.float32), compression="gzip"
                ),
                confidence_definition="Probability that the point is where it is said to be.",
                reference_frame="(0, 0) is the top left corner of the video; y points down.",
                unit="pixels",
                timestamps=series[0] if series else camera,
            )
        )
    behavior.add(Skeletons(skeletons=[skeleton]))
    behavior.add(
        PoseEstimation(
            name="body_pose",
            description=f"Keypoints of the animal seen from above. {name_clock(animal)}",
            pose_estimation_series=series,
            device=camera.device,
            scorer="simulation",
            source_software="tectum",
            skeleton=skeleton,
            source_video=camera,
        )
    )


def add_audio(file: NWBFile, animal: SimulatedAnimal) -> None:
    """Add `audio`: the microphone's 16-bit counts with their conversion to volts."""
    file.add_acquisition(
        TimeSeries(
            name="audio",
            description="Microphone: footfalls, tone cues, and noise.",
            data=H5DataIO(animal.audio.count_S, compression="gzip", compression_opts=1),
            unit="volts",
            conversion=AUDIO_CONVERSION,
            starting_time=0.0,
            rate=animal.audio.rate_hz,
        )
    )


def add_trials(file: NWBFile, animal: SimulatedAnimal) -> None:
    """Add the trials, one tone each."""
    file.add_trial_column("pitch_hz", "Pitch of the tone in Hz.")
    for start, pitch in zip(animal.cues.start_R, animal.cues.pitch_R, strict=True):
        file.add_trial(
            start_time=float(start), stop_time=float(start + CUE_S), pitch_hz=float(pitch)
        )


def add_sync(file: NWBFile, animal: SimulatedAnimal) -> None:
    """Add `sync_pulses`, and `camera_sync_pulses` if the camera has a clock of its own.

    The marks in brackets are how a file tells Tectum which clock a stream is on and which pulses
    are of one line.
    """
    _add_pulses(
        file,
        "sync_pulses",
        "Rising edges of the shared sync signal, unevenly spaced. [line: sync]",
        animal.sync_P,
    )
    if animal.camera is not None:
        _add_pulses(
            file,
            "camera_sync_pulses",
            f"The same edges as the camera saw them. [line: sync] {name_clock(animal)}",
            animal.camera.pulse_P,
        )


def name_clock(animal: SimulatedAnimal) -> str:
    """Return what a stream of the camera says of its clock."""
    return "[clock: camera]" if animal.camera is not None else "[clock: session]"


def _add_pulses(file: NWBFile, name: str, description: str, time_P: NDArray[np.float64]) -> None:
    pulses = EventsTable(
        name=name, description=description, source_description="Simulated sync generator"
    )
    for time in time_P:
        pulses.add_event(timestamp=float(time))
    file.add_events_table(pulses)
