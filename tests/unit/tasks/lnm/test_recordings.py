"""A real fly: short, drifting, eighty components; the case where a network overfits at once."""

import numpy as np
import pytest

from schemas.settings.lnm import LnmSettings
from tasks.lnm.recording import Columns, Recording
from tasks.lnm.results import train_and_examine


@pytest.mark.shared
@pytest.mark.slow
def test_fly_loses_nothing_to_ridge(recordings):
    table = np.genfromtxt(
        recordings / "tables" / "Fly80XY_norm_1061.csv", delimiter=",", skip_header=1
    )
    columns = Columns(
        (*(f"calcium/TS{i + 1}" for i in range(80)), "left_right", "forward"),
        ("calcium",) * 80 + ("left_right", "forward"),
        ("calcium",) * 80 + ("motion",) * 2,
    )
    recording = Recording(
        table[:, 1:].astype(np.float32),
        np.arange(len(table), dtype=float),
        np.zeros(len(table), np.int64),
        1.0,
        columns,
    )
    result = train_and_examine(recording, LnmSettings(steps=150, generated_s=20.0))
    assert result.session.window == 64
    scores = {(s.task, s.target, s.horizon): s for s in result.exam.scores if s.metric == "r2"}
    for score in scores.values():
        # Only scores that mean something: near 0 a constant does as well.
        if score.metric == "r2" and score.baselines["ridge"] > 0.3:
            assert score.model > score.baselines["ridge"] - 0.05
    assert scores["forecast", "calcium", 1].model > 0.94
    assert scores["impute", "calcium", -1].model > 0.6
    assert np.isfinite(result.generated["value"]).all()
