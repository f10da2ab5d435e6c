"""Settings of the causal stage: who drives whom."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from schemas.settings.base import StageSettings
from schemas.settings.screening import ScreeningSettings
from schemas.settings.split import SplitSettings


class CausalSettings(StageSettings):
    """Convergent cross mapping of every node with every other one, and what counts as an edge."""

    not_identity: ClassVar[frozenset[str]] = frozenset({"backend", "block", "threads"})

    use: Literal["fitting", "all"] = Field(
        default="fitting",
        description="Samples used: 'fitting' leaves out the test part, so that what is built on "
        "the graph can be judged there; 'all' uses the whole session.",
    )
    split: SplitSettings = Field(
        default=SplitSettings(), description="Division of the session in time."
    )
    behaviour: bool = Field(
        default=True, description="Whether behaviour channels are nodes beside the neurons."
    )
    smoothing_s: float = Field(
        default=0.2,
        ge=0,
        description="Standard deviation in seconds of the Gaussian that turns spike counts into "
        "rates; 0 keeps the counts.",
    )
    min_samples: int = Field(
        default=100,
        ge=20,
        description="Nodes with fewer embedding vectors are left out, by name and with the reason.",
    )
    tau_s: float = Field(
        default=0.3,
        ge=0,
        description="Seconds between two embedding coordinates, rounded to samples and at least "
        "one: about as long as a signal needs to become different. 0 takes every sample.",
    )
    tp: int = Field(
        default=0,
        description="Samples between an effect's present and the cause that is recovered; "
        "negative looks for causes in the past.",
    )
    theiler_s: float = Field(
        default=1.0,
        ge=0,
        description="Neighbours nearer in time than this are no evidence (Theiler window); "
        "0 leaves out only the sample itself, as kEDM does.",
    )
    dimension: int | None = Field(
        default=None,
        ge=1,
        description="Embedding dimension of all nodes; by default each node's own, by how well it "
        "predicts itself one sample ahead.",
    )
    max_dimension: int = Field(
        default=10, ge=1, le=64, description="Highest embedding dimension tried."
    )
    dimension_by: Literal["library", "target"] = Field(
        default="library",
        description="Whose dimension embeds an effect: its own ('library', as pyEDM) or that of "
        "the cause to be recovered ('target', as kEDM; needs more neighbour searches).",
    )
    library_fractions: tuple[float, ...] = Field(
        default=(0.1, 0.2, 0.4, 0.7),
        description="Sizes of the random libraries as fractions of all embedding vectors, for the "
        "convergence curve; the full library is its last point.",
    )
    library_samples: int = Field(
        default=10, ge=1, description="Random libraries of each size; their mean is kept."
    )
    seed: int = Field(default=20120920, ge=0, description="Seed of the random libraries.")
    surrogates: int = Field(
        default=99,
        ge=0,
        description="Surrogates of each cause that its skill is compared with; 0 tests nothing, "
        "and edges then rest on skill and convergence alone.",
    )
    surrogate: Literal["shift", "phase", "twin", "seasonal"] = Field(
        default="shift",
        description="'shift' turns a cause round in time; 'phase' gives its Fourier components "
        "random phases (Ebisuzaki); 'twin' changes over between samples with the same neighbours "
        "(Thiel); 'seasonal' keeps the mean course of a period and shuffles the rest.",
    )
    surrogate_period_s: float | None = Field(
        default=None, gt=0, description="Period in seconds that 'seasonal' surrogates keep."
    )
    max_false_discovery: float = Field(
        default=0.05, gt=0, le=1, description="Share of false edges that is accepted (q-value)."
    )
    fdr_method: Literal["bh", "by"] = Field(
        default="bh",
        description="Control of false discoveries over all pairs: Benjamini-Hochberg, or "
        "Benjamini-Yekutieli for any dependence between tests.",
    )
    screening: ScreeningSettings = Field(
        default=ScreeningSettings(), description="How sessions of very many nodes are searched."
    )
    min_skill: float = Field(
        default=0.1, ge=-1, le=1, description="An edge's least skill with the full library."
    )
    min_delta_skill: float = Field(
        default=0.05,
        ge=-2,
        le=2,
        description="An edge's least gain of skill from the smallest to the full library.",
    )
    min_kendall: float = Field(
        default=0.5,
        ge=-1,
        le=1,
        description="Least rank correlation (Kendall) of skill with library size.",
    )
    max_lag_s: float = Field(
        default=1.0,
        ge=0,
        description="Longest delay in seconds, either way, at which an edge's cause is recovered "
        "to find its delay, three samples at least; 0 looks for no delays.",
    )
    min_direct_share: float = Field(
        default=0.6,
        ge=0,
        le=1,
        description="An edge that keeps a smaller share of its skill once another node is "
        "accounted for (partial cross mapping) is explained by that node; 0 explains nothing.",
    )
    interaction_effects: int = Field(
        default=12,
        ge=0,
        description="Effects, behaviour first, whose causes' strength is followed in time by local "
        "linear maps (S-map).",
    )
    backend: Literal["cpu", "gpu", "auto", "reference"] = Field(
        default="cpu",
        description="Kernels that do the arithmetic; all agree within 1e-4. 'gpu' needs CUDA and "
        "has been run in Triton's interpreter only; 'auto' takes a GPU where there is one.",
    )
    precision: Literal["float32", "float16"] = Field(
        default="float32",
        description="In which all pairs' series are kept; the arithmetic is float32 either way. "
        "'float16' halves what a GPU reads, is no faster on a CPU, and changes skills by up to "
        "0.005, in one dimension, where values coincide, by 0.05 (2,000 samples; noiseless maps: "
        "0.03 and 0.05).",
    )
    block: int = Field(default=32, ge=1, description="Libraries in one unit of work.")
    threads: int = Field(default=0, ge=0, description="Threads; 0 takes all cores.")

    @model_validator(mode="after")
    def _fractions_ascend(self) -> Self:
        fractions = self.library_fractions
        if not fractions or sorted(set(fractions)) != list(fractions):
            raise ValueError("library_fractions must ascend, and there must be at least one")
        if fractions[0] <= 0 or fractions[-1] >= 1:
            raise ValueError("library_fractions must lie between 0 and 1, both excluded")
        return self

    @model_validator(mode="after")
    def _period_known(self) -> Self:
        if self.surrogate == "seasonal" and self.surrogate_period_s is None:
            raise ValueError("surrogate 'seasonal' needs surrogate_period_s, the period in seconds")
        return self
