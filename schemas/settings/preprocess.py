"""Settings of the preprocess stage: a small model a kind of stream, each default sourced."""

from typing import Literal

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
    max_contamination: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Largest fraction of a unit's spikes that may be of other neurons, as its "
        "refractory violations tell (Llobet et al. 2022, doi:10.1101/2022.02.08.479192). 1 keeps "
        "all: in a short recording a handful of violations decides.",
    )
    max_amplitude_cutoff: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Largest fraction of spikes that were too small to be found, measured where "
        "the recording has amplitudes (Hill et al. 2011; Allen's published filter is 0.1). 0.5 "
        "is the most that can be measured, so it keeps all.",
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
    neuropil_coefficient: float = Field(
        default=0.7,
        ge=0,
        le=1,
        description="So much of the neuropil around a cell is subtracted from its fluorescence, "
        "where the recording has both (0.7, suite2p; Chen et al. 2013, doi:10.1038/nature12354). "
        "0 subtracts nothing.",
    )
    detrend: bool = Field(
        default=False,
        description="Also subtract the running percentile from values that are dF/F already, "
        "where the indicator bleached or somebody's baseline was fixed.",
    )
    deconvolve: bool = Field(
        default=False,
        description="Add `deconvolved`, spikes inferred from dF/F (OASIS, Friedrich et al. 2017, "
        "doi:10.1371/journal.pcbi.1005423, as suite2p has it: decay given, no sparsity penalty). "
        "Beside the activity, not in its place.",
    )
    decay_s: float = Field(
        default=1.0,
        gt=0,
        description="Decay time of the indicator for that (1.0, suite2p; GCaMP6f 0.7, 6s 1.5).",
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
    notch: Literal["auto", "50", "60", "off"] = Field(
        default="auto",
        description="Frequency of the mains in Hz, taken out with its harmonics (notches of 2 Hz, "
        "forwards and backwards). 'auto' looks for 50 and 60 Hz and takes out what it finds.",
    )
    notch_ratio: float = Field(
        default=10.0,
        gt=1,
        description="'auto' finds hum where the median channel's power there is this many times "
        "that of 3 to 8 Hz beside it (10 dB).",
    )
    bands: dict[str, tuple[float, float]] = Field(
        default={
            "delta": (1.0, 4.0),
            "theta": (4.0, 10.0),
            "beta": (12.0, 30.0),
            "low_gamma": (30.0, 80.0),
            "high_gamma": (80.0, 150.0),
        },
        description="Bands in Hz whose power is measured (rodent bands, after Buzsaki and Draguhn "
        "2004, doi:10.1126/science.1099745). Those that the rate does not allow are left out.",
    )
    band_window_s: float = Field(
        default=1.0, gt=0, description="Length of the window that power is measured in."
    )
    band_rate_hz: float = Field(
        default=4.0, ge=0, description="Values of band power a second; 0 measures none."
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
    gaze_distance: float = Field(
        default=0.0,
        ge=0,
        description="Distance from the eye to the plane that gaze lies in (a screen, say), to "
        "turn gaze into degrees. 0: unknown; gaze in degrees or radians needs none.",
    )
    gaze_unit: float = Field(
        default=1.0,
        gt=0,
        description="Size of one unit of gaze (a pixel, say) in the unit of `gaze_distance`.",
    )
    gaze_centre: tuple[float, float] = Field(
        default=(0.0, 0.0), description="Gaze straight ahead, in the recording's unit: 0 degrees."
    )
    saccade_lambda: float = Field(
        default=6.0,
        gt=0,
        description="A saccade is faster than this many median spreads of the velocity (6, "
        "Engbert and Kliegl 2003, doi:10.1016/S0042-6989(03)00084-1).",
    )
    saccade_s: float = Field(
        default=0.012, ge=0, description="Shorter ones are noise (12 ms, Engbert and Kliegl)."
    )
    saccade_rate_hz: float = Field(
        default=100.0,
        ge=0,
        description="Slower eye trackers see a saccade in one or two samples: none is looked for.",
    )
    fixation_s: float = Field(
        default=0.1, ge=0, description="The eye rests if it makes no saccade for so long."
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
    egocentric: bool = Field(
        default=True,
        description="Add `egocentric`, the points as the animal sees them: its back keypoint at "
        "0, its front keypoint straight ahead. Beside the positions, not in their place.",
    )


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
    wheel_radius_cm: float = Field(
        default=0.0,
        ge=0,
        description="Distance of the animal's feet from the axle of its wheel: turns a wheel's "
        "angle into cm/s (Allen's wheel: 5.5, two thirds of the radius of 6.5 inches across). "
        "0: unknown, and the angle stays an angle.",
    )
    gravity_hz: float = Field(
        default=0.3,
        ge=0,
        description="Slower changes of an accelerometer are gravity and posture; `movement` is "
        "the length of the rest. 0 measures none.",
    )


class VideoFeatures(_Part):
    """What is measured on each frame."""

    width: int = Field(
        default=160, ge=8, description="Frames are scaled down to this width in pixels first."
    )
    components: int = Field(
        default=3,
        ge=0,
        le=500,
        description="Channels `motion_0`, ...: scores of the strongest spatial components of "
        "motion energy (Facemap keeps 500, Syeda et al. 2024, doi:10.1038/s41593-023-01490-6; "
        "each of them is one more behaviour for the stages that follow). 0 measures none.",
    )
    component_width: int = Field(
        default=64, ge=4, description="Width in pixels that components are found at."
    )


class AudioFeatures(_Part):
    """What is measured on sound."""

    rate_hz: float = Field(default=100.0, gt=0, description="Feature frames a second.")
    window_s: float = Field(
        default=0.025, gt=0, description="Length of a feature frame (25 ms, usual in speech)."
    )
    mel_bands: int = Field(default=8, ge=1, description="Number of log-mel bands.")
    ultrasound_hz: float = Field(
        default=20_000.0,
        ge=0,
        description="Calls are looked for above this frequency, if the sound's rate is at least "
        "2.5 times as high (rats and mice call at 20 to 110 kHz). 0 looks for none.",
    )
    call_db: float = Field(
        default=10.0,
        gt=0,
        description="A call is ultrasound so many dB above the median of the session.",
    )
    call_s: float = Field(
        default=0.01,
        ge=0,
        description="Shorter bursts are clicks (3 ms in USVSEG; one frame here).",
    )
    call_pause_s: float = Field(
        default=0.03, ge=0, description="A shorter pause does not end a call (30 ms, USVSEG)."
    )


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
