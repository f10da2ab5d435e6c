"""Settings of the twin stage: which behaviours, which drivers, how the network runs."""

from typing import Literal, Self

from pydantic import Field, model_validator

from schemas.settings.base import StageSettings
from schemas.settings.split import SplitSettings

Rule = Literal["value", "step", "linear"]


class TwinSettings(StageSettings):
    """How a virtual animal is grown from the causal graph, run and judged."""

    split: SplitSettings = Field(
        default_factory=SplitSettings,
        description="Train, validation and test parts; must equal those of the causal graph.",
    )
    behaviours: tuple[str, ...] = Field(
        default=(),
        description="Behaviour channels to animate, by the names of the causal graph; empty means "
        "those with the strongest neural causes.",
    )
    max_behaviours: int = Field(
        default=4, ge=1, description="Most behaviour channels that are animated when none is named."
    )
    num_drivers: int = Field(
        default=3, ge=1, description="Neural causes that each node takes from the graph."
    )
    num_feedback: int = Field(
        default=1,
        ge=0,
        description="Animated behaviours that each node may take as further causes, if the graph "
        "has such edges: movement that drives neurons, or one behaviour that drives another.",
    )
    max_nodes: int = Field(default=24, ge=2, description="Most nodes in the network.")
    smoothing_s: float = Field(
        default=0.2,
        ge=0,
        description="Standard deviation in seconds of the Gaussian that turns spike counts into "
        "rates; the causal graph's own by default.",
    )
    min_valid_fraction: float = Field(
        default=0.8,
        gt=0,
        le=1,
        description="Least share of the training samples at which a node must be valid.",
    )
    own_delays: int = Field(
        default=5,
        ge=1,
        description="Most delays of a node's own past in its state; the graph's embedding "
        "dimension where that is less.",
    )
    driver_delays: int = Field(
        default=2, ge=1, description="Delays of each driver's past in a node's state."
    )
    delay_choices: tuple[int, ...] = Field(
        default=(1, 3),
        min_length=1,
        description="Samples between two delays; the best on the validation part is taken.",
    )
    rules: tuple[Rule, ...] = Field(
        default=("value", "step", "linear"),
        min_length=1,
        description="How a node predicts from its neighbours in the library, of which the "
        "validation part chooses: their mean next value, their mean step, or a weighted local "
        "linear fit.",
    )
    neighbour_choices: tuple[int, ...] = Field(
        default=(8, 30),
        min_length=1,
        description="Numbers of neighbours to choose from; a linear fit takes three times as many.",
    )
    theta_choices: tuple[float, ...] = Field(
        default=(1.0, 3.0),
        min_length=1,
        description="Rates at which a neighbour's weight falls with its distance over the mean "
        "distance of the neighbours.",
    )
    noise_choices: tuple[float, ...] = Field(
        default=(0.0, 1.0),
        min_length=1,
        description="Shares of a neighbour's own residual added to the prediction. 0 makes the "
        "twin deterministic, 1 draws as the animal's own next steps scatter.",
    )
    chosen_by: Literal["realism", "forecast"] = Field(
        default="realism",
        description="What decides on the validation part among the better half of the forecasters: "
        "realism runs each freely and takes the one whose spectra and windows are most like the "
        "animal's, if the part holds 12 windows; forecast takes the best short forecasts, "
        "whatever a long run looks like.",
    )
    n_samples: int = Field(default=8, ge=1, description="Runs of the twin, each with other noise.")
    max_library: int = Field(
        default=10_000,
        ge=50,
        description="Most training states kept, evenly thinned; the time of a run grows with them.",
    )
    validation_starts: int = Field(
        default=16, ge=2, description="Forecasts on the validation part for each choice."
    )
    forecast_horizons: tuple[int, ...] = Field(
        default=(1, 5, 20),
        min_length=1,
        description="Samples ahead at which forecasts are scored; the longest that fits is kept.",
    )
    window_s: float = Field(
        default=2.0,
        gt=0,
        description="Seconds of behaviour that the classifier and the copy test look at; shorter "
        "where gapless stretches are.",
    )
    min_window_samples: int = Field(
        default=20,
        ge=8,
        description="Fewest samples of such a window, where gapless stretches allow it: slow "
        "recordings get longer windows.",
    )
    range_margin: float = Field(
        default=0.1,
        ge=0,
        description="Share of the range of what followed its neighbours in the library by which "
        "a node's next value may leave that range.",
    )
    seed: int = Field(default=0, ge=0, description="Seed of all random numbers of this stage.")

    @model_validator(mode="after")
    def _takes_one_block(self) -> Self:
        if self.split.blocks > 1:
            raise ValueError(
                "split.blocks must be 1: the twin runs free through one test part and is judged "
                "beside the time before it; for the lnm stage alone set lnm.split.blocks"
            )
        return self
