"""Settings of the simulate stage: the animal, what is recorded of it, and how well."""

from typing import Self

from pydantic import Field, model_validator

from schemas.settings.base import StageSettings


class SimulateSettings(StageSettings):
    """A simulated animal with a known causal graph.

    The defaults describe a system that cross mapping can recover in theory and does in practice:
    low-dimensional chaotic units, coupled too weakly to synchronise, seen for some 200 cycles.
    """

    seed: int = Field(
        default=7, ge=0, description="Seed of every random draw; also names the animal."
    )
    duration_s: float = Field(
        default=360.0, ge=4.0, le=7200.0, description="Length of the recording in seconds."
    )

    calcium_units: int = Field(
        default=56, ge=1, le=5000, description="Neurons imaged by a calcium indicator."
    )
    spike_units: int = Field(default=16, ge=1, le=5000, description="Neurons recorded as spikes.")
    independent_units: int = Field(
        default=10, ge=0, description="How many of the neurons have no connection at all."
    )
    feedback_units: int = Field(
        default=8,
        ge=0,
        description="How many of the neurons are driven by one behaviour each "
        "(efference copy, sensory feedback) and drive nothing.",
    )
    hidden_drivers: int = Field(
        default=2,
        ge=0,
        description="Unrecorded units that each drive two neurons: a correlation without an edge.",
    )
    source_fraction: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="Fraction of the other neurons that only drive and receive nothing.",
    )
    second_input: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="Probability that a driven neuron has two causes in place of one.",
    )
    behaviour_drivers: int = Field(
        default=3, ge=1, le=6, description="Neurons that drive each behaviour."
    )
    coupling: float = Field(
        default=0.13,
        gt=0,
        le=0.3,
        description="Mean weight of an edge: the fraction of a unit's delayed input that comes "
        "from that cause. Above some 0.2 units begin to synchronise with their causes and the "
        "direction of an edge can no longer be told.",
    )

    time_constant_s: float = Field(
        default=0.2,
        gt=0,
        description="Mean time constant of a unit's rate in seconds; a cycle takes some eight.",
    )
    spread: float = Field(
        default=0.25,
        ge=0,
        lt=0.6,
        description="Relative spread of the time constants between units, half the range; "
        "keeps units from synchronising.",
    )
    synapse_delay_s: float = Field(
        default=0.03, ge=0, description="Delay from a cause to its effect in seconds."
    )
    step_s: float = Field(
        default=0.005, gt=0, le=0.02, description="Step of the integration in seconds."
    )

    calcium_rate_hz: float = Field(
        default=10.0, ge=1, le=100, description="Imaging rate in frames per second."
    )
    calcium_rise_s: float = Field(
        default=0.05, gt=0, description="Rise time constant of the indicator in seconds."
    )
    calcium_decay_s: float = Field(
        default=0.4,
        gt=0,
        description="Decay time constant of the indicator in seconds; 0.4 is a fast GCaMP6.",
    )
    calcium_noise: float = Field(
        default=0.1,
        ge=0,
        description="Standard deviation of the imaging noise relative to the signal's.",
    )
    spike_rate_hz: float = Field(
        default=40.0, ge=2, le=200, description="Mean firing rate of a neuron in spikes per second."
    )
    behaviour_noise: float = Field(
        default=0.02,
        ge=0,
        description="Measurement noise of running, gaze and pupil relative to their signals.",
    )
    running_rate_hz: float = Field(
        default=50.0, ge=5, le=1000, description="Samples of the running wheel per second."
    )
    eye_rate_hz: float = Field(
        default=60.0, ge=5, le=1000, description="Samples of the eye tracker per second."
    )
    blinks_per_min: float = Field(
        default=2.0, ge=0, le=30, description="Blinks a minute, during which the eye is lost (NaN)."
    )
    camera_rate_hz: float = Field(
        default=15.0, ge=5, le=120, description="Video frames, and so poses, per second."
    )
    camera_clock: bool = Field(
        default=True,
        description="Whether the camera has a clock of its own, to be synchronised by the sync "
        "pulses that it records too. Sessions below 30 s have one clock: too few pulses.",
    )
    camera_offset_s: float = Field(
        default=-3.7, ge=-1e6, le=1e6, description="Session time minus the camera's at the start."
    )
    camera_drift_ppm: float = Field(
        default=32.0,
        ge=-200,
        le=200,
        description="How much faster the session's clock runs than the camera's, in parts per "
        "million; it strays from that by a quarter as the camera warms up.",
    )
    dropped_frames: float = Field(
        default=0.002, ge=0, le=0.2, description="Fraction of frames that the camera loses."
    )
    lost_pulses: float = Field(
        default=0.03, ge=0, le=0.3, description="Fraction of sync pulses that the camera misses."
    )
    video_size: int = Field(
        default=96,
        ge=32,
        le=1024,
        multiple_of=16,
        description="Width and height of the video in pixels.",
    )
    audio_rate_hz: float = Field(
        default=8000.0, ge=2000, le=96000, description="Samples of the microphone per second."
    )
    trial_every_s: float = Field(
        default=12.0,
        ge=2.0,
        description="Mean time between two tone cues. The animal ignores them: whatever "
        "responds to a cue is a false positive.",
    )

    @model_validator(mode="after")
    def _leaves_neurons_to_wire(self) -> Self:
        wired = self.calcium_units + self.spike_units - self.independent_units - self.feedback_units
        needed = max(4, self.behaviour_drivers, 2 * self.hidden_drivers)
        most_causes = max(self.behaviour_drivers, 3)
        if self.coupling * most_causes * 1.2 > 0.9:
            raise ValueError(
                f"coupling {self.coupling:g} with {most_causes} causes leaves a unit less than a "
                "tenth of its own feedback"
            )
        if wired < needed:
            raise ValueError(
                f"independent_units and feedback_units leave {wired} neurons; {needed} are needed "
                "to drive behaviour and to share hidden drivers"
            )
        return self
