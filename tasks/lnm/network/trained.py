"""A trained model: network, skip, gates, scaler and names; saved without pickle."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from schemas.errors import LakeError
from schemas.settings.split import SplitSettings
from tasks.lnm.data.masks import TOGETHER, TWO_SIDED, Together
from tasks.lnm.data.recording import Columns, Floats, Recording, Scaler
from tasks.lnm.data.runs import find_runs
from tasks.lnm.linear.skip import Skip
from tasks.lnm.linear.stored_skip import describe_map, map_arrays, read_map
from tasks.lnm.network.costs import Costs
from tasks.lnm.network.ensemble import Ensemble
from tasks.lnm.network.material import Material, prepare_material
from tasks.lnm.network.model import LargeNeuralModel, ModelConfig
from tasks.lnm.network.noise import Noise
from tasks.lnm.network.windows import Mixing, TaskWeights

WEIGHTS_NAME = "model.safetensors"
CONFIG_NAME = "model.json"
FORMAT, LONE = 8, 6
"""The format of today, and the oldest that is read, of a lone network."""
LISTED = ("groups", "neural", "heads", "origin", "origins")
"""Parts of the configuration that are tuples, which JSON does not know."""
NOISE_PARTS = ("factor", "power", "tail")


@dataclass(frozen=True)
class TrainedModel:
    """Everything a query needs.

    linear_skip : whether the network adds to the skip or predicts alone
    deviance_V : (column,) as in Session
    split : of the session it was trained on
    """

    network: Ensemble
    skip: Skip
    mixing: Mixing
    scaler: Scaler
    columns: Columns
    deviance_V: Floats
    linear_skip: bool
    noise: Noise
    split: SplitSettings = field(default_factory=SplitSettings)

    @property
    def rate_hz(self) -> float:
        """Samples a second of the recordings that the model reads."""
        return self.network.config.rate_hz

    @property
    def window(self) -> int:
        """Samples that the model sees at once."""
        return self.network.config.window

    def costs(self) -> Costs:
        """Return what errors of means cost, as tensors."""
        return make_costs(self.columns, self.scaler, self.deviance_V)

    def material(self, recording: Recording) -> Material:
        """Prepare a recording of the same columns for queries; runs end with segments."""
        return prepare_material(
            self.scaler.standardise(recording.values_TV),
            find_runs(recording.segment_T),
            self.skip,
            self.columns,
            self.rate_hz,
        )


def make_costs(columns: Columns, scaler: Scaler, deviance_V: Floats) -> Costs:
    """Return what errors of means cost, as tensors."""
    return Costs(
        torch.from_numpy(columns.counts),
        torch.from_numpy(scaler.mean_V),
        torch.from_numpy(scaler.sd_V),
        torch.from_numpy(np.log(np.where(columns.counts, np.maximum(scaler.mean_V, 1e-9), 1))),
        torch.from_numpy(deviance_V),
        torch.from_numpy(np.flatnonzero(columns.counts)),
    )


def save_model(model: TrainedModel, folder: Path) -> None:
    """Write model.safetensors (all arrays) and model.json (all else) into `folder`."""
    tensors = {f"network.{name}": t for name, t in model.network.state_dict().items()}
    tensors |= {name: torch.from_numpy(a) for name, a in _arrays(model).items()}
    save_file({n: t.contiguous() for n, t in tensors.items()}, str(folder / WEIGHTS_NAME))
    described = {
        "format": FORMAT,
        "network": asdict(model.network.config),
        "members": len(model.network.members),
        "columns": asdict(model.columns),
        "linear_skip": model.linear_skip,
        "split": model.split.model_dump(mode="json"),
        "horizons": list(model.skip.horizons),
        "maps": {name: describe_map(own) for name, own in model.skip.maps.items()},
    }
    (folder / CONFIG_NAME).write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")


def load_model(folder: Path) -> TrainedModel:
    """Read a saved model; its answers are bit for bit those of the model that was saved.

    Raises
    ------
    LakeError
        The folder holds no model, or one of another format.
    """
    if not (folder / CONFIG_NAME).is_file() or not (folder / WEIGHTS_NAME).is_file():
        raise LakeError(f"no {CONFIG_NAME} beside {WEIGHTS_NAME}.", where=str(folder))
    described = json.loads((folder / CONFIG_NAME).read_text(encoding="utf-8"))
    if not LONE <= described["format"] <= FORMAT:
        raise LakeError(
            f"model format {described['format']}, not {FORMAT}.",
            where=str(folder),
            remedy="Train it again with this version.",
        )
    tensors = load_file(str(folder / WEIGHTS_NAME))
    config = described["network"]
    shape = {name: tuple(config[name]) for name in LISTED if name in config}
    about = ModelConfig(**{**config, **shape})
    network = Ensemble([LargeNeuralModel(about) for _ in range(described.get("members", 1))])
    if described["format"] == LONE:
        tensors = {n.replace("network.", "network.members.0.", 1): t for n, t in tensors.items()}
    prefix = "network."
    network.load_state_dict(
        {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
    )
    network.eval()
    arrays = {n: t.numpy() for n, t in tensors.items() if not n.startswith(prefix)}
    return _assemble(network, described, arrays)


def _assemble(
    network: Ensemble, described: dict[str, Any], arrays: dict[str, np.ndarray]
) -> TrainedModel:
    scaler = Scaler(*(arrays[name] for name in ("mean", "sd", "low", "high")))
    columns = Columns(**{name: tuple(values) for name, values in described["columns"].items()})
    maps = {
        name: read_map(f"map.{name}", entry, arrays, scaler, columns)
        for name, entry in described["maps"].items()
    }
    mixing = Mixing(
        _read_weights("gate", arrays), _read_weights("spread", arrays), arrays["middle_gate"]
    )
    # A model saved before there were regions has none.
    none_V = np.full(len(columns.names), -1, np.int64)
    together: Together = {mode: arrays.get(f"together.{mode}", none_V) for mode in TOGETHER}
    return TrainedModel(
        network,
        Skip(network.config.window, tuple(described["horizons"]), together, maps),
        mixing,
        scaler,
        columns,
        arrays["deviance"],
        described["linear_skip"],
        _read_noise(arrays),
        # A model saved before it knew its split tells nothing of it.
        SplitSettings.model_validate(described.get("split", {})),
    )


def _arrays(model: TrainedModel) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {
        "mean": model.scaler.mean_V,
        "sd": model.scaler.sd_V,
        "deviance": model.deviance_V,
        "low": model.scaler.low_V,
        "high": model.scaler.high_V,
        "middle_gate": model.mixing.middle_HV,
        "noise_level": model.noise.level_RSV,
    }
    arrays |= {f"together.{mode}": own for mode, own in model.skip.together.items()}
    stored: dict[str, TaskWeights] = {"gate": model.mixing.gate, "spread": model.mixing.spread}
    stored |= {f"noise_{part}": getattr(model.noise, part) for part in NOISE_PARTS}
    for part, weights in stored.items():
        arrays[f"{part}.forecast"] = weights.forecast_HV
        arrays |= {f"{part}.{task}": weight_V for task, weight_V in weights.two_sided.items()}
    for name, own in model.skip.maps.items():
        arrays |= {f"map.{name}.{key}": array for key, array in map_arrays(own).items()}
    # Copies: safetensors refuses arrays that share memory, and slices would keep their stride.
    return {name: np.array(array, order="C") for name, array in arrays.items()}


def _read_noise(arrays: dict[str, np.ndarray]) -> Noise:
    factor, power, tail = (_read_weights(f"noise_{part}", arrays) for part in NOISE_PARTS)
    # A model saved before there were levels draws each column and step by itself.
    none = np.zeros((0, 1, len(arrays["mean"])), np.float32)
    return Noise(factor, power, tail, arrays.get("noise_level", none))


def _read_weights(part: str, arrays: dict[str, np.ndarray]) -> TaskWeights:
    prefix = f"{part}."
    found = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
    other = found["stream"]
    return TaskWeights({task: found.get(task, other) for task in TWO_SIDED}, found["forecast"])


def copy_state(network: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the network's weights."""
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
