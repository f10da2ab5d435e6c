"""pynwb's reader of Zarr stores, kept inside the store."""

import json
from typing import Any

from hdmf_zarr import NWBZarrIO

from schemas.errors import RecordingError


class SealedNwbZarrIO(NWBZarrIO):
    """Reads NWB from one Zarr store and follows no link out of it."""

    def resolve_ref(self, zarr_ref: Any) -> Any:
        """Return the target of a link or reference.

        Raises
        ------
        RecordingError
            The target lies in another file, which the file may name at will.
        """
        source = _source_of(zarr_ref)
        if source != ".":
            raise RecordingError(
                f"a link leads to another file, '{source}', which is not followed.",
                where=str(self.source),
                remedy="Export the recording to one store of its own.",
                problem="link_outside",
            )
        return super().resolve_ref(zarr_ref)


def _source_of(zarr_ref: Any) -> str:
    """Return the file a reference names; "." is its own."""
    ref = zarr_ref[()] if hasattr(zarr_ref, "ndim") else zarr_ref
    if isinstance(ref, str):
        try:
            ref = json.loads(ref)
        except json.JSONDecodeError:
            return "."
    return str(ref.get("source")) if isinstance(ref, dict) else "not a reference"
