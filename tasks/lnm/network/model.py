"""The large neural model: a masked transformer over neurons and behaviour.

Axes: B window, L sample, V column (unit or channel), P patch, S sample in a patch, D feature,
G visibility group, H head, K feature of a head.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from schemas.settings.lnm import Preset, ReadIn
from tasks.lnm.network.guess import READ, WRITTEN, Guess, Rows, take_columns
from tasks.lnm.network.heads import HeadName
from tasks.lnm.network.origins import Origins
from tasks.lnm.network.tokens import TokenPool
from tasks.lnm.network.traits import TRAITS

PRESETS: dict[Preset, tuple[int, int, int]] = {
    "nano": (64, 2, 4),
    "small": (256, 6, 8),
    "base": (512, 10, 8),
    "large": (768, 12, 12),
}
"""Features, layers, heads."""

CORE = ("blocks.", "norm.", "guess.", "inside.", "pool.", "origins.")
"""Names of the weights that do not depend on a session's columns start with these."""

FARTHEST_Z = 8.0
LEAST_SCALE, MOST_SCALE = 1e-2, 10.0
MOST_LOG_RATE = 5.0


@dataclass(frozen=True)
class ModelConfig:
    """What fixes the shape of the network.

    groups : (column,) visibility group of each column: units of a stream share one and show
        the fraction that is visible; each behaviour channel has its own
    neural : (column,) true for units
    heads : (column,) name of the family of distributions, see heads.py
    row_dropout : share of the columns whose own rows are left out of a training step, so that the
        guess must do
    read_in : sums over columns alone, or attention to a token of each column and patch besides
    origin : labels of the session, its animal and its species
    origins : labels that the core has embeddings of
    """

    preset: Preset
    window: int
    patch: int
    rate_hz: float
    groups: tuple[int, ...]
    neural: tuple[bool, ...]
    heads: tuple[HeadName, ...]
    dropout: float = 0.0
    row_dropout: float = 0.0
    read_in: ReadIn = "pooled"
    origin: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()


class Inputs(NamedTuple):
    """One batch of windows; gates, spread and medians are of the columns that are asked for alone.

    values_BLV : z-scores; whatever is not visible is set to 0 before it is read
    visible_BLV : true where the model may see the value
    base_BLV : the skip's prediction of hidden values, 0 where there is none
    given_BLV : true where there is such a prediction
    gate_BLV : share of the network's output that is added to it
    spread_BLV : times the network's scale gives the standard deviation
    middle_BLV, middle_gate_BLV : the skip's median (z-score) and the share of the network's that
        is added; of forecasts only
    time_BL : seconds
    inside_BL : false for padding after a short run
    asked_A : numbers of the columns that are asked for; None for all
    """

    values_BLV: Tensor
    visible_BLV: Tensor
    base_BLV: Tensor
    given_BLV: Tensor
    gate_BLV: Tensor
    spread_BLV: Tensor
    middle_BLV: Tensor
    middle_gate_BLV: Tensor
    time_BL: Tensor
    inside_BL: Tensor
    asked_A: Tensor | None = None

    def change(self, how: Callable[[Tensor], Tensor]) -> "Inputs":
        """Return the inputs with all that is of each window changed."""
        return Inputs._make([*map(how, self[:-1]), self.asked_A])


class Prediction(NamedTuple):
    """What the network says of all that is asked for; `noise` and `heads` make distributions of it.

    location_BLV : mean z-score; for counts log(rate / mean rate of training)
    scale_BLV : standard deviation of what is left over, in z-scores; unused for counts
    middle_BLV : median of forecasts, a z-score for counts too; what absolute errors go by
    """

    location_BLV: Tensor
    scale_BLV: Tensor
    middle_BLV: Tensor


