"""A real fly: short, drifting, eighty components; the case where a network overfits at once."""

from dataclasses import replace

import numpy as np
import pytest

from schemas.settings.lnm import LnmSettings
from tasks.lnm.data.recording import Columns, Recording
from tasks.lnm.linear.skip import shift_back
from tasks.lnm.network.noise import Noise
from tasks.lnm.network.trained import TrainedModel
from tasks.lnm.queries.infer import distribution_of, predict_future
from tasks.lnm.results import train_and_examine
from tasks.lnm.training.session import Session


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
    # Calibrated heads against the normal of the network's own scale, of the same means.
    plain = Noise.plain(len(result.model.skip.horizons), columns.counts)
    (crps, gap), (plain_crps, plain_gap) = (
        weigh_forecasts(model, result.session)
        for model in (result.model, replace(result.model, noise=plain))
    )
    assert crps < 0.97 * plain_crps
    assert gap < 0.8 * plain_gap


def weigh_forecasts(model: TrainedModel, session: Session) -> tuple[float, float]:
    """Return the CRPS of forecasts of the test part, in standard deviations; gap of coverage."""
    located = predict_future(model, session.material, session.origin_O, session.context_O)
    crps, gaps = [], []
    for horizon in model.skip.horizons:
        real_TV = shift_back(session.recording.values_TV, session.runs(2), horizon)
        found = distribution_of(model, located.at((slice(None), horizon - 1)))
        real_OV = real_TV[session.origin_O]
        crps.append(np.nanmean(found.crps(real_OV) / model.scaler.sd_V))
        shares = (0.5, 0.8, 0.95)
        gaps += [abs(np.nanmean(found.covered(real_OV, share)) - share) for share in shares]
    return float(np.mean(crps)), float(np.mean(gaps))
