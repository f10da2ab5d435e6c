"""Reading on where pynwb would refuse a whole file for one odd number."""

import numpy as np
from hdmf.build import Builder, BuildManager, DatasetBuilder, GroupBuilder

from tasks.ingest.clocks import single_number
from tasks.ingest.objects import Container


class LenientManager(BuildManager):
    """hdmf's manager, which also takes rates that were written as arrays.

    pynwb takes a rate for a single number and gives up on the whole file if one is an array (seen
    in the wild: neurosift issue 306). An array of one value is that value; one of several is no
    rate, and its series is left out by name.
    """

    def construct(self, builder: Builder) -> Container:
        """Return the object that a builder describes."""
        if isinstance(builder, GroupBuilder):
            start = builder.datasets.get("starting_time")
            if isinstance(start, DatasetBuilder) and "rate" in start.attributes:
                start.attributes["rate"] = single_rate(start.attributes["rate"])
        return super().construct(builder)


def single_rate(rate: object) -> object:
    """Return an array of rates as one number, NaN if it holds several; other values as they are."""
    if not isinstance(rate, list | tuple | np.ndarray) or np.ndim(rate) == 0:
        return rate
    return single_number(rate)