class LargeNeuralModel(nn.Module):
    """Predict every value of a window from those that are visible.

    Read-in: each token is the sum over columns of value times embedding (any number of units, one
    product), plus the visible fraction of each group, plus the skip's prediction of what is hidden,
    plus, where several sessions share the core, whose recording it is.
    Read-out: one embedding a column and sample. Embeddings are a guess by the column's traits,
    which any session shares, plus rows of the column's own. The read-out starts at zero, so that
    before training the model is the skip's prediction; `gate_BLV` = 0 makes it so again.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        width, layers, heads = PRESETS[config.preset]
        columns, patch = len(config.groups), config.patch
        self._describe_columns()
        spread_V = (self.member_VG / self.member_VG.sum(0).sqrt()).sum(1) / math.sqrt(patch)
        # Embeddings scaled so that each group adds a token of unit variance, however many units.
        self.read = nn.Parameter(torch.randn(READ, patch, columns, width) * spread_V[:, None])
        self.write = nn.Parameter(torch.zeros(WRITTEN, patch, columns, width))
        self.bias = nn.Parameter(torch.zeros(WRITTEN * patch * columns))
        self.guess = Guess(patch, width)
        self.inside = nn.Linear(patch, width)
        self.pool = TokenPool(width, heads) if config.read_in == "tokens" else None
        self.origins = Origins(config.origins, width) if config.origins else None
        self.blocks = nn.ModuleList(Block(width, heads, config.dropout) for _ in range(layers))
        self.norm = Norm(width)
        half = width // heads // 2
        slowest, fastest = config.window / config.rate_hz * 2, patch / config.rate_hz * 2
        periods_s = torch.logspace(math.log10(fastest), math.log10(slowest), half)
        self.register_buffer("angular_K", 2 * math.pi / periods_s, persistent=False)
        self.angular_K: Tensor

    def _describe_columns(self) -> None:
        """Keep what is known of the columns on the device of the weights."""
        config = self.config
        member_VG = functional.one_hot(torch.tensor(config.groups)).float()
        counts_V = torch.tensor([head == "negative_binomial" for head in config.heads])
        known = {
            "member_VG": member_VG,
            "share_VG": member_VG / member_VG.sum(0),
            "least_V": torch.where(counts_V, -2 * MOST_LOG_RATE, -math.inf),
            "most_V": torch.where(counts_V, MOST_LOG_RATE, math.inf),
        }
        for name, tensor in known.items():
            self.register_buffer(name, tensor, persistent=False)
        self.member_VG: Tensor
        self.share_VG: Tensor
        self.least_V: Tensor
        self.most_V: Tensor
        self.traits_VF: Tensor
        self.register_buffer("traits_VF", torch.zeros(len(config.groups), TRAITS))

    def share_core(self, other: "LargeNeuralModel") -> None:
        """Take over every module of another session's network that is not of its columns alone."""
        self.blocks, self.norm = other.blocks, other.norm
        self.guess, self.inside, self.pool = other.guess, other.inside, other.pool
        self.origins = other.origins

    def forward(self, inputs: Inputs, rows: Rows | None = None) -> Prediction:
        """Return the distribution of every value, visible or not; `rows` if they are known."""
        rows = self.rows(inputs.asked_A) if rows is None else rows
        hidden_BPD = self.norm(self._through(self._read(inputs, rows), inputs)[-1])
        return self._predict(hidden_BPD, inputs, rows)

    def rows(self, asked_A: Tensor | None = None) -> Rows:
        """Return the embeddings of all columns, those that are written of the asked ones alone."""
        guessed = self.guess(self.traits_VF, self.share_VG, asked_A)
        read: Tensor = self.read
        write: Tensor = self.write if asked_A is None else self.write[:, :, asked_A]
        if self.training and self.config.row_dropout:
            kept_V1 = (torch.rand_like(read[0, 0, :, :1]) >= self.config.row_dropout).to(read.dtype)
            read, write = read * kept_V1, write * take_columns(kept_V1, asked_A, 0)
        return Rows(read + guessed.read, write + guessed.write, guessed.flags)

    def layers(self, inputs: Inputs) -> list[Tensor]:
        """Return the (window, patch, feature) tokens as they are read and after each block."""
        return self._through(self._read(inputs, self.rows()), inputs)

    def _through(self, tokens_BPD: Tensor, inputs: Inputs) -> list[Tensor]:
        patch = self.config.patch
        time_BP = inputs.time_BL.unflatten(1, (-1, patch)).mean(2)
        angle_BPK = (time_BP - time_BP[:, :1])[..., None] * self.angular_K
        rotation = (angle_BPK.cos()[:, None], angle_BPK.sin()[:, None])
        inside_BP = inputs.inside_BL.unflatten(1, (-1, patch)).any(2)
        # No mask where nothing is padded: SDPA is faster without one. To look would break a graph.
        whole = not torch.compiler.is_compiling() and bool(inside_BP.all())
        mask = None if whole else inside_BP[:, None, None, :]
        found = [tokens_BPD]
        for block in self.blocks:
            found.append(block(found[-1], rotation, mask))
        return found

    def _read(self, inputs: Inputs, rows: Rows) -> Tensor:
        seen_BLV = inputs.values_BLV.clamp(-FARTHEST_Z, FARTHEST_Z) * inputs.visible_BLV
        base_BLV = inputs.base_BLV.clamp(-FARTHEST_Z, FARTHEST_Z) * inputs.given_BLV
        shares = [part.float() @ self.share_VG for part in (inputs.visible_BLV, inputs.given_BLV)]
        inside_BP = self._patches(inputs.inside_BL.float()[..., None])
        tokens_BPD: Tensor = self.inside(inside_BP)
        if self.origins is not None:
            tokens_BPD = tokens_BPD + self.origins(self.config.origin, len(tokens_BPD))
        read = zip((seen_BLV, base_BLV, *shares), (*rows.read, *rows.flags), strict=True)
        for values_BLC, row_SCD in read:
            tokens_BPD = tokens_BPD + self._patches(values_BLC) @ row_SCD.flatten(0, 1)
        if self.pool is not None:
            # Undone is what makes a sum over a group's columns of unit variance.
            size_V = self.member_VG @ self.member_VG.sum(0)
            row_RSVD = rows.read * size_V.sqrt()[:, None]
            shown_BLV = inputs.visible_BLV | inputs.given_BLV
            tokens_BPD = tokens_BPD + self.pool(
                tokens_BPD, (seen_BLV, base_BLV), shown_BLV, row_RSVD
            )
        return tokens_BPD

    def _patches(self, x_BLC: Tensor) -> Tensor:
        batch, window, columns = x_BLC.shape
        patch = self.config.patch
        return x_BLC.reshape(batch, window // patch, patch * columns)

    def _predict(self, hidden_BPD: Tensor, inputs: Inputs, rows: Rows) -> Prediction:
        shape, asked_A = inputs.gate_BLV.shape, inputs.asked_A
        bias = self.bias
        if asked_A is not None:
            bias = bias.unflatten(0, (WRITTEN * self.config.patch, -1))[:, asked_A].flatten()
        written = functional.linear(hidden_BPD, rows.write.flatten(0, 2), bias)
        parts = (part.reshape(shape) for part in written.chunk(WRITTEN, dim=2))
        learned_BLV, log_scale_BLV, middle_BLV = parts
        location_BLV = take_columns(inputs.base_BLV, asked_A, 2) + inputs.gate_BLV * learned_BLV
        scale_BLV = log_scale_BLV.exp()
        return Prediction(
            location_BLV.clamp(
                take_columns(self.least_V, asked_A, 0), take_columns(self.most_V, asked_A, 0)
            ),
            scale_BLV.clamp(LEAST_SCALE, MOST_SCALE) * inputs.spread_BLV,
            inputs.middle_BLV + inputs.middle_gate_BLV * middle_BLV,
        )


class Norm(nn.RMSNorm):
    """RMSNorm in float32, whatever comes in: its sums of squares do not fit bfloat16."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the features over their root mean square."""
        return super().forward(x.float())


class Block(nn.Module):
    """Attention and SwiGLU, each behind an RMSNorm and added to its input."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        inner = 8 * math.ceil(width / 3)
        self.attention_norm, self.mlp_norm = Norm(width), Norm(width)
        self.query_norm, self.key_norm = Norm(width // heads), Norm(width // heads)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 2 * inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x_BPD: Tensor, rotation: tuple[Tensor, Tensor], mask: Tensor | None
    ) -> Tensor:
        """Return the features after attention over patches and the feed-forward part."""
        qkv = self.qkv(self.attention_norm(x_BPD)).unflatten(2, (3, self.heads, -1))
        q_BHPK, k_BHPK, v_BHPK = qkv.permute(2, 0, 3, 1, 4)
        attended_BHPK = functional.scaled_dot_product_attention(
            rotate(self.query_norm(q_BHPK), rotation).to(v_BHPK.dtype),
            rotate(self.key_norm(k_BHPK), rotation).to(v_BHPK.dtype),
            v_BHPK,
            attn_mask=mask,
        )
        x_BPD = x_BPD + self.dropout(self.attention_out(attended_BHPK.transpose(1, 2).flatten(2)))
        gate, up = self.up(self.mlp_norm(x_BPD)).chunk(2, dim=2)
        fed_BPD: Tensor = self.dropout(self.down(functional.silu(gate) * up))
        return x_BPD + fed_BPD


def rotate(x_BHPK: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Turn pairs of features by angles that grow with time (Su et al. 2021, arXiv:2104.09864)."""
    cos, sin = rotation
    a, b = x_BHPK.chunk(2, dim=3)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=3)
