"""Where units and channels lie: region of the brain and position, whatever the file calls them."""

from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.ingest.lazy import Key, LazyArray, lazy_variable, positions, take
from tasks.ingest.objects import Container, ReadContext, stored_path

Variables = dict[str, xr.Variable]

REGION_COLUMNS = (
    "region", "brain_region", "brain_area", "location", "electrode_location",
    "electrode_group_location",
)  # fmt: skip
UNKNOWN = {"", "unknown", "none", "nan", "n/a", "na"}
POSITION_COLUMNS = (
    ("x", "y", "z"),
    ("unit_x", "unit_y", "unit_z"),
    ("electrode_x", "electrode_y", "electrode_z"),
    ("rel_x", "rel_y"),
    ("electrode_rel_x", "electrode_rel_y"),
)
"""NWB's electrodes have x, y, z in the brain, and rel_x, rel_y on the probe, in micrometres."""
PIXELS_AT_ONCE = 2**20


def column_places(dim: str, columns: Mapping[str, xr.Variable]) -> Variables:
    """Return `region` (dim) and `position` (dim, space) as far as columns of a table tell them.

    Parameters
    ----------
    columns : flat columns along `dim`, by name
    """
    found: Variables = {}
    texts = (columns[name] for name in REGION_COLUMNS if name in columns)
    for column in (text for text in texts if text.dtype.kind in "UO"):
        names = np.array([_known(str(name)) for name in column.values], dtype=str)
        if (names != "").any():
            found["region"] = xr.Variable((dim,), names)
            break
    for names_S in POSITION_COLUMNS:
        if any(name not in columns or columns[name].dtype.kind not in "iuf" for name in names_S):
            continue
        position = np.stack([columns[name].values for name in names_S], axis=1).astype(np.float64)
        if np.isfinite(position).any():
            unit = "unknown" if names_S[0].startswith("unit") else "um"
            found["position"] = xr.Variable((dim, "space"), position, {"units": unit})
            break
    return found


def roi_places(table: Container, rows: NDArray[np.int64], context: ReadContext) -> Variables:
    """Return `region` and `position` (unit, space) of ROIs, by their imaging plane and masks.

    A position is the centre of mass of a ROI's mask: in pixels, or in the plane's own unit where
    the plane says how far its pixels are apart. It is computed when it is asked for.
    """
    plane = getattr(table, "imaging_plane", None)
    if plane is None:
        return {}
    found: Variables = {}
    if region := _known(str(getattr(plane, "location", "") or "")):
        found["region"] = xr.Variable(("unit",), np.full(len(rows), region))
    centres = _mask_centres(table, rows, context)
    if centres is not None:
        found["position"] = _in_space(centres, plane)
    return found


def _known(region: str) -> str:
    return "" if region.strip().lower() in UNKNOWN else region.strip()


def _mask_centres(
    table: Container, rows: NDArray[np.int64], context: ReadContext
) -> "MaskCentres | None":
    arrays, where = context.arrays, stored_path(table) or str(table.name)
    columns = {str(column.name): column for column in table.columns}
    for name, axes in (("pixel_mask", ("x", "y")), ("voxel_mask", ("x", "y", "z"))):
        if name not in columns or f"{name}_index" not in columns:
            continue
        mask, ends = arrays.lazy(columns[name].data), np.zeros(0, np.int64)
        with context.sparing(f"{where}/{name}_index"):
            ends = np.asarray(columns[f"{name}_index"].data[:], np.int64)
        whole = len(ends) > rows.max(initial=-1) and (ends[-1:] <= mask.shape[0]).all()
        if whole and (np.diff(ends, prepend=0) >= 0).all() and {*axes, "weight"} <= _fields(mask):
            return RaggedCentres(mask, ends, rows, axes)
    if "image_mask" in columns:
        mask = arrays.lazy(columns["image_mask"].data)
        if len(mask.shape) in (3, 4) and mask.shape[0] > rows.max(initial=-1):
            return ImageCentres(mask, rows)
    return None


def _fields(mask: LazyArray) -> set[str]:
    return set(mask.dtype.names or ())


def _in_space(centres: "MaskCentres", plane: Container) -> xr.Variable:
    """Return centres in the imaging plane's unit, where it says how its pixels lie."""
    step_S, start_S = (_numbers(plane, name) for name in ("grid_spacing", "origin_coords"))
    size = centres.shape[1]
    if step_S.size != size:
        return lazy_variable(("unit", "space"), centres, {"units": "pixels"})
    start_S = start_S if start_S.size == size else np.zeros(size)
    unit = str(getattr(plane, "grid_spacing_unit", "") or "meters")
    return lazy_variable(("unit", "space"), OnGrid(centres, start_S, step_S), {"units": unit})


