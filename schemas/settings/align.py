"""Settings of the align stage: which time axis, and how streams come onto it."""

from typing import Literal, Self

from pydantic import Field, model_validator

from schemas.entities import StreamKind
from schemas.settings.base import StageSettings
from schemas.settings.sync import SyncSettings

Resampling = Literal["mean", "band_limited", "linear", "nearest", "previous"]
"""How samples come onto the axis.

mean : integral over the bin of the straight lines between samples; robust where samples are missing
band_limited : windowed sinc below the Nyquist frequency of the slower of stream and axis, 60 dB
linear : straight lines between neighbouring samples
nearest, previous : a sample as it is
"""


class AlignSettings(StageSettings):
    """One time axis for all streams of a session."""

    time_axis: Literal["auto", "stream", "rate", "events"] = Field(
        default="auto",
        description="'stream': the sample times of `reference`. 'rate': bins of 1 / `rate_hz`. "
        "'events': one sample at each event of the table `reference`. "
        "'auto': the calcium stream's own clock if there is one; else bins at `rate_hz` if there "
        "are spikes or field potentials; else the fastest behaviour's rate, at most "
        "`max_behaviour_rate_hz`.",
    )
    reference: str = Field(
        default="",
        description="Name of the stream or table whose times are the axis, for 'stream' and "
        "'events'; of intervals their starts.",
    )
    event_window_s: float = Field(
        default=0.1,
        gt=0,
        description="Length in seconds of the bin around each event, for 'events'; cut halfway "
        "to a neighbour that is nearer.",
    )
    rate_hz: float = Field(
        default=10.0, gt=0, description="Rate of the axis for 'rate', and for 'auto' with spikes."
    )
    max_behaviour_rate_hz: float = Field(
        default=30.0, gt=0, description="Fastest axis that 'auto' makes for behaviour alone."
    )
    max_gap_periods: float = Field(
        default=2.5,
        gt=1,
        description="Two neighbouring samples further apart than this many periods of their "
        "stream have a gap between them: nothing is interpolated or averaged across it.",
    )
    faster: Resampling = Field(
        default="mean",
        description="How streams faster than the axis are sampled: 'mean' is the integral over "
        "the bin of the straight lines between samples; 'band_limited' a sharp anti-aliasing "
        "filter; 'linear', 'nearest' and 'previous' alias.",
    )
    slower: Resampling = Field(
        default="linear", description="How streams slower than the axis are sampled."
    )
    by_kind: dict[StreamKind, Resampling] = Field(
        default={"lfp": "band_limited"},
        description="How streams of a kind are sampled, whatever their rate. Spikes are always "
        "counted, angles always treated on the circle, yes-or-no signals take the previous value.",
    )
    by_stream: dict[str, Resampling] = Field(
        default={}, description="How single streams are sampled, by name; comes before all else."
    )
    native: tuple[str, ...] = Field(
        default=(),
        description="Streams of behaviour, or kinds of them (eye, pose, video, audio, motion, "
        "signal), of which every sample is kept beside what is resampled, as (time, slot, channel) "
        "with the time of each: the neural model reads these at their own rate.",
    )
    min_coverage: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Least part of a bin that real samples must span for its mean to be valid.",
    )

    sync: SyncSettings = Field(
        default_factory=SyncSettings,
        title="Clocks",
        description="Synchronising the clocks of devices by pulses that both sides recorded.",
    )

    @model_validator(mode="after")
    def _names_the_reference(self) -> Self:
        if self.time_axis in ("stream", "events") and not self.reference:
            raise ValueError(f"time_axis '{self.time_axis}' needs `reference`, a name")
        return self
