"""What a recording may cost or reach before it is refused: it may be damaged, or bad on purpose."""

from pydantic import BaseModel, ConfigDict, Field


class SafetySettings(BaseModel):
    """Limits on the first reading of a file, which happens in a guarded process of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stall_seconds: float = Field(
        default=60.0,
        gt=0,
        description="A file on which the reading library makes no progress for so many seconds is "
        "given up: some damaged files make HDF5 loop for ever.",
    )
    memory_mib: int = Field(
        default=4096, ge=512, description="Memory of the guarded process, in MiB."
    )
    max_objects: int = Field(
        default=200_000, gt=0, description="Groups, datasets and links that a file may have."
    )
    max_unpacked_gib: float = Field(
        default=4.0,
        gt=0,
        description="Data beyond this many GiB, unpacked, may be no more than 'max_expansion' "
        "times the file's size: a decompression bomb is, and an array that only claims its size.",
    )
    max_expansion: float = Field(
        default=100.0, gt=0, description="Unpacked size of large files over their size on disk."
    )
    trusted_folders: tuple[str, ...] = Field(
        default=(),
        description="Folders that a recording's links and videos may lead to, besides its own "
        "folder, and for videos the folders beside that.",
    )
    settling_seconds: float = Field(
        default=600.0,
        ge=0,
        description="A damaged file, or any Zarr store, in the landing folder that changed within "
        "so many seconds may still be being copied: it is left for the next run.",
    )
