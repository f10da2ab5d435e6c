"""A question to a trained neural model, as the command line and the Prefect form ask it."""

from typing import Literal

from pydantic import Field

from schemas.settings.base import StageSettings

Task = Literal["impute", "decode", "encode", "forecast", "generate", "score", "embed", "probe"]


class LnmQuestion(StageSettings):
    """What is asked; what does not belong to the task is not looked at."""

    task: Task = Field(
        default="impute",
        description="impute: targets from what is visible. decode: behaviour from neurons. encode: "
        "neurons from behaviour. forecast: all after `seen_until`. generate: `seconds` of all, "
        "given what `visible` does. "
        "score: every task between t0 and t1. embed: hidden states. probe: what layers know.",
    )
    targets: tuple[str, ...] = Field(default=(), description="Columns or streams to predict.")
    visible: tuple[str, ...] | None = Field(
        default=None,
        description="Columns or streams to see; empty means all that is no target. Of a generated "
        "course: those that do as in the recording from t0 on; empty means none.",
    )
    t0: float | None = Field(default=None, description="First second of the answer.")
    t1: float | None = Field(default=None, description="Last second of the answer.")
    seen_until: float | None = Field(
        default=None, description="See nothing after this second: a forecast."
    )
    seconds: float = Field(
        default=1.0, gt=0, description="Length of a forecast or of a generated course."
    )
    n_samples: int = Field(default=0, ge=0, description="Courses to draw.")
    seed: int = Field(default=0, ge=0, description="Seed of the draws.")
