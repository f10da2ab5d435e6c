"""xarray opens artifacts by name: `xr.open_datatree("tectum:fly80/aligned", engine="tectum")`."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import xarray as xr
from xarray.backends import BackendEntrypoint
from xarray.backends.zarr import ZarrBackendEntrypoint

from schemas.entities import ArtifactRef
from schemas.errors import NotFoundError
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.catalogue import Catalogue
from tasks.common.environment import workspace_from_environment
from tasks.common.lake import Lake
from tasks.common.zarr_trees import quiet_zarr

# xarray may have made an absolute path of the name before it asks.
_NAME = re.compile(r"(?:^|[/\\])tectum:(?P<name>[^:]+)$")
_ID = re.compile(r"[0-9a-f]{8,32}")
_DECODERS = (
    "mask_and_scale", "decode_times", "decode_timedelta", "concat_characters", "use_cftime",
    "decode_coords",
)  # fmt: skip


class TectumBackend(BackendEntrypoint):
    """Opens an artifact's tree, or one group of it, lazily.

    The name is `tectum:SESSION/KIND` for a session's newest artifact of a kind, or `tectum:ID` and
    `tectum:KIND/ID` for one artifact, whose id may be cut short to 8 digits. The lake is the one
    that TECTUM_LAKE and TECTUM_CATALOGUE name, or `lake=` and `catalogue=`.
    """

    description: ClassVar[str] = "Open artifacts of a Tectum lake"
    supports_groups: ClassVar[bool] = True
    open_dataset_parameters: ClassVar[tuple[str, ...]] = (
        "filename_or_obj", "drop_variables", "group", "lake", "catalogue", *_DECODERS,
    )  # fmt: skip

    def guess_can_open(self, filename_or_obj: object) -> bool:
        """Whether this is the name of an artifact."""
        return isinstance(filename_or_obj, str) and _NAME.search(filename_or_obj) is not None

    def open_dataset(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        group: str | None = None,
        lake: str | Path | None = None,
        catalogue: str | None = None,
        **decoders: Any,
    ) -> xr.Dataset:
        """Open one group of an artifact's tree; the root holds attributes only."""
        path = find_tree(str(filename_or_obj), lake, catalogue)
        with quiet_zarr():
            return ZarrBackendEntrypoint().open_dataset(
                str(path), drop_variables=drop_variables, group=group, consolidated=True, **decoders
            )

    def open_groups_as_dict(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        group: str | None = None,
        lake: str | Path | None = None,
        catalogue: str | None = None,
        **decoders: Any,
    ) -> dict[str, xr.Dataset]:
        """Open every group of an artifact's tree, by its path."""
        path = find_tree(str(filename_or_obj), lake, catalogue)
        with quiet_zarr():
            return ZarrBackendEntrypoint().open_groups_as_dict(
                str(path), drop_variables=drop_variables, group=group, consolidated=True, **decoders
            )

    def open_datatree(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        group: str | None = None,
        lake: str | Path | None = None,
        catalogue: str | None = None,
        **decoders: Any,
    ) -> xr.DataTree:
        """Open an artifact's tree."""
        path = find_tree(str(filename_or_obj), lake, catalogue)
        with quiet_zarr():
            return ZarrBackendEntrypoint().open_datatree(
                str(path), drop_variables=drop_variables, group=group, consolidated=True, **decoders
            )


def find_tree(name: str, lake: str | Path | None = None, catalogue: str | None = None) -> Path:
    """Return the Zarr store that an artifact's name stands for.

    Raises
    ------
    NotFoundError
        No lake, session or artifact of that name, or one that has no arrays.
    """
    settings = _settings(lake, catalogue)
    if not Path(settings.lake).is_dir():
        raise NotFoundError(
            "there is no lake.",
            where=settings.lake,
            remedy="Set TECTUM_LAKE, or give lake=FOLDER.",
        )
    match = _NAME.search(name)
    ref = _find_artifact(Catalogue(settings.catalogue), match["name"] if match else name)
    return Lake(settings.lake).tree_path(ref)


def _settings(lake: str | Path | None, catalogue: str | None) -> WorkspaceSettings:
    """Return the workspace asked for; a lake given by hand has its own catalogue in it."""
    if lake is None:
        named = workspace_from_environment()
        return named.model_copy(update={"catalogue": catalogue}) if catalogue else named
    return WorkspaceSettings(lake=str(lake), catalogue=catalogue or "")


def _find_artifact(catalogue: Catalogue, name: str) -> ArtifactRef:
    session, _, last = name.rpartition("/")
    if _ID.fullmatch(last):
        return catalogue.get(name).ref
    if not session:
        raise NotFoundError(
            f"'{name}' is no artifact.",
            remedy="Write tectum:SESSION/KIND, e.g. tectum:fly80/aligned, or tectum:ID.",
        )
    return catalogue.latest(catalogue.find_session(session), last).ref
