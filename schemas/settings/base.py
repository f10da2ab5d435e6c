"""What every stage's settings share: frozen, closed, hashed."""

import hashlib
import json
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from schemas.entities import Entity


class StageSettings(BaseModel):
    """Base of one stage's settings.

    Fields named in `not_identity` say how the work is done, not what comes out (block sizes,
    backends that agree), so they stay out of the hash.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    not_identity: ClassVar[frozenset[str]] = frozenset()

    def param_set(self, stage: str) -> "ParamSet":
        """Return these settings as a hashed ParamSet of `stage`."""
        values = self.model_dump(mode="json", exclude=set(self.not_identity))
        canonical = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return ParamSet(
            stage=stage, values=values, hash=hashlib.sha256(canonical.encode()).hexdigest()[:32]
        )


class ParamSet(Entity):
    """The settings of a stage that decide its result, and their hash."""

    stage: str
    values: dict[str, Any]
    hash: str
