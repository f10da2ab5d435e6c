"""How recordings are read, checked and named."""

from typing import ClassVar

from pydantic import Field

from schemas.entities import StreamKind
from schemas.settings.base import StageSettings
from schemas.settings.remote import RemoteSettings
from schemas.settings.safety import SafetySettings


class IngestSettings(StageSettings):
    """Reading of NWB files into streams.

    Patterns are shell globs (`*`, `?`, `[abc]`) on an object's path in the file, such as
    `processing/behavior/*/pupil_*`; the first one that fits decides.
    """

    not_identity: ClassVar[frozenset[str]] = frozenset(
        {"inspector_seconds", "block_mib", "safety", "remote"}
    )

    kinds: dict[str, StreamKind] = Field(
        default={},
        description="Kind of stream by path pattern, where the file's own words mislead, "
        "e.g. {'acquisition/analog_3': 'audio'}.",
    )
    leave_out: tuple[str, ...] = Field(
        default=(), description="Path patterns of objects that are not to be read."
    )
    sample_rates_hz: dict[str, float] = Field(
        default={},
        description="True rate in Hz by path pattern, for streams whose timestamps are frame "
        "numbers: time = frame number / rate.",
    )
    inspector: bool = Field(
        default=True,
        description="Also run NWB Inspector and add what it says to the recording's findings.",
    )
    inspector_seconds: float = Field(
        default=30.0,
        gt=0,
        description="NWB Inspector starts no further check after this many seconds.",
    )
    block_mib: float = Field(
        default=32.0, gt=0, description="Memory for one block of a full-length check, in MiB."
    )
    safety: SafetySettings = Field(
        default=SafetySettings(),
        description="What a file may cost or reach before it is put in quarantine.",
    )
    remote: RemoteSettings = Field(
        default=RemoteSettings(), description="Reading over http(s) and from S3."
    )
