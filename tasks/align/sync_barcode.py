"""Lines that carry numbers: words of bits, decoded so that each pulse has a number of its own."""

import numpy as np
from numpy.typing import NDArray

from schemas.settings.sync import BarcodeSettings
from tasks.align.sync_chains import PLACES, Pulses, Times


def read_barcode(rise_P: Times, fall_P: Times, barcode: BarcodeSettings) -> Pulses:
    """Return the rising edges of a line, numbered by the word they belong to and their place.

    A word begins with the first rising edge after the last word's length has passed. A word that
    was damaged gets a number that the other side lacks, so its pulses stay without a partner.

    Parameters
    ----------
    rise_P, fall_P : start and end of each pulse in seconds, in recorded order
    """
    length = barcode.start_s + barcode.bits * barcode.bit_s
    label_P = np.full(len(rise_P), -1, np.int64)
    first = 0
    while first < len(rise_P):
        stop = first + 1
        while stop < len(rise_P) and 0 <= rise_P[stop] - rise_P[first] < length:
            stop += 1
        word = _read_word(rise_P[first:stop], fall_P[first:stop], barcode)
        place = np.rint((rise_P[first:stop] - rise_P[first]) / barcode.bit_s).astype(np.int64)
        label_P[first:stop] = word * PLACES + np.minimum(place, PLACES - 1)
        first = stop
    return Pulses(np.asarray(rise_P, np.float64), label_P)


def _read_word(rise_E: Times, fall_E: Times, barcode: BarcodeSettings) -> int:
    """Return the number in one word: each bit is the state of the line in the bit's middle."""
    bit = np.arange(barcode.bits)
    middle_B = rise_E[0] + barcode.start_s + (bit + 0.5) * barcode.bit_s
    edge_B = np.searchsorted(rise_E, middle_B, side="right") - 1
    high_B: NDArray[np.bool_] = middle_B < fall_E[edge_B]
    return int(np.sum(high_B.astype(np.int64) << bit))
