"""How a session is divided in time for fitting, choosing and judging."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class SplitSettings(BaseModel):
    """Train, validation and test parts by time, in this order, never by shuffled samples.

    Once over the whole session, or in each of some blocks of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    validation: float = Field(
        default=0.15, ge=0, lt=1, description="Fraction of the time used to choose settings."
    )
    test: float = Field(
        default=0.2,
        gt=0,
        lt=1,
        description="Fraction of the time, at the end of each block, that nothing is fitted or "
        "chosen on.",
    )
    guard_s: float = Field(
        default=2.0,
        ge=0,
        description="Seconds left unused between two parts, so that no filter or window "
        "reaches from one into the next.",
    )

    blocks: int = Field(
        default=1,
        ge=1,
        description="Stretches of as many samples each that the session is cut into; each is "
        "divided into train, validation and test, with the guard before and behind every part. "
        "One asks what is known of time to come, several of times in between. The twin takes one.",
    )

    @model_validator(mode="after")
    def _leaves_training_data(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError("validation + test must leave a part for training")
        return self
