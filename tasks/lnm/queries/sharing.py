"""A model as a folder to hand on: weights, JSON, and a card that says what it is worth."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import xarray as xr

from schemas.errors import LakeError
from tasks.lnm.network.trained import CONFIG_NAME, WEIGHTS_NAME, TrainedModel, load_model

CARD_NAME = "README.md"


def publish_model(
    source: Path, destination: Path, scores: xr.Dataset, origin: Mapping[str, str], licence: str
) -> Path:
    """Write a model's folder: safetensors, JSON and the card. No code and no pickle.

    Parameters
    ----------
    source : folder that holds a saved model
    scores : its verdict table (the lnm contract's group)
    origin : what the card tells of data and splits, by heading

    Raises
    ------
    LakeError
        `source` holds no model, or `destination` holds something else already.
    """
    model = load_model(source)
    foreign = {p.name for p in destination.glob("*")} - {CONFIG_NAME, WEIGHTS_NAME, CARD_NAME}
    if foreign:
        raise LakeError(
            f"the folder holds other files ({', '.join(sorted(foreign)[:3])}).",
            where=str(destination),
            remedy="Name an empty or a new folder.",
        )
    destination.mkdir(parents=True, exist_ok=True)
    _copy(source, destination)
    card = write_card(model, scores, origin, licence)
    (destination / CARD_NAME).write_text(card, encoding="utf-8")
    return destination


def pull_model(source: Path, destination: Path) -> TrainedModel:
    """Copy a published model here and load it; whatever does not load is not copied."""
    model = load_model(source)
    destination.mkdir(parents=True, exist_ok=True)
    _copy(source, destination)
    if (source / CARD_NAME).is_file():
        shutil.copyfile(source / CARD_NAME, destination / CARD_NAME)
    return model


def write_card(
    model: TrainedModel, scores: xr.Dataset, origin: Mapping[str, str], licence: str
) -> str:
    """Return the model card in Markdown: origin, use, every score with its baselines, licence."""
    config, columns = model.network.config, model.columns
    parameters = sum(p.numel() for p in model.network.parameters())
    lines = [
        "---",
        f"license: {json.dumps(licence)}",
        "library_name: tectum",
        "---",
        "",
        "# Large neural model of one session",
        "",
        f"{parameters:,} parameters ({config.preset}), windows of {config.window} samples at "
        f"{config.rate_hz:g} Hz, {int(columns.neural.sum())} units and "
        f"{int((~columns.neural).sum())} behaviour channels.",
        "",
        *(f"- {name}: {told}" for name, told in origin.items()),
        "",
        "## Scores on the test part",
        "",
        str(scores.attrs.get("verdict_means", "")),
        "",
        *_score_lines(scores),
        "",
        "## Use",
        "",
        "    tectum lnm pull FOLDER HERE",
        "    tectum lnm query SESSION --model HERE --target STREAM",
        "",
        f"Licence: {licence}",
    ]
    return "\n".join(lines) + "\n"


def _score_lines(scores: xr.Dataset) -> list[str]:
    lines = ["| task | target | metric | ahead | model | bar | better by (95 %) | verdict |"]
    lines.append("|" + "---|" * 8)
    for at in range(scores.sizes["score"]):
        row = {name: scores[name].values[at] for name in scores.data_vars}
        best, ahead = str(row["best"]), int(row["horizon"])
        told = [
            row["task"],
            row["target"],
            row["metric"],
            ahead if ahead > 0 else "",
        ]
        told += [f"{row['model']:.3f}", f"{best} {row[best]:.3f}"]
        told += [f"{row['low']:+.3f} to {row['high']:+.3f}", row["verdict"]]
        lines.append("| " + " | ".join(str(cell) for cell in told) + " |")
    return lines


def _copy(source: Path, destination: Path) -> None:
    for name in (WEIGHTS_NAME, CONFIG_NAME):
        if (source / name).resolve() != (destination / name).resolve():
            shutil.copyfile(source / name, destination / name)