def _numbers(plane: Container, name: str) -> NDArray[np.float64]:
    value = getattr(plane, name, None)
    return np.asarray([] if value is None else value, np.float64).ravel()


class OnGrid(LazyArray):
    """start + step x (row, space) pixels."""

    def __init__(
        self, pixels: LazyArray, start_S: NDArray[np.float64], step_S: NDArray[np.float64]
    ) -> None:
        super().__init__(pixels.shape, np.float64)
        self.pixels, self.start_S, self.step_S = pixels, start_S, step_S

    def _read(self, key: Key) -> NDArray[np.float64]:
        _, axes = positions(key, self.shape)
        scaled: NDArray[np.float64] = self.start_S[axes] + self.step_S[axes] * take(
            self.pixels, key
        )
        return scaled


class MaskCentres(LazyArray):
    """Base: the centre of mass of each ROI's mask, (unit, space) in pixels; NaN if it is empty."""

    def __init__(self, rows: NDArray[np.int64], axes: int) -> None:
        super().__init__((len(rows), axes), np.float64)
        self.rows = rows

    def _read(self, key: Key) -> NDArray[np.float64]:
        units, axes = positions(key, self.shape)
        return self.centres(self.rows[units])[:, axes]

    def centres(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return (row, space)."""
        raise NotImplementedError


class RaggedCentres(MaskCentres):
    """Of masks that are lists of pixels with weights, all lists behind one another."""

    def __init__(
        self,
        mask: LazyArray,
        ends: NDArray[np.int64],
        rows: NDArray[np.int64],
        axes: tuple[str, ...],
    ) -> None:
        super().__init__(rows, len(axes))
        self.mask, self.ends, self.axes = mask, ends, axes

    def centres(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return (row, space), reading neighbouring masks together."""
        wanted, place = np.unique(rows, return_inverse=True)
        made = np.full((len(wanted), len(self.axes)), np.nan)
        starts = np.append(0, self.ends)[wanted]
        for part in _spans(starts, self.ends[wanted]):
            low, high = starts[part], self.ends[wanted[part]]
            pixels = take(self.mask, (slice(int(low[0]), int(high[-1]), 1),))
            filled = np.flatnonzero(high > low)
            edges = np.stack([low[filled], high[filled]], axis=1).ravel() - low[0]
            weight = pixels["weight"].astype(np.float64)
            total = _sums(weight, edges)
            for s, axis in enumerate(self.axes):
                moment = _sums(weight * pixels[axis], edges)
                centre = np.divide(moment, total, out=np.full_like(total, np.nan), where=total > 0)
                made[part.start + filled, s] = centre
        return made[place]


class ImageCentres(MaskCentres):
    """Of masks that are whole images of weights, (ROI, x, y) or (ROI, x, y, z)."""

    def __init__(self, mask: LazyArray, rows: NDArray[np.int64]) -> None:
        super().__init__(rows, len(mask.shape) - 1)
        self.mask = mask

    def centres(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return (row, space), one image at a time."""
        made = np.full((len(rows), self.shape[1]), np.nan)
        whole = tuple(slice(0, size, 1) for size in self.mask.shape[1:])
        for place, row in enumerate(rows):
            weight = take(self.mask, (slice(int(row), int(row) + 1, 1), *whole))[0]
            weight = weight.astype(np.float64)
            total = weight.sum()
            if total > 0:
                for s in range(weight.ndim):
                    others = tuple(axis for axis in range(weight.ndim) if axis != s)
                    made[place, s] = weight.sum(others) @ np.arange(weight.shape[s]) / total
        return made


def _spans(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Iterator[slice]:
    """Divide masks into runs whose pixels lie within `PIXELS_AT_ONCE`, one mask at least each."""
    cuts, first = [0], 0
    for n in range(1, len(starts)):
        if ends[n] - starts[first] > PIXELS_AT_ONCE:
            cuts.append(n)
            first = n
    for low, high in pairwise([*cuts, len(starts)]):
        if high > low:
            yield slice(low, high)


def _sums(values: NDArray[np.float64], edges: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the sum of each stretch [edges[2n], edges[2n + 1]), none of them empty."""
    # A last zero, since reduceat takes no edge behind the last value.
    return np.add.reduceat(np.append(values, 0.0), edges)[::2] if len(edges) else np.zeros(0)
