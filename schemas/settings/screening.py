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
    causes: int = Field(
        default=64,
        ge=1,
        description="Most causes of one effect that survive, those with the highest skill.",
    )
    surrogates: int = Field(
        default=1000,
        ge=100,
        description="Surrogates in the panel that all pairs share. They are drawn from nodes of "
        "every length of memory; a skill is compared with those of causes of similar memory.",
    )
    memory_groups: int = Field(
        default=20, ge=1, le=100, description="Groups of nodes of similar memory in the panel."
    )
