"""Real recordings of every make go through the chain: a stage may find nothing, but none fails."""

from pathlib import Path

import pytest

from flows import chain as chains
from flows.chain import Chain, process_recording
from schemas.entities import RunState, StageOutcome
from schemas.settings.causal import CausalSettings
from schemas.settings.pipeline import PipelineSettings
from schemas.settings.workspace import WorkspaceSettings

# File, and which of the stages make something of it.
MADE = (
    ("nwb/aind_foraging_689514_2024-02-01_18-06-43.nwb", "ingest preprocess"),
    ("nwb/neuroconv_rois.nwb", "ingest preprocess align causal"),
    ("nwb/neuropixels_lfp_384ch.nwb", "ingest preprocess align"),
    ("nwb/pynapple_A8604_units.nwb", "ingest preprocess align causal"),
    ("nwb/pynwb_backcompat/0.3.0_poseestimation_two_cameras.nwb", "ingest preprocess align"),
    ("nwb_converted/eye_neon_demo.nwb", "ingest preprocess align"),
    ("nwb_converted/zebrafish_legare_regions.nwb", "ingest preprocess align causal"),
)
SETTINGS = PipelineSettings(causal=CausalSettings(surrogates=0, library_samples=2, max_lag_s=0))


def spare(workspace: WorkspaceSettings, *parents: object) -> StageOutcome:
    return StageOutcome(stage="lnm", state=RunState.EMPTY, reason="it takes minutes.")


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize(("name", "made"), MADE)
def test_no_stage_fails(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, made: str
) -> None:
    for task in ("train_lnm", "animate_twin"):
        monkeypatch.setattr(chains, task, spare)
    chain = Chain(WorkspaceSettings(lake=str(tmp_path)))
    page = process_recording(chain, str(recordings / name), SETTINGS)
    assert page.state is RunState.COMPLETE
    assert [o.reason for o in chain.outcomes if o.state is RunState.FAILED] == []
    stages = [o.stage for o in chain.outcomes if o.ref is not None and o.stage != "report"]
    assert " ".join(stages) == made
