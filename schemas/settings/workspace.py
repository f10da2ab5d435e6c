"""Where the lake, the catalogue and the Dask cluster are."""

import hashlib
import re
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class WorkspaceSettings(BaseModel):
    """Where results are kept and where arithmetic is done; no result depends on it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lake: str = Field(
        default="lake", description="Folder or bucket (s3://BUCKET/NAME) that holds all artifacts."
    )
    catalogue: str = Field(
        default="",
        description="SQLAlchemy URL of the catalogue; empty means SQLite inside the lake, "
        "for a bucket SQLite in local_side(lake).",
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
            folder = local_side(self.lake) if "://" in self.lake else Path(self.lake)
            object.__setattr__(self, "catalogue", f"sqlite:///{folder}/catalogue.sqlite")
        return self


def local_side(lake: str) -> Path:
    """Return the folder of this machine for a lake in a bucket: drafts, locks, copies, SQLite."""
    url = lake.rstrip("/")
    name = re.sub(r"[^a-z0-9]+", "-", url.lower()).strip("-")[:60]
    mark = hashlib.sha256(url.encode()).hexdigest()[:8]
    return Path.home() / ".local/share/tectum" / f"{name}-{mark}"
