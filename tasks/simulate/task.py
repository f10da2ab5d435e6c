"""The simulate stage at its edge: an animal drawn, recorded, and written with its truth."""

from functools import partial

from schemas.entities import StageOutcome
from schemas.settings.simulate import SimulateSettings
from schemas.settings.workspace import WorkspaceSettings
from tasks.common.draft import Draft
from tasks.common.stage import Request, run_stage


def simulate_session(workspace: WorkspaceSettings, settings: SimulateSettings) -> StageOutcome:
    """Simulate an animal with a known causal graph: session.nwb, camera.mp4 and the truth."""
    request = Request(kind="simulation", stage="simulate", settings=settings, parents=())
    return run_stage(workspace, request, partial(_build, settings=settings))


def _build(draft: Draft, settings: SimulateSettings) -> None:
    # Imported where it is needed: pynwb takes seconds, and a finished stage never gets here.
    import numpy as np

    from schemas.contracts.truth import TRUTH
    from tasks.simulate.animal import simulate_animal
    from tasks.simulate.nwb_session import write_session
    from tasks.simulate.truth import describe_truth

    animal = simulate_animal(settings, np.random.default_rng(settings.seed))
    write_session(animal, draft.path)
    truth = describe_truth(animal)
    draft.write_tree(truth, TRUTH)
    edges = int(truth["graph/edge"].sum())
    draft.fact("seed", settings.seed)
    draft.metric("true_edges", edges)
    draft.key_figure = (
        f"{animal.wiring.neurons} neurons, {edges} true edges, {settings.duration_s:g} s"
    )
