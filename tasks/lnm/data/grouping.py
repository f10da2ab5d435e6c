"""Which columns are hidden and imputed together: some units, a whole stream, a whole region."""

import numpy as np

from tasks.lnm.data.masks import Together
from tasks.lnm.data.recording import Bools, Columns, Ints

UNIT_FOLDS = 5


def hide_together(columns: Columns, seed: int, *, regions: bool = False) -> Together:
    """Return which columns are imputed together, whole regions if asked; see `masks.Together`."""
    none_V = np.full(len(columns.names), -1, np.int64)
    return {
        "impute": deal_units(columns.neural, np.random.default_rng(seed)),
        "stream": number_streams(columns),
        "region": number_regions(columns) if regions else none_V,
    }


def number_streams(columns: Columns) -> Ints:
    """Number the streams that are imputed from all the others together.

    Not those of which decoding or encoding asks the same: all the behaviour, or all the units.
    """
    stream_V, number_V = np.array(columns.streams), np.full(len(columns.streams), -1, np.int64)
    number = 0
    for stream in dict.fromkeys(columns.streams):
        own_V = stream_V == stream
        if own_V.all() or (own_V == columns.neural).all() or (own_V != columns.neural).all():
            continue
        number_V[own_V] = number
        number += 1
    return number_V


def number_regions(columns: Columns) -> Ints:
    """Number the regions whose units are imputed from all else, where there are two or more."""
    region_V = np.array(columns.regions or ("",) * len(columns.names), dtype=object)
    known_V = columns.neural & (region_V != "")
    number_V = np.full(len(region_V), -1, np.int64)
    found = dict.fromkeys(region_V[known_V])
    if len(found) > 1:
        for number, region in enumerate(found):
            number_V[known_V & (region_V == region)] = number
    return number_V


def deal_units(neural_V: Bools, rng: np.random.Generator) -> Ints:
    """Deal units at random into the groups that are hidden together; a lone unit has none."""
    fold_V = np.full(len(neural_V), -1, np.int64)
    units = np.flatnonzero(neural_V)
    if len(units) >= 2:
        fold_V[rng.permutation(units)] = np.arange(len(units)) % min(UNIT_FOLDS, len(units))
    return fold_V


def visibility_groups(columns: Columns) -> tuple[int, ...]:
    """Number the groups: one for each stream of units, one for each behaviour channel."""
    units = zip(columns.streams, columns.neural, strict=True)
    keys = [
        stream if unit else f"{stream}\0{first}"
        for (stream, unit), first in zip(units, columns.first, strict=True)
    ]
    order = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return tuple(order[key] for key in keys)
