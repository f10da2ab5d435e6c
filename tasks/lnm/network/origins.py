"""Embeddings of the session, the animal and the species that a recording is of."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

DROPOUT = 0.3
"""Share of windows in training that do not say so: what is known of one must do without it too."""


class Origins(nn.Module):
    """What every token is told of where the recording comes from.

    One row a label ("animal M26"), zero before training. A session adds the rows of its own labels,
    each left out of some windows in training, so that the core also knows what to do with sessions,
    animals and species that it never saw (their rows add nothing).
    """

    def __init__(self, labels: Sequence[str], width: int) -> None:
        super().__init__()
        self.labels = tuple(labels)
        self.row_OD = nn.Parameter(torch.zeros(len(self.labels), width))

    def forward(self, own: Iterable[str], batch: int) -> Tensor:
        """Return what the tokens of each window are told, (batch, 1, feature).

        own : labels of the session; those that the core does not know are passed over
        """
        known = [self.labels.index(label) for label in own if label in self.labels]
        row_OD = self.row_OD[known]
        shown_BO = torch.ones(batch, len(known), device=row_OD.device, dtype=row_OD.dtype)
        if self.training:
            shown_BO = (torch.rand_like(shown_BO) >= DROPOUT).to(row_OD.dtype)
        return (shown_BO @ row_OD)[:, None]


def gather_labels(labels: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """Return the labels of several sessions, each once; none where there is but one session."""
    every = list(labels)
    if len(every) < 2:
        return ()
    return tuple(dict.fromkeys(label for own in every for label in own))
