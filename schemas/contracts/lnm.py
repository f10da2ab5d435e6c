"""What the lnm stage hands on: curves, the verdict table, and predictions to look at.

The model itself lies beside the tree: model.safetensors and model.json.
"""

from schemas.contracts.contract import TEXT, DatasetContract, TreeContract, Variable
from schemas.contracts.streams import ROOT_ATTRS, TIME

_CHANNEL = {"channel": Variable(("channel",), TEXT)}
_COLUMN = {"column": Variable(("column",), TEXT)}

TRAINING = DatasetContract(
    "training",
    {
        "train_loss": Variable(("step",), "f"),
        "validation_loss": Variable(("step",), "f"),
        "learning_rate": Variable(("step",), "f"),
    },
    {"step": Variable(("step",), "iu")},
    ("best_step", "stopped", "parameters"),
)
"""Losses in units of what the linear prediction costs; validation with the best gates."""

_FIGURES = (
    *("model", "low", "high"),
    *("ridge", "persistence", "mean", "reduced_rank", "glm", "knn", "gru"),
    *("correlation", "best_correlation", "trial_correlation", "crps", "crps_mean", "coverage"),
)
SCORES = DatasetContract(
    "scores",
    {
        "task": Variable(("score",), TEXT),
        "target": Variable(("score",), TEXT),
        "metric": Variable(("score",), TEXT),
        "horizon": Variable(("score",), "iu"),
        "best": Variable(("score",), TEXT),
        "verdict": Variable(("score",), TEXT),
        **{name: Variable(("score",), "f") for name in _FIGURES},
        "drift_free": Variable(("score",), "f", optional=True),
    },
    {},
    ("verdict_means", "win", "tie", "loss"),
)
"""Higher is better in every metric but mae. horizon is in samples, -1 where there is none; a
baseline that does not answer is NaN; best names the one that validation chose; low and high hold
how much better than it the model does with 95 % confidence. Calibration and correlation stand at
the first metric of a target: crps in standard deviations, coverage of the central 90 %."""

_DECODED = ("time", "channel")
DECODED = DatasetContract(
    "decoded",
    {
        "real": Variable(_DECODED),
        "model": Variable(_DECODED),
        "ridge": Variable(_DECODED),
        "model_sd": Variable(_DECODED),
    },
    {**TIME, **_CHANNEL},
)
_FORECAST = ("time", "horizon", "column")
FORECAST = DatasetContract(
    "forecast",
    {
        "real": Variable(_FORECAST),
        "model": Variable(_FORECAST),
        "ridge": Variable(_FORECAST),
        "model_sd": Variable(_FORECAST),
    },
    {**TIME, **_COLUMN, "horizon": Variable(("horizon",), "iu")},
    ("time_is",),
)
GENERATED = DatasetContract(
    "generated", {"value": Variable(("sample", "time", "column"))}, {**TIME, **_COLUMN}
)
ABLATIONS = DatasetContract(
    "ablations",
    {"value": Variable(("variant", "score"))},
    {
        "variant": Variable(("variant",), TEXT),
        **{name: Variable(("score",), TEXT) for name in ("task", "target", "metric")},
        "horizon": Variable(("score",), "iu"),
    },
    ("variant_means",),
)
"""Scores of the model as it is and with parts taken away; NaN where a variant has none."""

LNM = TreeContract(
    "lnm",
    (*ROOT_ATTRS, "split"),
    groups={
        "training": TRAINING,
        "scores": SCORES,
        "decoded": DECODED,
        "forecast": FORECAST,
        "generated": GENERATED,
        "ablations": ABLATIONS,
    },
    optional=frozenset({"decoded", "generated", "ablations"}),
)
