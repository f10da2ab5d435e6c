"""Settings of the preprocess stage: a small model a kind of stream, each default sourced."""

from pydantic import BaseModel, ConfigDict, Field

from schemas.settings.base import StageSettings


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class SpikeCleaning(_Part):
    """Which sorted units are good enough to use; the others stay, with `keep` false."""

    refractory_s: float = Field(
        default=0.0015,
        gt=0,
        description="Intervals between spikes shorter than this violate the refractory period "
        "(1.5 ms, the default of ecephys_spike_sorting and IBL's brainbox).",
    )
    max_isi_violations: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="A unit with a larger fraction of violations is several neurons, set aside.",
    )
    min_spikes: int = Field(
        default=20, ge=0, description="A unit with fewer spikes carries no usable history."
    )
    presence_bins: int = Field(
        default=100,
        ge=1,
        description="Parts of the session for the presence ratio (100, ecephys_spike_sorting).",
    )
    min_presence: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Smallest fraction of parts with a spike. 0 keeps place cells, which are "
        "silent most of the time; Allen's published filter is 0.95.",
    )


class CalciumCleaning(_Part):
    """Fluorescence to dF/F; values that are dF/F already stay as they are."""

    baseline_percentile: float = Field(
        default=8.0,
        ge=0,
        le=50,
        description="Running percentile taken as baseline F0 (8, suite2p and Dombeck et al. 2007).",
    )
    baseline_window_s: float = Field(
        default=60.0, gt=0, description="Length of the running baseline window (60 s, suite2p)."
    )
    min_valid: float = Field(
        default=0.5, ge=0, le=1, description="A unit with fewer finite samples is set aside."
    )


class LfpCleaning(_Part):
    """Bad channels, common reference, anti-aliased decimation."""

    target_rate_hz: float = Field(
        default=500.0,
        gt=0,
        description="Decimate by the largest whole factor that keeps at least this rate.",
    )
    bad_channel_ratio: float = Field(
        default=5.0,
        gt=1,
        description="A channel is bad if its robust amplitude is this many times the median "
        "channel's (5, after SpikeInterface's detect_bad_channels), or does not vary at all.",
    )
    reference: bool = Field(
        default=True,
        description="Subtract the median of all good channels from each sample "
        "(common median reference).",
    )
    min_reference_channels: int = Field(
        default=8,
        ge=2,
        description="Fewer good channels are not re-referenced: their median is mostly signal.",
    )


class EyeCleaning(_Part):
    """Blinks and outliers masked, short ones filled and flagged."""

    outlier_z: float = Field(
        default=3.0,
        gt=0,
        description="A pupil or eye size further than this from its mean, in standard deviations, "
        "is an outlier (AllenSDK eye_tracking_processing).",
    )
    dilate_frames: int = Field(
        default=2, ge=0, description="Frames masked on each side of a blink (2, AllenSDK)."
    )
    fill_s: float = Field(
        default=0.15,
        ge=0,
        description="Masked stretches up to this long are filled linearly and flagged; a blink "
        "lasts 0.1 to 0.3 s.",
    )


class PoseCleaning(_Part):
    """Unsure points masked, short gaps filled, tracks smoothed, speed and heading added."""

    min_confidence: float = Field(
        default=0.6,
        ge=0,
        le=1,
        description="Points tracked with less confidence are masked (0.6, DeepLabCut's pcutoff).",
    )
    stuck_s: float = Field(
        default=60.0,
        ge=0,
        description="A point that does not move by the smallest step for longer than this is lost: "
        "no tracker is as still as that. 0 keeps such points.",
    )
    fill_s: float = Field(
        default=0.2, ge=0, description="Masked stretches up to this long are filled linearly."
    )
    smooth_s: float = Field(
        default=0.2,
        ge=0,
        description="Length of the Savitzky-Golay window, second order; 0 does not smooth.",
    )
    front: str = Field(default="", description="Keypoint at the front; empty means guess by name.")
    back: str = Field(default="", description="Keypoint at the back; empty means guess by name.")


class MotionCleaning(_Part):
    """Outliers masked, low-pass filtered within gapless stretches."""

    outlier_z: float = Field(
        default=10.0,
        gt=0,
        description="Values further than this from the mean, in standard deviations, are masked "
        "(10, AllenSDK running processing). Not the median and MAD: an animal that mostly "
        "rests has a MAD so small that every run would be an outlier.",
    )
    cutoff_hz: float = Field(
        default=4.0,
        ge=0,
        description="Butterworth low-pass, forwards and backwards (4 Hz, what AllenSDK's code "
        "does at 60 Hz, although its text says 10). 0 does not filter.",
    )
    order: int = Field(default=3, ge=1, le=8, description="Order of that filter (3, AllenSDK).")


class VideoFeatures(_Part):
    """What is measured on each frame."""

    width: int = Field(
        default=160, ge=8, description="Frames are scaled down to this width in pixels first."
    )


class AudioFeatures(_Part):
    """What is measured on sound."""

    rate_hz: float = Field(default=100.0, gt=0, description="Feature frames a second.")
    window_s: float = Field(
        default=0.025, gt=0, description="Length of a feature frame (25 ms, usual in speech)."
    )
    mel_bands: int = Field(default=8, ge=1, description="Number of log-mel bands.")


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
