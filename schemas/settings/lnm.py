"""Settings of the lnm stage: the large neural model and its baselines."""

from typing import Literal, Self

from pydantic import Field, model_validator

from schemas.settings.base import StageSettings
from schemas.settings.split import SplitSettings

Baseline = Literal["drift_free", "reduced_rank", "glm", "knn", "kernel", "gru"]
Preset = Literal["nano", "small", "base", "large"]
ReadIn = Literal["pooled", "tokens"]


class LnmSettings(StageSettings):
    """How the model is built, trained and judged."""

    split: SplitSettings = Field(
        default_factory=SplitSettings,
        description="Train, validation and test parts. The guard is raised to one window, so that "
        "no window of one part lies beside a window of the next.",
    )
    span: Literal["behaviour", "all"] = Field(
        default="behaviour",
        description="Time that is used: behaviour is from the first to the last sample with any "
        "behaviour, so that every part has some and decoding can be judged (all the time where "
        "there is none); all is the whole recording.",
    )
    events: tuple[str, ...] = Field(
        default=(),
        description="Tables of events or intervals that are behaviour too, each as a column of 1 "
        "and 0: licks (whether one fell into a sample), trials (whether one holds), trials/choice "
        "(which category holds, unknown between trials; of events which fell into a sample). A "
        "trial's column is known from its start on: for honest forecasts name only what the "
        "animal knew then too.",
    )
    held_gib: float = Field(
        default=2.0,
        gt=0,
        description="GiB of a session's values that are held in memory; the stage takes some ten "
        "times as much. Of a larger session, stretches from all over it are held: by these "
        "baselines are fitted and verdicts given, while the network is trained on all training "
        "time, read in chunks. Sessions that adapt learns from share it.",
    )
    preset: Preset = Field(
        default="nano",
        description="Size of the transformer: nano 0.1 M parameters (a laptop's CPU), small 5 M, "
        "base 30 M, large 80 M; each unit adds its embeddings.",
    )
    read_in: ReadIn = Field(
        default="pooled",
        description="How the transformer reads a patch: pooled sums over units and channels, any "
        "number of them; tokens attends to each unit and channel besides (for a GPU: the time is "
        "that of units times features).",
    )
    window: int = Field(
        default=0,
        ge=0,
        le=4096,
        description="Samples that the model sees at once; 0 takes up to 64, less where the "
        "gapless segments or the whole recording are short.",
    )
    patch: int = Field(
        default=2,
        ge=1,
        le=16,
        description="Samples that make one token; masks keep the resolution of single samples.",
    )
    linear_skip: bool = Field(
        default=True,
        description="Add the network to the baseline that validation likes best (ridge, reduced "
        "rank, Poisson regression, neighbours, last value, mean, or a blend, of kernel ridge on "
        "behaviour too), so that it learns only what that leaves over. Off: the network learns "
        "everything.",
    )
    baselines: tuple[Baseline, ...] = Field(
        default=("drift_free", "reduced_rank", "glm", "knn"),
        description="What the model is compared with beside mean, last value and multiscale ridge, "
        "all on the same context and tuned on validation: drift_free (ridge on what departs from "
        "each input's slow mean; not forecasts), reduced_rank (ridge held to a few axes), glm "
        "(Poisson regression of spike counts; not forecasts), knn (nearest "
        "neighbours), kernel (ridge on random features of behaviour; a part of the model in any "
        "case), gru (a recurrent network a question: a minute or more).",
    )
    regions: bool = Field(
        default=False,
        description="Hide whole regions of the brain in training too, and learn to impute each "
        "from all else: a task of its own, with baselines and verdicts, where units of two or more "
        "regions were recorded.",
    )
    steps: int | None = Field(
        default=None,
        ge=0,
        description="Optimiser steps at most; empty means about a minute on two CPU cores with the "
        "nano preset: 1,200 for up to 150 columns, in proportion fewer beyond, at least 200. "
        "Steps, not seconds, so that a run can be repeated exactly.",
    )
    members: int = Field(
        default=1,
        ge=1,
        le=20,
        description="Networks whose answers are averaged, each trained without another part of the "
        "training time; how much of them to use is then chosen on all of that time too, and not "
        "on validation alone. Time grows with the number.",
    )
    patience: int = Field(
        default=8,
        ge=1,
        description="Validations without a gain after which training stops early.",
    )
    threads: int = Field(
        default=1,
        ge=0,
        description="Threads of the arithmetic; 0 takes what the libraries take. One is best for "
        "the nano preset, whose matrices are too small to share.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        description="Where the network is trained; auto takes a GPU if there is one.",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="Of the network's arithmetic in training; auto is bfloat16 on a GPU that has "
        "it, else float32. Weights, losses and answers are always float32.",
    )
    compile: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="Whether torch compiles the network for training, which takes a minute at "
        "first; auto does so on a GPU. Not with divided weights (sharded).",
    )
    sharded: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="Under torchrun, whether weights, gradients and moments are divided among the "
        "processes (FSDP2) instead of held by each; auto does so with the large preset on GPUs. "
        "Of one session at a time.",
    )
    batch_size: int = Field(default=32, ge=1, description="Windows in one optimiser step.")
    learning_rate: float = Field(
        default=2e-3, gt=0, description="Peak of the warm-up and cosine schedule of AdamW."
    )
    weight_decay: float = Field(default=0.1, ge=0, description="AdamW's decay of all matrices.")
    dropout: float = Field(
        default=0.1, ge=0, lt=1, description="Share of hidden features dropped in training."
    )
    seed: int = Field(default=0, ge=0, description="Seed of weights, masks, batches and bootstrap.")
    bootstrap: int = Field(
        default=1000,
        ge=100,
        description="Resamples of blocks of test time behind each 95 % interval.",
    )
    ablations: bool = Field(
        default=False,
        description="Score the model also without neurons, without behaviour, with neurons "
        "shuffled, without any input, without its network and, trained once more, without its "
        "closed-form skip: about twice the time.",
    )
    generated_s: float = Field(
        default=60.0,
        ge=0,
        description="Seconds of free-running activity and behaviour to generate; 0 for none.",
    )
    n_samples: int = Field(
        default=4, ge=1, description="Independent courses to generate, each of `generated_s`."
    )

    @model_validator(mode="after")
    def _has_a_validation_part(self) -> Self:
        if self.split.validation == 0:
            raise ValueError("split.validation must be above 0: penalties and gates rest on it")
        return self
