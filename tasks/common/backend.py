"""xarray opens artifacts by name: `xr.open_datatree("tectum:fly80/aligned", engine="tectum")`."""

import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, ClassVar

import xarray as xr
from xarray.backends import BackendEntrypoint
from xarray.backends.zarr import ZarrBackendEntrypoint

from schemas.entities import ArtifactRef
from schemas.errors import NotFoundError
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.accessor import TectumAccessor
from tasks.common.catalogue import Catalogue
from tasks.common.environment import workspace_from_environment
from tasks.common.lake import Lake
from tasks.common.remote import is_url
from tasks.common.zarr_trees import quiet_zarr

__all__ = ["TectumAccessor", "TectumBackend"]

# xarray may have made an absolute path of the name before it asks.
_NAME = re.compile(r"(?:^|[/\\])tectum:(?P<name>[^:]+)$")
_PATTERN = re.compile(r"[*?\[]")
_ID = re.compile(r"[0-9a-f]{8,32}")
_DECODERS = (
    "mask_and_scale", "decode_times", "decode_timedelta", "concat_characters", "use_cftime",
    "decode_coords",
)  # fmt: skip


class TectumBackend(BackendEntrypoint):
    """Opens an artifact's tree, or one group of it, lazily; or many sessions as one tree.

    The name is `tectum:SESSION/KIND` for a session's newest artifact of a kind, or `tectum:ID` and
    `tectum:KIND/ID` for one artifact, whose id may be cut short to 8 digits. A SESSION with `*`,
    `?` or `[` stands for all sessions of such names: a branch for each that has the kind. The lake
    is the one that TECTUM_LAKE and TECTUM_CATALOGUE name, or `lake=` and `catalogue=`.
    """

    description: ClassVar[str] = "Open artifacts of a Tectum lake"
    supports_groups: ClassVar[bool] = True
    open_dataset_parameters: ClassVar[tuple[str, ...]] = (
        "filename_or_obj", "drop_variables", "group", "lake", "catalogue", *_DECODERS,
    )  # fmt: skip

    def guess_can_open(self, filename_or_obj: object) -> bool:
        """Whether this is the name of an artifact."""
        return isinstance(filename_or_obj, str) and _NAME.search(filename_or_obj) is not None

    def open_dataset(self, filename_or_obj: Any, **options: Any) -> xr.Dataset:
        """Open one group of an artifact's tree; the root holds attributes only."""
        paths = _take_paths(filename_or_obj, options)
        if len(paths) > 1 or "" not in paths:
            raise NotFoundError(
                f"'{filename_or_obj}' names {len(paths)} sessions, and a dataset is of one.",
                remedy="Open them with xarray.open_datatree.",
            )
        with quiet_zarr():
            return ZarrBackendEntrypoint().open_dataset(str(paths[""]), **options)

    def open_groups_as_dict(self, filename_or_obj: Any, **options: Any) -> dict[str, xr.Dataset]:
        """Open every group of an artifact's tree, by its path."""
        groups: dict[str, xr.Dataset] = {}
        for session, path in _take_paths(filename_or_obj, options).items():
            with quiet_zarr():
                opened = ZarrBackendEntrypoint().open_groups_as_dict(str(path), **options)
            groups |= {_below(session, group): dataset for group, dataset in opened.items()}
        return groups

    def open_datatree(self, filename_or_obj: Any, **options: Any) -> xr.DataTree:
        """Open an artifact's tree, or one with a branch for each session."""
        return xr.DataTree.from_dict(self.open_groups_as_dict(filename_or_obj, **options))


def _below(session: str, group: str) -> str:
    return f"/{session}{group}".rstrip("/") if session else group


def _take_paths(name: object, options: dict[str, Any]) -> dict[str, Path | str]:
    """Take `lake` and `catalogue` out of the options of a call and return what to open."""
    options["consolidated"] = True
    return find_trees(str(name), options.pop("lake", None), options.pop("catalogue", None))


def find_trees(
    name: str, lake: str | Path | None = None, catalogue: str | None = None
) -> dict[str, Path | str]:
    """Return the Zarr store of each session that a name stands for; "" if it stands for one.

    Raises
    ------
    NotFoundError
        No lake, session or artifact of that name, or one that has no arrays.
    """
    settings = _settings(lake, catalogue)
    if not is_url(settings.lake) and not Path(settings.lake).is_dir():
        raise NotFoundError(
            "there is no lake.",
            where=settings.lake,
            remedy="Set TECTUM_LAKE, or give lake=FOLDER.",
        )
    match = _NAME.search(name)
    known, trees = Catalogue(settings.catalogue), Lake(settings.lake)
    found = _find_artifacts(known, match["name"] if match else name)
    return {session: trees.tree_path(ref) for session, ref in found.items()}


def _settings(lake: str | Path | None, catalogue: str | None) -> WorkspaceSettings:
    """Return the workspace asked for; a lake given by hand has its own catalogue in it."""
    if lake is None:
        named = workspace_from_environment()
        return named.model_copy(update={"catalogue": catalogue}) if catalogue else named
    return WorkspaceSettings(lake=str(lake), catalogue=catalogue or "")


def _find_artifacts(catalogue: Catalogue, name: str) -> dict[str, ArtifactRef]:
    session, _, last = name.rpartition("/")
    if _ID.fullmatch(last):
        return {"": catalogue.get(name).ref}
    if not session:
        raise NotFoundError(
            f"'{name}' is no artifact.",
            remedy="Write tectum:SESSION/KIND, e.g. tectum:fly80/aligned, or tectum:ID.",
        )
    if not _PATTERN.search(session):
        return {"": catalogue.latest(catalogue.find_session(session), last).ref}
    listed = catalogue.search(kind=last).dropna(subset="session")
    # Newest first: the first of each session counts.
    newest = listed.drop_duplicates("session")
    named = newest[[fnmatchcase(name, session) for name in newest["session"]]].sort_values(
        "session"
    )
    if named.empty:
        raise NotFoundError(
            f"no session like '{session}' has '{last}'.",
            remedy=f"These have: {', '.join(sorted(newest['session'])) or 'none'}.",
        )
    pairs = zip(named["session"], named["id"], strict=True)
    return {str(session): ArtifactRef(kind=last, id=str(id_)) for session, id_ in pairs}
