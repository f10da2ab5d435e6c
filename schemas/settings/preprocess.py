"""Settings of the preprocess stage: a small model a kind of stream."""

from pydantic import Field

from schemas.settings.base import StageSettings
from schemas.settings.clean_behaviour import (
    AudioFeatures,
    EyeCleaning,
    MotionCleaning,
    PoseCleaning,
    VideoFeatures,
)
from schemas.settings.clean_neural import CalciumCleaning, LfpCleaning, SpikeCleaning


class PreprocessSettings(StageSettings):
    """How each kind of stream is cleaned; events, intervals and signals pass unchanged."""

    max_gap_periods: float = Field(
        default=2.5,
        gt=1,
        description="A step of time longer than this many sample periods is a gap: nothing is "
        "filtered or filled across it.",
    )
    spikes: SpikeCleaning = Field(default=SpikeCleaning(), description="Sorted units.")
    calcium: CalciumCleaning = Field(default=CalciumCleaning(), description="Fluorescence.")
    lfp: LfpCleaning = Field(default=LfpCleaning(), description="Field potentials.")
    eye: EyeCleaning = Field(default=EyeCleaning(), description="Pupil and gaze.")
    pose: PoseCleaning = Field(default=PoseCleaning(), description="Tracked points.")
    motion: MotionCleaning = Field(default=MotionCleaning(), description="Running, ball, IMU.")
    video: VideoFeatures = Field(default=VideoFeatures(), description="Video features.")
    audio: AudioFeatures = Field(default=AudioFeatures(), description="Sound features.")
