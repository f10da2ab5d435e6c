"""How files on other machines are read."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class RemoteSettings(BaseModel):
    """Reading over http(s) and from object stores.

    Credentials are no settings: they come from where the store's own tools look for them (for S3
    AWS_PROFILE, AWS_ACCESS_KEY_ID, ~/.aws or the machine's role; AWS_ENDPOINT_URL for a server
    other than Amazon's).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    access: Literal["auto", "anonymous", "environment"] = Field(
        default="auto",
        description="Who asks S3 for the data: 'anonymous' (public buckets), 'environment' (the "
        "credentials found there), or 'auto' (those if there are any, else anonymous).",
    )
    attempts: int = Field(
        default=5, ge=1, description="How often a request is sent before the network is given up."
    )
    wait_s: float = Field(
        default=0.5,
        ge=0,
        description="Seconds before the second attempt; twice as long before each further one.",
    )
    timeout_s: float = Field(
        default=30.0, gt=0, description="Seconds of silence after which a connection is dead."
    )
    block_kib: int = Field(
        default=512,
        ge=4,
        description="Least that is fetched of a remote HDF5 file at once, in KiB: more for a "
        "distant server, less for a near one.",
    )
    cache_mib: int = Field(
        default=64, ge=1, description="Memory for blocks of a remote HDF5 file that were read."
    )
