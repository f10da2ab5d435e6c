"""The twin in a line, and its quality figures for the catalogue."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import xarray as xr

from schemas.entities import QCMetric
from tasks.twin.realism import ALL

VERDICTS: dict[str, Literal["pass", "warn", "fail", "info"]] = {
    "undecided": "info",
    "as real": "pass",
    "differs": "warn",
    "copies": "fail",
}

STILL = 0.05
"""Below this share of the training SD, the animal did next to nothing of a behaviour."""


def summarise_twin(tree: xr.DataTree) -> str:
    """Return e.g. "2 behaviours from 15 neurons; C2ST AUC 0.78 (real vs real 0.76)"."""
    behaviours = tree.children["behaviour"].sizes["channel"]
    network = tree.children["network"].to_dataset(inherit=False)
    channels = tree.children["behaviour"].to_dataset(inherit=False)["channel"].values
    nodes = np.union1d(network["driver"].values, network["node"].values)
    neurons = len(np.setdiff1d(nodes, channels))
    grown = f"{_count(behaviours, 'behaviour')} from {_count(neurons, 'neuron')}"
    realism = tree.children["realism"].to_dataset(inherit=False)
    row = realism.isel(metric=realism["metric"].values == "c2st_auc")
    row = row.isel(metric=-1)
    auc, control = float(row["generated_vs_real"]), float(row["real_vs_real"])
    if not np.isfinite([auc, control]).all():
        return grown
    return f"{grown}; C2ST AUC {auc:.2f} (real vs real {control:.2f})"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def quality_metrics(tree: xr.DataTree) -> list[QCMetric]:
    """Return each measured figure of realism, held to the upper end of the control's range.

    The distance to the training part has its lower end as the bar: below it, the twin copies.
    """
    metrics = list(_activity(tree))
    realism = tree.children["realism"].to_dataset(inherit=False)
    for at in range(realism.sizes["metric"]):
        row = realism.isel(metric=at)
        verdict = str(row["verdict"].values)
        if verdict not in VERDICTS:
            continue
        copies = verdict == "copies"
        metrics.append(
            QCMetric(
                name=_name(str(row["metric"].values), str(row["channel"].values)),
                value=float(row["generated_vs_real"]),
                threshold=float(row["real_low" if copies else "real_high"]),
                verdict=VERDICTS[verdict],
                note=f"real vs real {float(row['real_vs_real']):.3g}",
            )
        )
    return metrics


def _activity(tree: xr.DataTree) -> Iterator[QCMetric]:
    """Yield how much of each behaviour there was in the test part, for the realism to mean much."""
    behaviour = tree.children["behaviour"].to_dataset(inherit=False)
    for channel in behaviour["channel"].values:
        share = float(behaviour["test_to_training_sd"].sel(channel=channel))
        verdict: Literal["pass", "warn"] = "pass" if share >= STILL else "warn"
        note = "" if verdict == "pass" else "hardly any of this behaviour in the test part"
        yield QCMetric(
            name=f"test_to_training_sd {channel}",
            value=share,
            threshold=STILL,
            verdict=verdict,
            note=note,
        )


def _name(metric: str, channel: str) -> str:
    return metric if channel == ALL else f"{metric} {channel}"
