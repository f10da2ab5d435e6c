"""One core for several sessions; a new session is fitted to its first minutes alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from schemas.errors import RecordingTooShortError
from tasks.lnm.adaptation import adapt, core_of, few_shot_curve, pretrain
from tasks.lnm.recording import split_with_guard
from tasks.lnm.session import prepare_session
from tasks.lnm.training import train_models


def test_sessions_share_a_core_and_keep_their_own_embeddings(
    product_session, spiking_session, quick
):
    settings = quick.model_copy(update={"steps": 6, "baselines": ()})
    sessions = [
        prepare_session(r, split_with_guard(r, settings.split, 16), 16, settings)
        for r in (product_session, spiking_session)
    ]
    models, curves = train_models(sessions, settings)
    assert curves.step[-1] == 12
    one, two = (model.network for model in models)
    assert one.read_values.shape != two.read_values.shape
    for name, tensor in core_of(one).items():
        assert torch.equal(tensor, two.state_dict()[name])
    alone, _ = train_models(sessions[:1], settings)
    assert not torch.equal(alone[0].network.blocks[0].up.weight, one.blocks[0].up.weight)


def test_a_curve_over_minutes_of_a_session_never_seen(product_session, quick):
    settings = quick.model_copy(
        update={"steps": 20, "baselines": (), "generated_s": 0.0, "bootstrap": 100}
    )
    other = replace(product_session, values_TV=product_session.values_TV[::-1].copy())
    core = pretrain([other], settings)
    assert {name.split(".")[0] for name in core} == {"blocks", "norm"}
    curve = few_shot_curve(product_session, (0.5, 1.5), core, settings)
    assert curve["value"].dims == ("predictor", "minutes", "score")
    assert np.isfinite(curve["value"]).all()
    pairs = [*zip(curve["task"].values, curve["target"].values, strict=True)]
    at = pairs.index(("decode", "running/first"))
    assert curve["value"].sel(predictor="ridge").values[1, at] > 0.7
    # What comes after the minutes that were given, and before the test part, changes nothing.
    changed = product_session.values_TV.copy()
    changed[400:1900] = 0.0
    fitted = [
        adapt(replace(product_session, values_TV=v), 0.5, core, settings)
        for v in (product_session.values_TV, changed)
    ]
    assert [s.model for s in fitted[0].scores] == [s.model for s in fitted[1].scores]


def test_too_few_minutes_are_refused(product_session, quick):
    with pytest.raises(RecordingTooShortError, match="too few windows"):
        adapt(product_session, 0.05, None, quick)
