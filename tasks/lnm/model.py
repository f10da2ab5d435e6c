"""The large neural model: a masked transformer over neurons and behaviour, whole in this file.

Axes: B window, L sample, V column (unit or channel), P patch, S sample in a patch, D feature,
G visibility group, H head, K feature of a head.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from schemas.settings.lnm import Preset

PRESETS: dict[Preset, tuple[int, int, int]] = {
    "nano": (64, 2, 4),
    "small": (256, 6, 8),
    "base": (512, 10, 8),
    "large": (768, 12, 12),
}
"""Features, layers, heads."""

CORE = ("blocks.", "norm.")
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
    counts : (column,) true where the head is Poisson
    """

    preset: Preset
    window: int
    patch: int
    rate_hz: float
    groups: tuple[int, ...]
    neural: tuple[bool, ...]
    counts: tuple[bool, ...]
    dropout: float = 0.0


class Inputs(NamedTuple):
    """One batch of windows.

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


class Prediction(NamedTuple):
    """A distribution for every value: normal for continuous columns, Poisson for counts.

    location_BLV : mean z-score; for counts log(rate / mean rate of training)
    scale_BLV : standard deviation of the normal, in z-scores; unused for counts
    middle_BLV : median of forecasts, a z-score for counts too; what absolute errors go by
    """

    location_BLV: Tensor
    scale_BLV: Tensor
    middle_BLV: Tensor


class LargeNeuralModel(nn.Module):
    """Predict every value of a window from those that are visible.

    Read-in: each token is the sum over columns of value times embedding (any number of units, one
    product), plus the visible fraction of each group, plus the skip's prediction of what is hidden.
    Read-out: one embedding a column and sample. The read-out starts at zero, so that before
    training the model is the skip's prediction; `gate_BLV` = 0 makes it so again.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        width, layers, heads = PRESETS[config.preset]
        columns, groups = len(config.groups), max(config.groups) + 1
        membership_VG = torch.zeros(columns, groups)
        membership_VG[torch.arange(columns), torch.tensor(config.groups)] = 1.0
        self.share_VG: Tensor
        self.least_V: Tensor
        self.most_V: Tensor
        self.neural_V: Tensor
        self.register_buffer("share_VG", membership_VG / membership_VG.sum(0), persistent=False)
        counts_V = torch.tensor(config.counts)
        most_V = torch.where(counts_V, MOST_LOG_RATE, math.inf)
        least_V = torch.where(counts_V, -2 * MOST_LOG_RATE, -math.inf)
        self.register_buffer("least_V", least_V, persistent=False)
        self.register_buffer("most_V", most_V, persistent=False)
        self.register_buffer("neural_V", torch.tensor(config.neural), persistent=False)
        # Embeddings scaled so that each group adds a token of unit variance, however many units.
        spread_V = (membership_VG / membership_VG.sum(0).sqrt()).sum(1) / math.sqrt(config.patch)
        self.read_values = nn.Parameter(_embedding(spread_V, config.patch, width))
        self.read_base = nn.Parameter(_embedding(spread_V, config.patch, width))
        self.read_flags = nn.Linear(3 * groups * config.patch, width)
        self.blocks = nn.ModuleList(Block(width, heads, config.dropout) for _ in range(layers))
        self.norm = Norm(width)
        self.location = nn.Linear(width, config.patch * columns)
        self.log_scale = nn.Linear(width, config.patch * columns)
        self.middle = nn.Linear(width, config.patch * columns)
        for head in (self.location, self.log_scale, self.middle):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        half = width // heads // 2
        slowest, fastest = config.window / config.rate_hz * 2, config.patch / config.rate_hz * 2
        periods_s = torch.logspace(math.log10(fastest), math.log10(slowest), half)
        self.register_buffer("angular_K", 2 * math.pi / periods_s, persistent=False)
        self.angular_K: Tensor

    def forward(self, inputs: Inputs) -> Prediction:
        """Return the distribution of every value, visible or not."""
        return self._predict(self.norm(self.layers(inputs)[-1]), inputs)

    def layers(self, inputs: Inputs) -> list[Tensor]:
        """Return the (window, patch, feature) tokens as they are read and after each block."""
        tokens_BPD = self._read(inputs)
        patch = self.config.patch
        time_BP = inputs.time_BL.unflatten(1, (-1, patch)).mean(2)
        angle_BPK = (time_BP - time_BP[:, :1])[..., None] * self.angular_K
        rotation = (angle_BPK.cos()[:, None], angle_BPK.sin()[:, None])
        inside_BP = inputs.inside_BL.unflatten(1, (-1, patch)).any(2)
        # No mask where nothing is padded: SDPA is faster without one.
        mask = None if bool(inside_BP.all()) else inside_BP[:, None, None, :]
        found = [tokens_BPD]
        for block in self.blocks:
            found.append(block(found[-1], rotation, mask))
        return found

    def _read(self, inputs: Inputs) -> Tensor:
        visible_BLV = inputs.visible_BLV.float()
        seen_BLV = inputs.values_BLV.clamp(-FARTHEST_Z, FARTHEST_Z) * visible_BLV
        given_BLV = inputs.given_BLV.float()
        base_BLV = inputs.base_BLV.clamp(-FARTHEST_Z, FARTHEST_Z) * given_BLV
        inside_BL1 = inputs.inside_BL.float()[..., None]
        flags_BLG = torch.cat(
            [
                visible_BLV @ self.share_VG,
                given_BLV @ self.share_VG,
                inside_BL1.expand(-1, -1, self.share_VG.shape[1]),
            ],
            dim=2,
        )
        tokens_BPD: Tensor = (
            self._patches(seen_BLV) @ self.read_values
            + self._patches(base_BLV) @ self.read_base
            + self.read_flags(self._patches(flags_BLG))
        )
        return tokens_BPD

    def _patches(self, x_BLC: Tensor) -> Tensor:
        batch, window, columns = x_BLC.shape
        patch = self.config.patch
        return x_BLC.reshape(batch, window // patch, patch * columns)

    def _predict(self, hidden_BPD: Tensor, inputs: Inputs) -> Prediction:
        shape = inputs.values_BLV.shape
        learned_BLV = self.location(hidden_BPD).reshape(shape)
        location_BLV = inputs.base_BLV + inputs.gate_BLV * learned_BLV
        scale_BLV = self.log_scale(hidden_BPD).reshape(shape).exp()
        middle_BLV = self.middle(hidden_BPD).reshape(shape)
        return Prediction(
            location_BLV.clamp(self.least_V, self.most_V),
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


def _embedding(spread_V: Tensor, patch: int, width: int) -> Tensor:
    """Draw (patch * column, width) embeddings, each column's with its own spread."""
    return torch.randn(patch * len(spread_V), width) * spread_V.repeat(patch)[:, None]


def losses(prediction: Prediction, z_BLV: Tensor, heads: "Heads") -> tuple[Tensor, Tensor]:
    """Return what each value costs, in units of what predicting its mean would cost.

    First the error of the location: squared for continuous columns, the Poisson deviance for
    counts; 1 on average for the mean predictor. Second the negative log-likelihood of the scale
    about the detached location (0 for counts): so the noise a column has does not
    weigh on its mean (beta-NLL with beta 1; Seitzer et al. 2022, arXiv:2203.09168).
    """
    location, scale, _ = prediction
    squared = (z_BLV - location) ** 2
    spread = 0.5 * squared.detach() / scale**2 + scale.log()
    if not bool(heads.counts_V.any()):
        return squared, spread
    count = (z_BLV * heads.sd_V + heads.mean_V).clamp_min(0)
    # Continuous columns pass through both branches: a mean of 1 keeps theirs, unused, finite.
    log_rate = torch.where(heads.counts_V, location + heads.log_mean_V, 0.0)
    deviance = 2 * (torch.xlogy(count, count) - count * log_rate - count + log_rate.exp())
    error = torch.where(heads.counts_V, deviance / heads.deviance_V, squared)
    return error, torch.where(heads.counts_V, 0.0, spread)


class Heads(NamedTuple):
    """What turns z-scores into counts and losses into shares of the mean predictor's.

    mean_V, sd_V, log_mean_V : of training, in each column's own units; log of counts only
    deviance_V : mean Poisson deviance of the mean predictor in training
    counted_C : numbers of the columns of counts
    """

    counts_V: Tensor
    mean_V: Tensor
    sd_V: Tensor
    log_mean_V: Tensor
    deviance_V: Tensor
    counted_C: Tensor

    def take(self, columns: Tensor) -> "Heads":
        """Return what the losses of single values need, given the column of each."""
        own = [tensor[columns] for tensor in self[:-1]]
        return Heads._make([*own, self.counts_V[columns].nonzero()[:, 0]])


def visibility_groups(neural: np.ndarray, streams: tuple[str, ...]) -> tuple[int, ...]:
    """Number the groups: one for each stream of units, one for each behaviour channel."""
    keys = [
        s if unit else f"{s}\0{i}" for i, (s, unit) in enumerate(zip(streams, neural, strict=True))
    ]
    order = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return tuple(order[key] for key in keys)
