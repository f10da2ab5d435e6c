"""Where the lake, the catalogue and the Dask cluster are."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class WorkspaceSettings(BaseModel):
    """Where results are kept and where arithmetic is done; no result depends on it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lake: str = Field(default="lake", description="Folder that holds all artifacts.")
    catalogue: str = Field(
        default="",
        description="SQLAlchemy URL of the catalogue; empty means SQLite inside the lake.",
    )
    dask: str = Field(
        default="threads",
        description="'threads', 'local' (a cluster on this machine), or a scheduler's address.",
    )

    @model_validator(mode="after")
    def _absolute(self) -> Self:
        # A worker may run in another folder than the one the user typed the path in.
        object.__setattr__(self, "lake", self.lake.removeprefix("file://"))
        if "://" not in self.lake:
            object.__setattr__(self, "lake", str(Path(self.lake).expanduser().resolve()))
        if not self.catalogue:
            object.__setattr__(self, "catalogue", f"sqlite:///{self.lake}/catalogue.sqlite")
        return self
