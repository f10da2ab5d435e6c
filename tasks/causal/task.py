"""The causal stage at its edge: read, extract the graph, write."""

import shutil
from functools import partial

from schemas.entities import ArtifactRef, StageOutcome
from schemas.settings.causal import CausalSettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.draft import Draft
from tasks.common.stage import Request, run_stage


def extract_causal_graph(
    workspace: WorkspaceSettings,
    aligned: ArtifactRef,
    settings: CausalSettings,
    truth: ArtifactRef | None = None,
) -> StageOutcome:
    """Find who drives whom among neurons and behaviour; scored if the truth is known."""
    parents = (aligned,) if truth is None else (aligned, truth)
    request = Request(kind="causal", stage="causal", settings=settings, parents=parents)
    return run_stage(
        workspace, request, partial(_build, aligned=aligned, settings=settings, truth=truth)
    )


def _build(
    draft: Draft, aligned: ArtifactRef, settings: CausalSettings, truth: ArtifactRef | None
) -> None:
    # Imported where it is needed: numba takes seconds, and a finished stage never gets here.
    from schemas.contracts.causal import CAUSAL
    from tasks.causal.blocks import BlockStore
    from tasks.causal.extract import extract_graph, summarize_graph

    known = None if truth is None else draft.lake.open_tree(truth)
    # Not in the draft, which does not outlive a kill.
    unfinished = draft.lake.root / "unfinished" / draft.ref.id
    store = BlockStore(unfinished)
    tree = extract_graph(draft.lake.open_tree(aligned), settings, known, store)
    draft.write_tree(tree, CAUSAL)
    draft.fact("split", settings.split.model_dump())
    draft.fact("samples_used", settings.use)
    draft.fact("seed", settings.seed)
    draft.fact("smoothing_s", settings.smoothing_s)
    draft.metric("excluded_nodes", int(tree["nodes"]["excluded"].sum()))
    draft.metric("edges", tree["edges"].sizes.get("edge", 0))
    if "truth" in tree.children:
        scores = tree["truth"].attrs
        better = scores["auroc_ccm"] > scores["auroc_correlation"]
        draft.metric(
            "auroc_ccm", scores["auroc_ccm"], scores["auroc_correlation"],
            "pass" if better else "warn", "threshold: AUROC of plain correlation",
        )  # fmt: skip
    draft.key_figure = summarize_graph(tree)
    shutil.rmtree(unfinished, ignore_errors=True)
