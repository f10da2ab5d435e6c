"""Read-in by attention: each patch looks at a token of every column, and takes what it wants.

Axes as in model.py: B window, L sample, V column, P patch, S sample in a patch, D feature, R row of
a column that is read, H head, K feature of a head.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

MOST_TOKENS = 4096
"""Columns at once: in training so many are drawn each step, in answers all are read in turn."""


class TokenPool(nn.Module):
    """Cross-attention of the latent of a patch to tokens of all columns in that patch.

    A token is what the column adds to a pooled read-in, by itself, beside who the column is. Unlike
    a sum it can be weighed by what the other columns and the latent say (POYO, Azabou et al. 2023,
    arXiv:2310.16046).
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.latent_norm, self.token_norm = nn.RMSNorm(width), nn.RMSNorm(width)
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.name = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(
        self,
        latent_BPD: Tensor,
        read_BLV: Sequence[Tensor],
        shown_BLV: Tensor,
        row_RSVD: Tensor,
    ) -> Tensor:
        """Return what each patch takes from the columns that are shown in it, (B, P, D).

        Nothing, where none is shown.

        read_BLV : for each row of a column the values that it is multiplied with
        """
        patch, columns = row_RSVD.shape[1:3]
        query_BPHK = self.query(self.latent_norm(latent_BPD)).unflatten(2, (self.heads, -1))
        query_BPHK = query_BPHK * query_BPHK.shape[3] ** -0.5
        most_BPH = query_BPHK.new_full(query_BPHK.shape[:3], -torch.inf)
        weight_BPH = torch.zeros_like(most_BPH)
        taken_BPHK = torch.zeros_like(query_BPHK)
        for own_V in self._turns(columns, row_RSVD.device):
            row_RSVD_own = row_RSVD[:, :, own_V]
            token_BPVD = self.name(row_RSVD_own.mean((0, 1)))
            for values_BLV, row_SVD in zip(read_BLV, row_RSVD_own, strict=True):
                values_BPSV = values_BLV[..., own_V].unflatten(1, (-1, patch))
                token_BPVD = token_BPVD + torch.einsum("bpsv,svd->bpvd", values_BPSV, row_SVD)
            token_BPVD = self.token_norm(token_BPVD)
            key_BPVHK = self.key(token_BPVD).unflatten(3, (self.heads, -1))
            value_BPVHK = self.value(token_BPVD).unflatten(3, (self.heads, -1))
            score_BPHV = torch.einsum("bphk,bpvhk->bphv", query_BPHK, key_BPVHK)
            shown_BPV = shown_BLV[..., own_V].unflatten(1, (-1, patch)).any(2)
            score_BPHV = score_BPHV.masked_fill(~shown_BPV[:, :, None], -torch.inf)
            # Softmax over all turns: what was taken so far is scaled to the greatest score yet.
            before_BPH, most_BPH = most_BPH, torch.maximum(most_BPH, score_BPHV.detach().amax(3))
            zero_BPH = torch.where(most_BPH.isfinite(), most_BPH, 0.0)
            share_BPHV = (score_BPHV - zero_BPH[..., None]).exp()
            kept_BPH = (before_BPH - zero_BPH).exp()
            weight_BPH = weight_BPH * kept_BPH + share_BPHV.sum(3)
            added_BPHK = torch.einsum("bphv,bpvhk->bphk", share_BPHV, value_BPVHK)
            taken_BPHK = taken_BPHK * kept_BPH[..., None] + added_BPHK
        found_BPHK = (
            taken_BPHK / weight_BPH.clamp_min(torch.finfo(taken_BPHK.dtype).tiny)[..., None]
        )
        found_BPD: Tensor = self.out(found_BPHK.flatten(2))
        return found_BPD

    def _turns(self, columns: int, device: torch.device) -> Sequence[Tensor]:
        if self.training and columns > MOST_TOKENS:
            return (torch.randperm(columns, device=device)[:MOST_TOKENS],)
        every: Sequence[Tensor] = torch.arange(columns, device=device).split(MOST_TOKENS)
        return every
