"""Embeddings of units and channels, guessed by what is known of each.

Axes as in model.py: V column, F trait, G visibility group, D feature.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from tasks.lnm.network.traits import TRAITS

READ, WRITTEN, FLAGS = 2, 3, 2
"""Rows of a column: read-in of values and of the skip's prediction; read-out of location, scale and
median; read-in of the shares that are visible and that the skip predicts."""
GUESS_WIDTH = 16
GUESS_GAIN = 4.0


class Rows(NamedTuple):
    """Embeddings of all columns: each (row, sample of the patch, column or group, feature)."""

    read: Tensor
    write: Tensor
    flags: Tensor


class Guess(nn.Module):
    """Rows of a column by its traits (Ha et al. 2016, arXiv:1609.09106): those of no column alone.

    Read-outs start at zero. Rows that are read shrink with the units of a group, so that a sum over
    many units is of the size of one over few.
    """

    def __init__(self, patch: int, width: int) -> None:
        super().__init__()
        self.patch, self.width = patch, width
        self.hidden = nn.Linear(TRAITS, GUESS_WIDTH)
        self.read = nn.Linear(GUESS_WIDTH + TRAITS, READ * patch * width)
        self.write = nn.Linear(GUESS_WIDTH + TRAITS, WRITTEN * patch * width)
        self.flags = nn.Linear(GUESS_WIDTH + TRAITS, FLAGS * patch * width)
        nn.init.zeros_(self.write.weight)
        nn.init.zeros_(self.write.bias)

    def forward(self, traits_VF: Tensor, share_VG: Tensor, asked_A: Tensor | None = None) -> Rows:
        """Return the guessed rows of columns and of the flags of groups.

        asked_A : numbers of the columns whose written rows are returned; None for all
        """
        known_VF = torch.cat([functional.silu(self.hidden(traits_VF)), traits_VF], dim=1)
        share_V1 = share_VG.sum(1, keepdim=True)
        return Rows(
            self._rows(self.read(known_VF) * GUESS_GAIN * share_V1),
            self._rows(self.write(take_columns(known_VF, asked_A, 0))),
            self._rows(self.flags(share_VG.T @ known_VF)),
        )

    def _rows(self, guessed_VR: Tensor) -> Tensor:
        rows: Tensor = guessed_VR.unflatten(1, (-1, self.patch, self.width))
        return rows.permute(1, 2, 0, 3)


def take_columns(tensor: Tensor, asked_A: Tensor | None, axis: int) -> Tensor:
    """Return the asked columns of a tensor."""
    return tensor if asked_A is None else tensor.index_select(axis, asked_A)
