"""Tracked points as movement lays them out: time, space, keypoint, individual."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from tasks.ingest.lazy import LazyArray, lazy_variable
from tasks.ingest.lazy_views import StackedPoints, scale
from tasks.ingest.names import unit_symbol
from tasks.ingest.objects import NwbObject, ReadContext, stored_path
from tasks.ingest.sampled import Samples, group_attrs

ONE_ANIMAL = "individual_0"
"""movement's name for the animal where a file names none."""

Point = tuple[str, str]
"""(individual, keypoint)"""


@dataclass(frozen=True)
class Tracked:
    """One tracked point: whose and which it is, its series, its samples."""

    point: Point
    series: NwbObject
    samples: Samples


def is_full_grid(points: Sequence[Point]) -> bool:
    """Tell whether every individual has every keypoint, once."""
    individuals, keypoints = ({point[axis] for point in points} for axis in (0, 1))
    return len(set(points)) == len(points) == len(individuals) * len(keypoints)


def pose_dataset(found: NwbObject, tracked: Sequence[Tracked], context: ReadContext) -> xr.Dataset:
    """Stack points of one clock and one shape; nothing is read.

    Returns
    -------
    position (time, space, keypoint, individual) and, if every point has one, confidence
    (time, keypoint, individual).
    """
    by_point = _grid(tracked)
    individuals = list(dict.fromkeys(individual for individual, _ in by_point))
    keypoints = list(dict.fromkeys(keypoint for _, keypoint in by_point))
    rows = [
        [by_point[individual, keypoint] for individual in individuals] for keypoint in keypoints
    ]
    first = tracked[0]
    position = lazy_variable(
        ("time", "space", "keypoint", "individual"),
        StackedPoints([[_scaled(one) for one in row] for row in rows]),
        {"units": unit_symbol(first.series.text("unit"))},
    )
    space = list("xyz")[: first.samples.array.shape[1]]
    names = {"space": space, "keypoint": keypoints, "individual": individuals}
    labels = {
        dim: xr.Variable((dim,), np.asarray(values, dtype=str)) for dim, values in names.items()
    }
    clock = first.samples.clock
    coords = xr.Coordinates({"time": clock.variable(), **labels}, indexes={})
    attrs = {**group_attrs("pose", found, "position"), **clock.attrs(), **_pose_attrs(found)}
    if clock.regular:
        attrs["fps"] = clock.rate_hz
    variables = {"position": position, **_confidence(rows, context)}
    return xr.Dataset(variables, coords, attrs)


def _grid(tracked: Sequence[Tracked]) -> dict[Point, Tracked]:
    """Return points by name; if some are missing, all as keypoints of one animal."""
    if is_full_grid([one.point for one in tracked]):
        return {one.point: one for one in tracked}
    return {(ONE_ANIMAL, one.series.name): one for one in tracked}


def _scaled(tracked: Tracked) -> LazyArray:
    conversion = tracked.series.field("conversion")
    factor = 1.0 if conversion is None else float(conversion)
    offset = float(tracked.series.field("offset") or 0.0)
    return scale(tracked.samples.array, factor, offset)[0]


def _confidence(rows: list[list[Tracked]], context: ReadContext) -> dict[str, xr.Variable]:
    """Return the confidence of the points; none if a point has none of the right length."""
    everyone = [one for row in rows for one in row]
    given = [one.series.field("confidence") for one in everyone]
    if all(confidence is None for confidence in given):
        return {}
    sizes = [np.shape(confidence) for confidence in given]
    expected = (everyone[0].samples.clock.size,)
    if any(size != expected for size in sizes):
        what = f"Confidence of shapes {sorted(set(sizes))} does not fit {expected} samples."
        context.note("length_mismatch", "warning", what, everyone[0].series.path)
        return {}
    arrays = [[context.arrays.lazy(one.series.field("confidence")) for one in row] for row in rows]
    variable = lazy_variable(("time", "keypoint", "individual"), StackedPoints(arrays))
    variable.attrs = {"units": "1", "definition": _definition(everyone[0].series)}
    return {"confidence": variable}


def _definition(series: NwbObject) -> str:
    """Return what the confidence means; the field's name depends on ndx-pose's version."""
    return series.text("confidence_definition") or series.text("confidence__definition")


def _pose_attrs(found: NwbObject) -> dict[str, Any]:
    """Return what movement and a report want to know about the tracking."""
    attrs: dict[str, Any] = {"ds_type": "poses", "time_unit": "seconds"}
    for name in ("source_software", "scorer"):
        if text := found.text(name):
            attrs[name] = text
    if camera := getattr(found.field("device"), "name", ""):
        attrs["camera"] = str(camera)
    if videos := _videos(found):
        attrs["source_video"] = json.dumps(videos)
    # ndx-pose 0.1 has nodes and edges on the pose itself.
    skeleton = found.field("skeleton") or found.container
    for name in ("nodes", "edges"):
        values = getattr(skeleton, name, None)
        if values is not None and len(values):
            attrs[f"skeleton_{name}"] = json.dumps(np.asarray(values[:]).tolist())
    return attrs


def _videos(found: NwbObject) -> list[str]:
    """Return the videos that were tracked: the path of an object in the file, or file names."""
    linked = found.field("source_video")
    if linked is not None:
        return [stored_path(linked) or str(linked.name)]
    named = found.field("original_videos")
    return [] if named is None else [str(path) for path in named[:]]
