"""Settings of how behaviour, video and sound are cleaned, each default sourced."""

from pydantic import Field

from schemas.settings.clean_neural import Cleaning


class EyeCleaning(Cleaning):
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


class PoseCleaning(Cleaning):
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


class MotionCleaning(Cleaning):
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


class VideoFeatures(Cleaning):
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
    embedding_weights: str = Field(
        default="",
        description="A safetensors file with the weights of a ResNet of 18 to 152 layers, as "
        "torchvision and timm name them (He et al. 2016, doi:10.1109/CVPR.2016.90): adds the "
        "channels `embedding_0`, ... Give changed weights another name, or what was made with the "
        "old ones is taken for theirs. Empty: none.",
    )
    embedding_components: int = Field(
        default=8, ge=1, le=500, description="Strongest components of that network's features."
    )


class AudioFeatures(Cleaning):
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
