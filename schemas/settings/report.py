"""Settings of the report stage: how much of a session its page shows."""

from pydantic import Field

from schemas.settings.base import StageSettings


class ReportSettings(StageSettings):
    """How detailed the page of a session is; nothing else depends on it."""

    max_points: int = Field(
        default=1600,
        ge=100,
        le=100_000,
        description="Most points of a drawn trace. A longer one is drawn as its envelope: the "
        "smallest and the largest sample of each stretch, so that no peak is lost.",
    )
    max_columns: int = Field(
        default=900,
        ge=50,
        le=10_000,
        description="Most time bins of a drawn matrix; a longer one is averaged.",
    )
    max_rows: int = Field(
        default=160,
        ge=10,
        le=2_000,
        description="Most units of a drawn matrix; of more, every so-many-th is drawn.",
    )
    max_nodes: int = Field(
        default=300,
        ge=20,
        le=2_000,
        description="Most nodes of a drawn skill matrix; of more, those with the strongest edges.",
    )
    preview_channels: int = Field(
        default=4, ge=1, le=32, description="Channels shown in the preview of a stream."
    )
    raster_s: float = Field(
        default=20.0, gt=0, description="Seconds of single spikes shown in a raster."
    )
    event_kinds: int = Field(
        default=4,
        ge=0,
        le=20,
        description="Kinds of events (trials, times within them, tables of events) around which "
        "neurons and behaviour are drawn.",
    )
    before_event_s: float = Field(
        default=1.0, gt=0, description="Seconds drawn before each event, at least three samples."
    )
    after_event_s: float = Field(
        default=2.0, gt=0, description="Seconds drawn after each event, at least five samples."
    )
    network_edges: int = Field(
        default=120, ge=10, le=1_000, description="Most edges in the picture of the causal graph."
    )
    drivers: int = Field(
        default=6, ge=1, le=50, description="Strongest drivers listed for each behaviour."
    )
    convergence_edges: int = Field(
        default=8, ge=1, le=30, description="Strongest edges whose convergence is drawn."
    )
    behaviours: int = Field(
        default=8, ge=1, le=40, description="Most behaviour channels drawn above one another."
    )
    samples: int = Field(
        default=4, ge=1, le=32, description="Most generated courses drawn one by one."
    )
