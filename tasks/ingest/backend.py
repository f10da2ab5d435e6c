"""xarray's engine "nwb": any NWB file, here or far away, as lazy, scaled arrays with their times.

    xr.open_datatree("session.nwb", engine="nwb")
    xr.open_dataset("session.nwb", engine="nwb", group="df_over_f")
    xr.open_datatree("https://server/session.nwb", engine="nwb")
    xr.open_datatree("s3://bucket/session.nwb.zarr", engine="nwb")

Streams come as the file has them; only the ingest stage puts times in order. Imaging movies,
stimulus images and waveforms of single spikes, which the lake does not take, are here too. xarray
reads the times to index them; `create_default_indexes=False` leaves them unread too.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import h5py
import xarray as xr
from xarray.backends import BackendEntrypoint

from schemas.errors import NotFoundError, RecordingError
from schemas.settings.ingest import IngestSettings
from tasks.common.remote import is_url, public_url

SUFFIXES = (".nwb", ".nwb.zarr")


class NwbBackend(BackendEntrypoint):
    """Opens NWB files in HDF5 and in Zarr."""

    description: ClassVar[str] = "Open NWB recordings lazily, one group for each stream"
    open_dataset_parameters: ClassVar[tuple[str, ...]] = (
        "filename_or_obj",
        "drop_variables",
        "group",
        "settings",
    )
    supports_groups: ClassVar[bool] = True

    def open_dataset(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        group: str | None = None,
        settings: IngestSettings | None = None,
    ) -> xr.Dataset:
        """Open one stream.

        Parameters
        ----------
        group : the stream's name; may be left out if the file has only one
        settings : kinds and rates that the file gets wrong

        Raises
        ------
        NotFoundError
            No stream of that name, or several and none named; lists the names.
        RecordingError
            The file cannot be read.
        """
        tree = self.open_datatree(filename_or_obj, drop_variables=drop_variables, settings=settings)
        streams = dict(tree.children)
        names = list(streams)
        wanted = group.strip("/") if group else names[0] if len(names) == 1 else ""
        if wanted not in streams:
            raise NotFoundError(
                f"no stream '{wanted}'." if wanted else f"the file holds {len(names)} streams.",
                where=str(filename_or_obj),
                remedy=f"Give group= one of: {', '.join(names)}.",
            )
        dataset = streams[wanted].to_dataset(inherit=False)
        dataset.attrs = {**tree.attrs, **dataset.attrs}
        dataset.set_close(tree._close)
        return dataset

    def open_datatree(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        settings: IngestSettings | None = None,
    ) -> xr.DataTree:
        """Open all streams as siblings under a root that describes the session."""
        groups = self.open_groups_as_dict(
            filename_or_obj, drop_variables=drop_variables, settings=settings
        )
        tree = xr.DataTree.from_dict(groups)
        tree.set_close(groups["/"]._close)
        return tree

    def open_groups_as_dict(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        settings: IngestSettings | None = None,
    ) -> dict[str, xr.Dataset]:
        """Open all streams as datasets by path, the root's attributes at "/"."""
        dropped = {drop_variables} if isinstance(drop_variables, str) else set(drop_variables or ())
        # Imported where it is needed: xarray imports every backend whenever it opens a file.
        from tasks.ingest.opening import read_recording

        with read_recording(_as_name(filename_or_obj), settings, raw=True) as recording:
            streams = {
                f"/{name}": node.to_dataset(inherit=False).drop_vars(dropped, errors="ignore")
                for name, node in recording.streams.children.items()
            }
            root = xr.Dataset(attrs=recording.streams.attrs)
            root.set_close(recording.close_arrays)
            return {"/": root, **streams}

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Tell whether this is named *.nwb or *.nwb.zarr; of a file here, also by what is in it."""
        if not isinstance(filename_or_obj, str | Path):
            return False
        if is_url(str(filename_or_obj)):
            return public_url(str(filename_or_obj)).rstrip("/").endswith(SUFFIXES)
        path = Path(filename_or_obj)
        if path.is_dir():
            return path.name.endswith(SUFFIXES)
        return path.suffix == ".nwb" and path.is_file() and bool(h5py.is_hdf5(path))


def _as_name(filename_or_obj: Any) -> str:
    if isinstance(filename_or_obj, str | Path):
        return str(filename_or_obj)
    raise RecordingError(
        f"engine 'nwb' opens paths and URLs, not {type(filename_or_obj).__name__} objects.",
        remedy="Give the path or URL of an NWB file.",
    )
