"""Reading on where pynwb would refuse a whole file for one odd number or one damaged column."""

from collections.abc import Callable
from typing import Any

import numpy as np
from hdmf.build import Builder, BuildManager, DatasetBuilder, GroupBuilder
from numpy.typing import NDArray

from schemas.entities import Finding
from schemas.errors import RecordingError
from tasks.ingest.clocks import single_number
from tasks.ingest.damage import damage_told, unreadable
from tasks.ingest.objects import Container

STAND_INS: dict[str, Callable[[int], NDArray[np.int64]]] = {
    # Which row of another table each row belongs to: none is told.
    "DynamicTableRegion": lambda size: np.zeros(0, np.int64),
    "ElementIdentifiers": lambda size: np.arange(size),
}
"""Columns whose first value hdmf reads on opening -> what stands for one that is damaged."""


class LenientManager(BuildManager):
    """hdmf's manager, which also takes rates that were written as arrays, and damaged columns.

    pynwb takes a rate for a single number and gives up on the whole file if one is an array (seen
    in the wild: neurosift issue 306). An array of one value is that value; one of several is no
    rate, and its series is left out by name.

    findings : what was damaged
    """

    def __init__(self, type_map: Any) -> None:
        super().__init__(type_map)
        self.findings: list[Finding] = []

    def construct(self, builder: Builder) -> Container:
        """Return the object that a builder describes."""
        if isinstance(builder, GroupBuilder):
            start = builder.datasets.get("starting_time")
            if isinstance(start, DatasetBuilder) and "rate" in start.attributes:
                start.attributes["rate"] = single_rate(start.attributes["rate"])
        elif isinstance(builder, DatasetBuilder):
            self._spare(builder)
        return super().construct(builder)

    def _spare(self, column: DatasetBuilder) -> None:
        stand_in = STAND_INS.get(str(column.attributes.get("neurodata_type")))
        size = np.size(column.data) if stand_in and np.ndim(column.data) == 1 else 0
        if not stand_in or not size:
            return
        try:
            with damage_told(str(column.path).removeprefix("root/")):
                column.data[0]
        except RecordingError as error:
            self.findings.append(unreadable("column", error))
            column["data"] = stand_in(size)


def single_rate(rate: object) -> object:
    """Return an array of rates as one number, NaN if it holds several; other values as they are."""
    if not isinstance(rate, list | tuple | np.ndarray) or np.ndim(rate) == 0:
        return rate
    return single_number(rate)
