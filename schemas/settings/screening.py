"""Settings of screening: how whole brains are searched before survivors are looked at."""

from pydantic import BaseModel, ConfigDict, Field


class ScreeningSettings(BaseModel):
    """All pairs at a fraction of the cost, then everything for the pairs that survive."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    above: int = Field(
        default=3000,
        ge=0,
        description="Sessions of more nodes than this are screened. At 3,000 the dense results of "
        "all pairs take 0.4 GiB; they grow with the square: 41 GiB at 30,000.",
    )
    stride: int = Field(
        default=2,
        ge=1,
        description="All pairs are predicted at every so many samples; the cost falls as much.",
    )
    samples: int = Field(
        default=3,
        ge=1,
        description="Random libraries of the smallest size, beside the full one, for all pairs.",
    )
    margin: float = Field(
        default=0.05,
        ge=0,
        le=2,
        description="A pair survives whose screened skill and gain of skill are at most this much "
        "below min_skill and min_delta_skill: fewer samples say less surely what they are.",
    )
    score: float = Field(
        default=2.0,
        description="Least standard score of a survivor's skill among those of the panel's "
        "surrogates whose memory is like its cause's: some 4 % of unrelated pairs reach 2.",
    )
    causes: int = Field(
        default=32,
        ge=1,
        description="Most causes of one effect that survive, those with the highest scores.",
    )
    surrogates: int = Field(
        default=1000,
        ge=100,
        description="Surrogates in the panel that all pairs share, made of nodes of every length "
        "of memory. Survivors are tested with causal.surrogates of their own cause.",
    )
    memory_groups: int = Field(
        default=20, ge=1, le=100, description="Groups of nodes of similar memory in the panel."
    )
