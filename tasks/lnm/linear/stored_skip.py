"""The skip as named arrays and JSON, and back; only what a query needs of it."""

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from tasks.lnm.data.recording import Columns, Floats, Scaler
from tasks.lnm.linear.lift import Lift
from tasks.lnm.linear.maps import Blend, SkipMap
from tasks.lnm.linear.members import Affine, Axes, Library, Member, Neighbours
from tasks.lnm.linear.ridge import Ridge

Arrays = dict[str, np.ndarray]
LIBRARY = tuple(field.name for field in fields(Library))
LIFT = tuple(field.name for field in fields(Lift))


def describe_map(own: SkipMap) -> dict[str, Any]:
    """Return what JSON tells of a map."""
    return {
        "reduced": own.axes_IR is not None,
        "searches": own.library is not None,
        "blends": [
            {
                "members": {name: _describe(member) for name, member in blend.members.items()},
                "mean": list(blend.mean),
                "median": list(blend.median),
            }
            for blend in own.blends
        ],
    }


def _affine(own: SkipMap) -> list[Affine]:
    """Return the affine members of all blends of a map, which share their axes and their lift."""
    members = (member for blend in own.blends for member in blend.members.values())
    return [member for member in members if isinstance(member, Affine)]


def _describe(member: Member) -> dict[str, Any]:
    if isinstance(member, Affine):
        parts = {"wide": member.axes is not None, "lifted": member.lift is not None}
        return {"kind": "affine", "log": member.log, "point": member.point, **parts}
    return {"kind": "neighbours"}


def map_arrays(own: SkipMap) -> Arrays:
    """Return a map's arrays by name."""
    arrays: Arrays = {"inputs": own.inputs, "outputs": own.outputs}
    if own.axes_IR is not None:
        arrays["axes"] = own.axes_IR
    if own.library is not None:
        arrays |= {f"library.{name}": getattr(own.library, name) for name in LIBRARY}
    for affine in _affine(own):
        if affine.axes is not None:
            arrays["axes_of_outputs"] = affine.axes.axes_RO
        if affine.lift is not None:
            arrays |= {f"lift.{name}": getattr(affine.lift, name) for name in LIFT}
    for at, blend in enumerate(own.blends):
        for functional, weights in (("mean", blend.mean), ("median", blend.median)):
            arrays |= {f"{at}.{functional}.{name}": w for name, w in weights.items()}
        for name, member in blend.members.items():
            arrays |= _member_arrays(f"{at}.member.{name}", member)
    return arrays


def _member_arrays(key: str, member: Member) -> Arrays:
    if isinstance(member, Affine):
        maps = member.maps
        parts: Arrays = {} if member.axes is None else {f"{key}.along": member.axes.anchor_R}
        return {
            **parts,
            # Queries use the fit to all training rows alone, which is the last.
            f"{key}.weights": maps.weights_KFO[-1:],
            f"{key}.bias": maps.bias_KO[-1:],
            f"{key}.penalty": maps.penalty_O,
            f"{key}.error": maps.error_O,
            f"{key}.anchor": member.anchor_O,
            f"{key}.shift": member.shift_O,
        }
    if not isinstance(member, Neighbours):
        raise TypeError(f"{type(member).__name__} is not stored")
    return {
        f"{key}.target": member.target_XO,
        f"{key}.last": member.last_XO,
        f"{key}.count": member.count_O,
        f"{key}.anchor": member.anchor_O,
    }


def read_map(
    key: str, entry: Mapping[str, Any], arrays: Arrays, scaler: Scaler, columns: Columns
) -> SkipMap:
    """Put a map together from its arrays, whose names start with `key`."""
    outputs = arrays[f"{key}.outputs"]
    library = None
    if entry["searches"]:
        library = Library(*(arrays[f"{key}.library.{name}"] for name in LIBRARY))
    about = (scaler.take(outputs), columns.counts[outputs])
    wide, lift = arrays.get(f"{key}.axes_of_outputs"), _read_lift(key, arrays)
    blends = []
    for at, told in enumerate(entry["blends"]):
        members = {
            name: _read_member(f"{key}.{at}.member.{name}", kind, arrays, about, wide, lift)
            for name, kind in told["members"].items()
        }
        mean, median = (
            {name: arrays[f"{key}.{at}.{functional}.{name}"] for name in told[functional]}
            for functional in ("mean", "median")
        )
        blends.append(Blend(members, mean, median))
    axes = arrays[f"{key}.axes"] if entry["reduced"] else None
    return SkipMap(arrays[f"{key}.inputs"], outputs, axes, library, tuple(blends))


def _read_lift(key: str, arrays: Arrays) -> Lift | None:
    """Return the lift of a map. Up to format 7 each of its members had a copy."""
    stored = re.compile(re.escape(key) + r"\.(?:\d+\.member\.\w+\.)?lift\.")
    if (first := next(filter(stored.match, arrays), None)) is None:
        return None
    prefix = first.rpartition(".")[0]
    return Lift(*(arrays[f"{prefix}.{name}"] for name in LIFT))


def _read_member(
    key: str,
    told: Mapping[str, Any],
    arrays: Arrays,
    about: tuple[Scaler, np.ndarray],
    wide: Floats | None,
    lift: Lift | None,
) -> Member:
    if told["kind"] == "neighbours":
        target, last = arrays[f"{key}.target"], arrays[f"{key}.last"]
        return Neighbours(target, last, arrays[f"{key}.count"], arrays[f"{key}.anchor"], *about)
    maps = Ridge(*(arrays[f"{key}.{name}"] for name in ("weights", "bias", "penalty", "error")))
    anchor, shift = arrays[f"{key}.anchor"], arrays[f"{key}.shift"]
    axes = None if wide is None or not told["wide"] else Axes(wide, arrays[f"{key}.along"])
    # A model saved before there were lifts has none.
    own = lift if told.get("lifted", False) else None
    return Affine(maps, anchor, shift, *about, told["log"], told["point"], axes, own)
