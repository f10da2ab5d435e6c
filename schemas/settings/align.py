"""Settings of the align stage: which time axis, and how streams come onto it."""

from typing import Literal, Self

from pydantic import Field, model_validator

from schemas.settings.base import StageSettings


class AlignSettings(StageSettings):
    """One time axis for all streams of a session."""

    time_axis: Literal["auto", "stream", "rate"] = Field(
        default="auto",
        description="'stream': the sample times of `reference`. 'rate': bins of 1 / `rate_hz`. "
        "'auto': the calcium stream's own clock if there is one; else bins at `rate_hz` if there "
        "are spikes or field potentials; else the fastest behaviour's rate, at most "
        "`max_behaviour_rate_hz`.",
    )
    reference: str = Field(
        default="", description="Name of the stream whose clock is the axis, for 'stream'."
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
    faster: Literal["mean", "nearest", "previous"] = Field(
        default="mean",
        description="How streams faster than the axis are sampled: 'mean' is the integral over "
        "the bin of the straight lines between samples, which is also the anti-aliasing.",
    )
    slower: Literal["linear", "nearest", "previous"] = Field(
        default="linear", description="How streams slower than the axis are sampled."
    )
    min_coverage: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Least part of a bin that real samples must span for its mean to be valid.",
    )

    @model_validator(mode="after")
    def _names_the_reference(self) -> Self:
        if self.time_axis == "stream" and not self.reference:
            raise ValueError("time_axis 'stream' needs `reference`, the name of a stream")
        return self
