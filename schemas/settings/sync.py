"""Settings of clock synchronisation: which pulses belong together, and how they are matched."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.settings.base import StageSettings


class BarcodeSettings(BaseModel):
    """How a line carries numbers: a word of bits of equal length, low bit first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bits: int = Field(default=32, ge=4, le=48, description="Bits of a word.")
    bit_s: float = Field(default=0.03, gt=0, description="Length of a bit in seconds.")
    start_s: float = Field(
        default=0.03,
        ge=0,
        description="From a word's first rising edge to the start of its first bit, in seconds.",
    )


class PulsePair(BaseModel):
    """One line that the reference and a device both recorded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: str = Field(
        description="Stream of pulses (events or intervals) on the session's clock."
    )
    device: str = Field(description="Stream of the same pulses on the device's clock.")
    streams: tuple[str, ...] = Field(
        default=(), description="Streams whose times are on the device's clock."
    )
    offset_s: float | None = Field(
        default=None,
        description="What is known beforehand: session time minus device time, in seconds.",
    )
    offset_within_s: float = Field(
        default=0.1, gt=0, description="How far `offset_s` may be from the truth, in seconds."
    )
    starts_together: bool = Field(
        default=False,
        description="The first pulse of both streams is the same one: the device was armed when "
        "the reference began. Needed where pulses come at an exactly even rate.",
    )
    barcode: BarcodeSettings | None = Field(
        default=None, description="Set where the line carries numbers."
    )

    @model_validator(mode="after")
    def _knows_one_start(self) -> Self:
        if self.starts_together and self.offset_s is not None:
            raise ValueError("give `offset_s` or `starts_together`, not both")
        return self


class SyncSettings(StageSettings):
    """How clocks are synchronised by shared pulses."""

    automatic: bool = Field(
        default=True,
        description="Use what the file says: streams whose comments or description contain "
        "'clock: NAME' are on that clock, and events among them are matched with the session's "
        "own events of the same line ('line: NAME').",
    )
    pairs: tuple[PulsePair, ...] = Field(
        default=(), description="Lines to synchronise by, besides those that the file names."
    )
    max_drift_ppm: float = Field(
        default=300.0,
        gt=0,
        le=5000,
        description="Largest difference in rate between two clocks, in parts per million.",
    )
    tolerance_s: float = Field(
        default=0.002,
        gt=0,
        description="Largest difference between a pulse and where the clocks say it should be. "
        "It narrows to what the pulses themselves show.",
    )
    min_pulses: int = Field(
        default=8, ge=5, description="Least number of matched pulses that is believed."
    )
    max_gap_s: float = Field(
        default=120.0,
        gt=0,
        description="Times that lie between two matched pulses further apart are refused.",
    )
    extrapolate_s: float = Field(
        default=0.0,
        ge=0,
        description="How far times before the first and after the last matched pulse are "
        "extrapolated, in seconds; 0 refuses them.",
    )
