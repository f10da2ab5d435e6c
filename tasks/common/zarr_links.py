"""Arrays that one tree of the lake takes unchanged from another share their files on disk."""

import errno
import json
import shutil
from dataclasses import dataclass
from os import link as hard_link
from pathlib import Path

import numpy as np
import xarray as xr

ORIGIN = "tectum_origin"
"""Key under which a variable's encoding says where it was read from."""
METADATA = "zarr.json"
CODING = ("scale_factor", "add_offset", "_FillValue", "dtype")
"""Attributes of a stored array that say how its numbers are decoded: they go with the bytes."""
NO_LINKS = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP})


@dataclass(frozen=True)
class Origin:
    """Where a variable was read from, whole.

    path : folder of the Zarr array
    token : name of the dask array that stands for all of it, exactly as stored
    coding : the variable's encoding when it was opened, as far as it changes what is stored
    """

    path: Path
    token: str
    coding: tuple[object, ...]


def mark_origins(tree: xr.DataTree, path: Path | str) -> None:
    """Note in each lazy variable of an open tree which files it was read from."""
    if "://" in str(path):
        return
    for node in tree.subtree:
        group = Path(path).resolve() / node.path.strip("/")
        for name, variable in node.to_dataset(inherit=False).variables.items():
            if variable.chunks is not None:
                token, coding = str(variable.data.name), _coding(variable)
                variable.encoding[ORIGIN] = Origin(group / str(name), token, coding)


def find_origin(variable: xr.Variable) -> Origin | None:
    """Return where a variable comes from, if its values are still exactly what is stored there.

    A dask array's name stands for what it computes: any change of values, order or chunks gives
    another.
    """
    origin = variable.encoding.get(ORIGIN)
    if not isinstance(origin, Origin) or variable.chunks is None:
        return None
    same = variable.data.name == origin.token and _coding(variable) == origin.coding
    return origin if same and (origin.path / METADATA).is_file() else None


def link_array(origin: Origin, target: Path, variable: xr.Variable) -> None:
    """Make a Zarr array at `target` of the files at the origin, with the variable's attributes.

    Hard links where the file system has them, copies elsewhere.
    """
    metadata = json.loads((origin.path / METADATA).read_text(encoding="utf-8"))
    stored = metadata["attributes"]
    metadata["attributes"] = {
        **{key: stored[key] for key in CODING if key in stored},
        **{str(key): _plain(value) for key, value in variable.attrs.items()},
    }
    metadata["dimension_names"] = [str(dim) for dim in variable.dims]
    target.mkdir()
    (target / METADATA).write_text(json.dumps(metadata, indent=2), encoding="utf-8")
    chunks = origin.path / "c"
    if chunks.is_dir():
        shutil.copytree(chunks, target / "c", copy_function=_link_file)


def _link_file(source: str, target: str) -> None:
    try:
        hard_link(source, target)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        shutil.copyfile(source, target)


def _coding(variable: xr.Variable) -> tuple[object, ...]:
    # repr: a fill value of NaN is not equal to itself.
    return tuple(repr(variable.encoding.get(key)) for key in (*CODING, "chunks"))


def _plain(value: object) -> object:
    """Return an attribute as JSON has it."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value
