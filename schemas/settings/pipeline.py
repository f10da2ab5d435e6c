"""The settings of every stage together, from defaults, a YAML file, or the Prefect form."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from schemas.errors import SettingsError
from schemas.settings.align import AlignSettings
from schemas.settings.causal import CausalSettings
from schemas.settings.ingest import IngestSettings
from schemas.settings.lnm import LnmSettings
from schemas.settings.preprocess import PreprocessSettings
from schemas.settings.report import ReportSettings
from schemas.settings.simulate import SimulateSettings
from schemas.settings.split import SplitSettings
from schemas.settings.twin import TwinSettings

STAGES_WITH_SPLIT = ("causal", "twin", "lnm")


class PipelineSettings(BaseModel):
    """What each stage does; every field has a default that suits most recordings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    split: SplitSettings = Field(
        default_factory=SplitSettings,
        title="Split",
        description="Train, validation and test parts, the same for causal, twin and lnm.",
    )
    ingest: IngestSettings = Field(
        default_factory=IngestSettings, title="Ingest", description="Reading and checking NWB."
    )
    preprocess: PreprocessSettings = Field(
        default_factory=PreprocessSettings,
        title="Preprocess",
        description="Cleaning each kind of stream.",
    )
    align: AlignSettings = Field(
        default_factory=AlignSettings, title="Align", description="One time axis for all streams."
    )
    causal: CausalSettings = Field(
        default_factory=CausalSettings, title="Causal graph", description="Who drives whom."
    )
    twin: TwinSettings = Field(
        default_factory=TwinSettings, title="Virtual animal", description="The generative network."
    )
    lnm: LnmSettings = Field(
        default_factory=LnmSettings,
        title="Large neural model",
        description="One model over all streams.",
    )
    report: ReportSettings = Field(
        default_factory=ReportSettings, title="Report", description="The page of a session."
    )
    simulate: SimulateSettings = Field(
        default_factory=SimulateSettings,
        title="Simulated animal",
        description="Only used where a session is simulated.",
    )

    @model_validator(mode="before")
    @classmethod
    def _share_split(cls, values: Any) -> Any:
        """Hand the common split to each stage that has one, unless that stage sets its own."""
        if not isinstance(values, dict) or not values.get("split"):
            return values
        shared = dict(values)
        for stage in STAGES_WITH_SPLIT:
            own = shared.get(stage, {})
            if isinstance(own, dict) and "split" not in own:
                shared[stage] = {**own, "split": values["split"]}
        return shared


def load_settings(path: Path | None) -> PipelineSettings:
    """Read settings from a YAML file; what it does not name keeps its default.

    Raises
    ------
    SettingsError
        The file is not there, is not YAML, or has unknown or wrong values; lists all of them.
    """
    if path is None:
        return PipelineSettings()
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise SettingsError(f"cannot be read ({error.strerror}).", where=str(path)) from error
    except yaml.YAMLError as error:
        raise SettingsError(f"is not YAML: {error}", where=str(path)) from error
    return parse_settings(values, where=str(path))


def parse_settings(values: Any, *, where: str) -> PipelineSettings:
    """Check plain values against the settings of every stage."""
    try:
        return PipelineSettings.model_validate(values)
    except ValidationError as error:
        problems = [
            f"  - {'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']} (found {e['input']!r})"
            for e in error.errors()
        ]
        raise SettingsError(
            f"{len(problems)} setting(s) are wrong:\n" + "\n".join(problems),
            where=where,
            remedy="\n'tectum settings' prints every setting with its default and meaning.",
        ) from error
